package ninja

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/buildnet/buildnet/node/project/ninja"
	"github.com/buildnet/buildnet/node/project/ninja/plan"
)

// Exit codes, as ninja has them.
const (
	exitOK          = 0
	exitFailed      = 1
	ExitInterrupted = 2
	// exitMissingDeps is that of -t missingdeps that has found some.
	exitMissingDeps = 3
)

// maxRereads bounds how often the manifest may make itself anew: one that always
// does would never let a build begin.
const maxRereads = 100

// World is what a build has to do with.
type World struct {
	// Dir is the absolute path of the build's directory: Options.Dir has been
	// followed already.
	Dir            string
	Stdout, Stderr io.Writer
	Screen         Screen
	// Disk is nil for the files in Dir.
	Disk Disk
	// Runner is nil for this machine.
	Runner Runner
	Sharing
	// Load returns the load average; nil means 0.
	Load func() float64
}

// Sharing is what a build does that ninja does not. The zero value is nothing.
type Sharing struct {
	// Elsewhere is who has commands run on other machines; nil is nobody, and
	// HereBecause is the reason that is told then.
	Elsewhere   Elsewhere
	HereBecause string
	// Watch is told of every command that has ended, one at a time; nil is nobody.
	Watch func(Finished)
	// Silent leaves ninja's words out of stdout: Watch is told all.
	Silent bool
}

// Finished is a command that has ended.
type Finished struct {
	Job
	Result
	// Done are those that have ended, of Total that are known to have to run.
	Done, Total int
}

// session is one call of the program.
type session struct {
	World
	opts   Options
	status *status
}

// Run builds, or runs a tool, and returns the exit code. When ctx is done it
// ends what runs, with the signal of its cause if that is a Signal.
func Run(ctx context.Context, o Options, w World) int {
	if w.Disk == nil {
		w.Disk = tree{w.Dir}
	}
	if w.Runner == nil {
		w.Runner = Local{Dir: w.Dir}
	}
	if w.Load == nil {
		w.Load = func() float64 { return 0 }
	}
	s := &session{World: w, opts: o, status: newStatus(w.Stdout, w.Stderr, w.Screen, o)}
	if o.Dir != "" && o.Tool == "" && o.Verbosity != NoStatus {
		s.status.info("Entering directory `%s'", o.Dir)
	}
	code, err := s.run(ctx)
	if err != nil {
		s.say(err)
		return exitFailed
	}
	return code
}

// say prints an error in ninja's manner.
func (s *session) say(err error) {
	var now fatalError
	if errors.As(err, &now) || ninja.Fatal(err) {
		s.status.fatal("%v", err)
		return
	}
	s.status.error("%v", err)
}

// run reads the manifest until it need not be made anew.
func (s *session) run(ctx context.Context) (int, error) {
	t := tools[s.opts.Tool]
	if s.opts.Tool != "" && t.when == afterFlags {
		return t.run(&toolCall{session: s, args: s.opts.Targets})
	}
	for range maxRereads {
		g, err := s.load()
		if err != nil {
			return 0, err
		}
		if s.opts.Tool != "" && t.when == afterLoad {
			return t.run(&toolCall{session: s, graph: g, args: s.opts.Targets})
		}
		l, err := s.openLogs(g)
		if err != nil {
			return 0, err
		}
		if s.opts.Tool != "" {
			return t.run(&toolCall{session: s, graph: g, logs: l, args: s.opts.Targets})
		}
		code, again, err := s.build(ctx, g, l)
		if err != nil || !again {
			return code, err
		}
	}
	return 0, fmt.Errorf("manifest '%s' still dirty after %d tries, perhaps system time is not set", s.opts.File, maxRereads)
}

func (s *session) load() (*ninja.Graph, error) {
	o := s.opts.Manifest
	o.Warn = func(text string) { s.status.warning("%s", text) }
	return ninja.Load(s.Disk, s.opts.File, o)
}

// openLogs reads the records, and makes the directory in which they are.
func (s *session) openLogs(g *ninja.Graph) (*logs, error) {
	dir := g.Scope.Lookup("builddir")
	if dir != "" && !s.opts.DryRun {
		if err := s.Disk.MakeDirs(dir + "/."); err != nil {
			return nil, fmt.Errorf("creating build directory %s: %w", dir, err)
		}
	}
	l, err := openLogs(s.Disk, dir, s.opts.DryRun, s.status.warning)
	if err != nil {
		return nil, err
	}
	// Files that only the record names can be targets too.
	for _, path := range l.deps.Paths() {
		g.Node(path)
	}
	return l, l.compact(g, false)
}

// build makes the manifest anew, if it is out of date; if so, all starts again.
// Else it builds the targets.
func (s *session) build(ctx context.Context, g *ninja.Graph, l *logs) (code int, again bool, err error) {
	b := &builder{
		opts: s.opts, dir: s.Dir, disk: s.Disk, logs: l, status: s.status, load: s.Load, watch: s.Watch, begun: time.Now(),
		runner: local{s.Runner, "it makes the manifest"}, jobs: s.opts.jobsHere,
	}
	b.scan = plan.NewScan(g, s.Disk, plan.Options{Commands: l.commands, Deps: l.deps, Explain: s.explain()})
	again, err = b.manifest(ctx, g)
	if err != nil {
		return 0, false, fmt.Errorf("rebuilding '%s': %w", s.opts.File, err)
	}
	if again && s.opts.DryRun {
		// It would be as much out of date the next time.
		return exitOK, false, nil
	}
	if again {
		return 0, true, l.close()
	}
	code, err = s.targets(ctx, b, g)
	return code, false, err
}

// explain returns what says why something is dirty, nil if nobody asked.
func (s *session) explain() func(string) {
	if !s.opts.Explain {
		return nil
	}
	return func(reason string) {
		if s.status.out.midLine {
			s.status.out.onNewLine(nil)
		}
		fmt.Fprintf(s.Stderr, "ninja explain: %s\n", reason)
	}
}

// manifest makes the manifest anew if it is a target and out of date, and
// reports whether it did.
func (b *builder) manifest(ctx context.Context, g *ninja.Graph) (bool, error) {
	if b.opts.File == "" {
		return false, errors.New("empty path")
	}
	n := g.Lookup(ninja.Canonical(b.opts.File))
	if n == nil {
		return false, nil
	}
	b.plan = plan.New(b.scan)
	if err := b.plan.Add(n); err != nil {
		return false, err
	}
	if !b.plan.More() {
		return false, nil
	}
	if err := b.build(ctx); err != nil {
		return false, err
	}
	if !b.scan.Dirty(n) {
		// It came out as it was: go on, but look at all files again.
		b.scan.Reset()
		return false, nil
	}
	return true, nil
}

func (s *session) targets(ctx context.Context, b *builder, g *ninja.Graph) (int, error) {
	nodes, err := collect(g, b.logs.deps, s.opts.Targets)
	if err != nil {
		return 0, err
	}
	b.plan = plan.New(b.scan)
	for _, n := range nodes {
		if err := b.plan.Add(n); err != nil {
			return 0, err
		}
	}
	if !b.plan.More() {
		s.status.info("no work to do.")
		return exitOK, nil
	}
	end, err := b.begin(ctx, s)
	if err == nil {
		err = b.build(ctx)
	}
	end(err)
	var now fatalError
	switch {
	case err == nil:
		return exitOK, nil
	case errors.As(err, &now) || ninja.Fatal(err):
		return 0, err
	}
	s.status.info("build stopped: %v.", err)
	if errors.Is(err, errInterrupted) {
		return ExitInterrupted, nil
	}
	return exitFailed, nil
}
