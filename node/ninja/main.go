package ninja

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/shirou/gopsutil/v4/load"
	"golang.org/x/term"
)

// Process is what Main needs of the process that it is in.
type Process struct {
	Stdin, Stdout, Stderr *os.File
	// Environ is as os.Environ has it. Commands get it as it is.
	Environ []string
	// Getenv returns a variable of Environ.
	Getenv func(string) (string, bool)
	// Runner is nil for this machine.
	Runner Runner
	Sharing
}

// ThisProcess is the process as the system has made it.
func ThisProcess() Process {
	return Process{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Environ: os.Environ(), Getenv: os.LookupEnv}
}

// Main is the program ninja: it returns the exit code. args are without the
// program's name.
func Main(ctx context.Context, args []string, p Process) int {
	o, err := Parse(args, p.Getenv)
	if err != nil {
		return p.answer(err)
	}
	return p.Build(ctx, o)
}

// Program is Main in a process of its own: it ends at the signals at which ninja
// ends. At a second one it does not wait for its commands, but kills them.
func Program(args []string, p Process) int {
	ctx, end := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		if number, ok := (<-signals).(syscall.Signal); ok {
			end(Signal{number})
		}
		for range signals {
			Kill()
		}
	}()
	return Main(ctx, args, p)
}

// answer prints what Parse has returned instead of options.
func (p Process) answer(err error) int {
	var a *Answer
	if !errors.As(err, &a) {
		fmt.Fprintf(p.Stderr, "ninja: error: %v\n", err)
		return exitFailed
	}
	_, _ = io.WriteString(p.Stdout, a.Stdout)
	_, _ = io.WriteString(p.Stderr, a.Stderr)
	return a.Code
}

// Share is Build with more than ninja has.
func (p Process) Share(ctx context.Context, o Options, with Sharing) int {
	p.Sharing = with
	return p.Build(ctx, o)
}

// Build is Run in this process's world.
func (p Process) Build(ctx context.Context, o Options) int {
	dir, err := directory(o.Dir)
	if err != nil {
		fmt.Fprintf(p.Stderr, "ninja: fatal: chdir to '%s' - %s\n", o.Dir, reason(err))
		return exitFailed
	}
	w := World{Dir: dir, Stdout: p.Stdout, Stderr: p.Stderr, Screen: p.screen(), Runner: p.Runner, Load: loadAverage, Sharing: p.Sharing}
	console := p.Stdout
	if p.Silent {
		w.Stdout, w.Screen, console = io.Discard, Screen{Color: w.Screen.Color}, p.Stderr
	}
	if w.Runner == nil {
		w.Runner = Local{Dir: dir, Env: p.Environ, Stdin: p.Stdin, Stdout: console, Stderr: p.Stderr}
	}
	return Run(ctx, o, w)
}

// directory is the absolute path of a directory, as getcwd would have it there.
func directory(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(abs + "/.")
	}
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}

// screen finds out what stdout is.
func (p Process) screen() Screen {
	fd := int(p.Stdout.Fd())
	s := screenOf(term.IsTerminal(fd), p.Getenv)
	s.Width = func() int {
		width, _, err := term.GetSize(fd)
		if err != nil {
			return 0
		}
		return width
	}
	return s
}

// screenOf is what may be written to a stdout. CLICOLOR_FORCE has colours passed on to
// what is no terminal; NO_COLOR, unless it is empty, has none in any case.
func screenOf(terminal bool, getenv func(string) (string, bool)) Screen {
	kind, known := getenv("TERM")
	s := Screen{Smart: terminal && known && kind != "dumb"}
	force, forced := getenv("CLICOLOR_FORCE")
	none, _ := getenv("NO_COLOR")
	s.Color = none == "" && (s.Smart || forced && force != "0")
	return s
}

// loadAverage is that of the last minute; what cannot be known bounds nothing.
func loadAverage() float64 {
	average, err := load.Avg()
	if err != nil {
		return 0
	}
	return average.Load1
}
