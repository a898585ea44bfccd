package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/api/client"
	"github.com/buildnet/buildnet/node/config"
	"github.com/buildnet/buildnet/node/ninja"
)

// manifestFile is what makes a directory one that ninja builds.
const manifestFile = "build.ninja"

// manifestFlags are those of `buildnet build` that count where a build.ninja is
// built; sharedFlags count there as well as in a project of BuildNet's own.
var (
	manifestFlags = []string{"file", "failures", "dry-run", "verbose", "quiet", "tool"}
	sharedFlags   = []string{"dir", "jobs", "json", "local", "why-local", "trace", "profile", "strategy", "partition", "home", "help"}
)

// addManifestFlags adds the flags that are ninja's.
func addManifestFlags(f *pflag.FlagSet, o *ninja.Options) {
	f.StringVarP(&o.File, "file", "f", o.File, "build what the manifest `FILE` of ninja says")
	f.IntVarP(&o.KeepGoing, "failures", "k", o.KeepGoing, "with a build.ninja, go on until `N` commands have failed; 0 is no bound")
	f.BoolVarP(&o.DryRun, "dry-run", "n", false, "with a build.ninja, say what would be run, and run nothing")
	f.BoolP("verbose", "v", false, "with a build.ninja, show whole commands")
	f.Bool("quiet", false, "with a build.ninja, show only what commands write")
	f.StringP("tool", "t", "", "with a build.ninja, run the `TOOL` of ninja instead, or list them: -t list; flags of its own stand behind --")
}

// wantsManifest reports whether a build is of a build.ninja: if it is named, or
// if there is one, and no project of BuildNet's own around it.
func wantsManifest(c *cobra.Command, dir string) bool {
	if c.Flags().Changed("file") {
		return true
	}
	if _, err := os.Stat(filepath.Join(dir, manifestFile)); err != nil {
		return false
	}
	_, err := config.ProjectRoot(dir)
	return errors.Is(err, config.ErrNoProject)
}

// checkFlags refuses flags that would not be heeded.
func checkFlags(c *cobra.Command, manifest bool) error {
	var wrong error
	c.Flags().Visit(func(f *pflag.Flag) {
		switch ofNinja := slices.Contains(manifestFlags, f.Name); {
		case wrong != nil || slices.Contains(sharedFlags, f.Name) || ofNinja == manifest:
		case ofNinja:
			wrong = fmt.Errorf("--%s is for a %s, and there is none to build; name one with -f, or its directory with -C", f.Name, manifestFile)
		default:
			wrong = fmt.Errorf("--%s is not for a %s; leave it away", f.Name, manifestFile)
		}
	})
	return wrong
}

// buildManifest builds what a build.ninja says.
func (a *app) buildManifest(c *cobra.Command, o ninja.Options, flags buildFlags) error {
	if a.sys.Manifest == nil {
		return errors.New("this process builds no " + manifestFile)
	}
	f := c.Flags()
	if f.Changed("dir") {
		o.Dir = f.Lookup("dir").Value.String()
	}
	if format, ok := environment(a.sys.Environ)["NINJA_STATUS"]; ok {
		o.StatusFormat = format
	}
	var err error
	if f.Changed("jobs") {
		err = o.Set('j', f.Lookup("jobs").Value.String())
	}
	for _, flag := range []struct {
		name   string
		letter byte
	}{{"failures", 'k'}, {"tool", 't'}, {"verbose", 'v'}, {"quiet", 'q'}} {
		if value := f.Lookup(flag.name).Value.String(); f.Changed(flag.name) && value != "false" {
			err = errors.Join(err, o.Set(flag.letter, value))
		}
	}
	var answer *ninja.Answer
	switch {
	case errors.As(err, &answer) && answer.Code == 0:
		return a.print("%s", answer.Stdout)
	case err != nil:
		return usage{err}
	}
	o.Targets = flags.targets
	if o.Tool != "" {
		if flags.json || flags.trace != "" || flags.whyLocal {
			return usage{errors.New("-t runs a tool of ninja, and no build: leave --json, --trace and --why-local away")}
		}
		return ended(a.sys.Manifest(c.Context(), o, ninja.Sharing{}))
	}
	show := &shown{view: &aside{}, screen: func() {}}
	if flags.json {
		show.lines = func(line []byte) error { return a.print("%s\n", line) }
	}
	return a.watching(c.Context(), flags, rootOf(o.Dir), show, func(show *shown) error { return a.manifest(c.Context(), o, flags, show) })
}

// manifest builds, and sums up.
func (a *app) manifest(ctx context.Context, o ninja.Options, flags buildFlags, show *shown) error {
	m := newManifest(a, a.connect, show, api.InvocationRequest{
		Root: rootOf(o.Dir), Targets: o.Targets, Local: flags.local, Profile: flags.profile, Strategy: flags.strategy, Partition: flags.partition,
		Env: variables(a.sys.Environ),
	})
	code := a.sys.Manifest(ctx, o, ninja.Sharing{Elsewhere: m, Watch: m.watch, Silent: flags.json})
	f := m.finish(ctx, code)
	a.answered = flags.json
	if m.lost != nil {
		a.say("WARNING: %v", m.lost)
	}
	if told, ok := show.view.(*aside); ok {
		for _, text := range told.warnings {
			a.say("%s", text)
		}
		if !flags.json && o.Verbosity != ninja.NoStatus && f.Steps > 0 {
			if err := a.print("%s", summaryOf(f, told.names)); err != nil {
				return err
			}
		}
	}
	return errors.Join(m.failed, ended(code))
}

// rootOf is the absolute path of a directory that is about to be entered.
func rootOf(dir string) string {
	abs, err := filepath.Abs(dir)
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	if err != nil {
		return dir // ninja says what is wrong with it
	}
	return abs
}

// ended maps ninja's exit codes to errors.
func ended(code int) error {
	switch code {
	case exitOK:
		return nil
	case ninja.ExitInterrupted:
		return errInterrupted
	default:
		return errFailed
	}
}

// NodeThatRuns has ninja's commands run by the node that runs, if there is one.
// The program called ninja starts none: CMake calls it a dozen times to look at a
// compiler, and whoever calls ninja expects that nothing of it stays.
func NodeThatRuns(environ []string) ninja.Elsewhere {
	a := &app{sys: System{Stdout: io.Discard, Stderr: os.Stderr, Environ: environ}}
	return quietly{newManifest(a, a.runningOnly, &shown{view: &aside{}}, api.InvocationRequest{Env: variables(environ)})}
}

// quietly asks a node if there is one.
type quietly struct{ *manifest }

// Begin implements ninja.Elsewhere.
func (q quietly) Begin(ctx context.Context, b ninja.Beginning) (ninja.Invocation, error) {
	i, err := q.manifest.Begin(ctx, b)
	if errors.Is(err, client.ErrNoNode) || errors.Is(err, client.ErrDenied) || errors.Is(err, errForeign) {
		return nil, nil
	}
	return i, err
}

// ManifestBuilder builds what a build.ninja says, and returns ninja's exit code.
type ManifestBuilder func(ctx context.Context, o ninja.Options, with ninja.Sharing) int

// Unwrap gives the signal on to commands that run.
func (s signalled) Unwrap() error {
	number, ok := s.signal.(syscall.Signal)
	if !ok {
		return nil
	}
	return ninja.Signal{Number: number}
}
