// Package cli is the command line: it finds or starts the node, asks it over
// its socket, and shows what comes back. stdout carries data, stderr talk. It
// takes everything of its process as a System, so that tests run it as a
// function. Start reading at Run.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/ninja"
)

// System is what the command line needs of its process.
type System struct {
	Stdout, Stderr io.Writer
	// Environ is the user's environment, as of package os.
	Environ []string
	// Screen says what stderr is.
	Screen Screen
	// Signals carries interrupts and requests to end.
	Signals <-chan os.Signal
	// Exit ends the process at once.
	Exit func(status int)
	// Start makes a node in this process.
	Start Starter
	// Manifest builds what a build.ninja says.
	Manifest ManifestBuilder
	// Exec puts a program in place of this process, as syscall.Exec; nil where the
	// system cannot.
	Exec func(path string, argv, env []string) error
	// Doze makes this process one that lives long and does little: it may begin it
	// anew. It is called before a node starts; nil leaves the process as it is.
	Doze func() error
	// Executable is this program, for a node in a process of its own.
	Executable string
}

// Screen is what stderr is.
type Screen uint8

const (
	// Lines is a file, a pipe, or a terminal that cannot move its cursor.
	Lines Screen = iota
	// Terminal can show a live view.
	Terminal
)

// NodeConfig is what a node is told when it starts.
type NodeConfig struct {
	Home, Listen, API, REAPI, Mesh, Join string
	Slots                                int
	Lifetime                             Lifetime
	// Log is where the node's log goes.
	Log io.Writer
}

// Lifetime is how long a node stays.
type Lifetime uint8

const (
	// Lasting nodes run until they are told to end.
	Lasting Lifetime = iota
	// Ephemeral nodes are started by a command for itself. They wait for a
	// member of their mesh for a second at most, and end when no build runs.
	Ephemeral
)

// Node is a node in this process.
type Node interface {
	// Run runs it until ctx ends or it was told to end over its API, and drains.
	Run(ctx context.Context) error
	// Ready is closed when it can take work: its socket answers.
	Ready() <-chan struct{}
}

// Starter makes a node that was not started yet.
type Starter func(NodeConfig) (Node, error)

// Run runs one command and returns its exit status.
func Run(ctx context.Context, args []string, sys System) int {
	a := &app{sys: sys}
	root := a.root()
	root.SetArgs(args)
	root.SetOut(sys.Stdout)
	root.SetErr(sys.Stderr)
	ctx, end := a.listen(ctx)
	defer end()
	command, err := root.ExecuteContextC(ctx)
	if wasSignalled(ctx) && errors.Is(err, context.Canceled) {
		err = errInterrupted
	}
	if err != nil && !a.began {
		err = usage{err} // cobra refused flags, arguments or the command itself
	}
	if text := explain(err, command.CommandPath()); text != "" {
		fmt.Fprintln(sys.Stderr, "buildnet: "+text)
		a.tellProgram(command, args, problem{Event: api.ErrorEvent, Kind: kindOf(err), Text: text, Status: exitStatus(err)})
	}
	return exitStatus(err)
}

// app is one run of the command line.
type app struct {
	sys  System
	home string // --home
	// began says that the command line itself was in order.
	began bool
	// restore makes the screen usable again when the process ends at once.
	restore atomic.Pointer[func()]
	// answered says that stdout has all that --json promises.
	answered bool
}

func (a *app) root() *cobra.Command {
	root := group(&cobra.Command{
		Use: "buildnet [--home DIR] COMMAND",
		Long: "BuildNet builds a project on all machines of a mesh, from one shared cache.\n\n" +
			"Every machine runs a node (`buildnet node up`); `buildnet build` on any of them\n" +
			"uses them all. Without a node, `buildnet build` works on this machine alone.",
		Example: "  buildnet build",
	})
	root.SilenceErrors, root.SilenceUsage, root.DisableFlagsInUseLine = true, true, true
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpCommand(&cobra.Command{Use: "no-help-command", Hidden: true})
	root.SetHelpTemplate(helpTemplate)
	root.SetFlagErrorFunc(flagFault)
	root.PersistentFlags().StringVar(&a.home, "home", "", "home `DIR` of the node: identity, mesh, store, socket (default $BUILDNET_HOME, the XDG state directory, /var/lib/buildnet for root)")
	root.PersistentFlags().SortFlags = false
	root.PersistentPreRun = func(*cobra.Command, []string) { a.began = true }
	root.AddCommand(a.nodeCommand(), a.meshCommand(), a.buildCommand(), a.ccCommand(), a.buildsCommand(), a.explainCommand(), a.queueCommand(), a.profileCommand(), a.distributeCommand(), a.cacheCommand(), a.simCommand(), a.versionCommand())
	return root
}

// listen returns a context that ends at the first signal. The second ends the
// process; before it does, it restores the screen.
func (a *app) listen(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	done, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		for n := 0; ; n++ {
			select {
			case s := <-a.sys.Signals:
				if n > 0 {
					if restore := a.restore.Load(); restore != nil {
						(*restore)()
					}
					ninja.Kill()
					a.sys.Exit(exitInterrupted)
					return
				}
				cancel(signalled{s})
			case <-done:
				return
			}
		}
	}()
	return ctx, func() {
		close(done)
		<-gone
		cancel(nil)
	}
}

// signalled is why a context ended.
type signalled struct{ signal os.Signal }

// Error implements error.
func (s signalled) Error() string { return s.signal.String() }

// wasSignalled reports whether ctx ended by a signal.
func wasSignalled(ctx context.Context) bool {
	var s signalled
	return errors.As(context.Cause(ctx), &s)
}

// printJSON writes one value as one line on stdout.
func (a *app) printJSON(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	if _, err := a.sys.Stdout.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	a.answered = true
	return nil
}

// say writes a line to the user.
func (a *app) say(format string, args ...any) {
	fmt.Fprintf(a.sys.Stderr, format+"\n", args...)
}

func seconds(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%.2fs", d.Seconds())
	}
	return d.Round(time.Second).String()
}
