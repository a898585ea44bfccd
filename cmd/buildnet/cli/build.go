package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/api/client"
	"github.com/buildnet/buildnet/node/config"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/ninja"
)

type buildFlags struct {
	dir       string
	targets   []string
	json      bool
	force     bool
	local     bool
	keepGoing bool
	resume    bool
	jobs      int
	whyLocal  bool
	trace     string
	policyFlags
}

func (a *app) buildCommand() *cobra.Command {
	var o buildFlags
	manifest := ninja.Defaults()
	c := leaf(&cobra.Command{
		Use: "build [-C DIR] [TARGET...|--resume [BUILD]] [--json] [--force] [--local] [--keep-going] [-j N] [--profile NAME] [--strategy S] [--partition X] [--why-local] [--trace FILE]\n" +
			"  buildnet build [-C DIR] [-f FILE] [TARGET...|-t TOOL] [--json] [--local] [-j N] [-k N] [--dry-run] [--verbose] [--quiet] [--why-local] [--trace FILE]\n" +
			"  buildnet build [-C DIR] [-j N] [--local] [--profile NAME] [--strategy S] [--partition X] [--json] [--why-local] [--trace FILE] -- COMMAND [ARG...]",
		Short: "build a project",
		Long: "Builds the project of this directory, or of the nearest one above that has a\n" +
			".buildnet/config.yaml, on all machines of the mesh. TARGET is a package, a step of\n" +
			"one, or the path of an output from the project's root; none is everything.\n\n" +
			"It uses the node of `buildnet node up`; where none runs it is a node itself for as\n" +
			"long as the build takes. The first Ctrl-C ends the build and keeps what had\n" +
			"finished, the second ends the command at once. `buildnet builds show` shows a build\n" +
			"again. --resume goes on with a build that ended with its machine.\n\n" +
			"Where there is a build.ninja and no such project, or with -f, it builds that as\n" +
			"ninja 1.11 does, and keeps ninja's own records: each can go on where the other has\n" +
			"stopped. What compilers do is done on all machines of the mesh, or known from\n" +
			"before; the rest here. TARGET is then a path as ninja takes it.\n\n" +
			"With -- it runs a COMMAND, such as make, whose compiles run on all machines of the\n" +
			"mesh. make gets -j with as many jobs as that is worth, unless it has a number. The\n" +
			"exit status is that of COMMAND, or 128 and the number of the signal that ended it.",
		Example: "  buildnet build -C ~/src/project api --keep-going",
		RunE: func(c *cobra.Command, args []string) error {
			if argv, is, err := commandOf(c, args); err != nil {
				return usage{err}
			} else if is {
				return a.buildIntercepted(c, o, argv)
			}
			o.targets = args
			ofNinja := wantsManifest(c, o.dir)
			if err := checkFlags(c, ofNinja); err != nil {
				return usage{err}
			}
			if c.Flags().Changed("jobs") && o.jobs < 1 && !ofNinja {
				return usage{fmt.Errorf("-j %d: want a positive number, or none for no bound", o.jobs)}
			}
			if err := o.check(); err != nil {
				return err
			}
			if ofNinja {
				return a.buildManifest(c, manifest, o)
			}
			if o.resume {
				if err := checkResume(c, args); err != nil {
					return usage{err}
				}
			}
			return a.build(c.Context(), o)
		},
	}, exitOK, exitFailed, exitUsage, exitUnreachable, exitInterrupted)
	f := c.Flags()
	f.SortFlags = false
	f.StringVarP(&o.dir, "dir", "C", ".", "build the project of `DIR`")
	f.BoolVar(&o.json, "json", false, "print one JSON object a line, as it happens; the last is build.finished")
	f.BoolVar(&o.force, "force", false, "execute every step of the targets again, and name results that differ")
	f.BoolVar(&o.local, "local", false, "ask no other machine for bytes or work; this one's cache counts")
	f.BoolVar(&o.keepGoing, "keep-going", false, "after a failure, go on with what does not need the failed step")
	f.BoolVar(&o.resume, "resume", false, "go on with the newest build of the project that did not end, or with the one named, as it was asked for")
	f.IntVarP(&o.jobs, "jobs", "j", 0, "run at most `N` steps at once, on all machines together")
	f.BoolVar(&o.whyLocal, "why-local", false, "say of each step that ran on this machine why it did; where none ran, of the build before")
	f.StringVar(&o.trace, "trace", "", "write to `FILE` what ran where and when, on all machines, as chrome://tracing and ui.perfetto.dev read it")
	addManifestFlags(f, &manifest)
	o.add(c, "use the mesh as the profile `NAME` says: see `buildnet profile list`")
	return c
}

// checkResume refuses what --resume would not heed: a build goes on as it was
// asked for.
func checkResume(c *cobra.Command, args []string) error {
	if err := takes("[BUILD]")(c, args); err != nil {
		return fmt.Errorf("--resume: %w", err)
	}
	for _, name := range []string{"force", "local", "keep-going", "jobs", "profile", "strategy", "partition"} {
		if c.Flags().Changed(name) {
			return fmt.Errorf("--resume goes on with a build as it was asked for; leave --%s away, or build anew without --resume", name)
		}
	}
	return nil
}

// build runs one build from the search for a node to the summary.
func (a *app) build(ctx context.Context, o buildFlags) error {
	root, err := config.ProjectRoot(o.dir)
	if err != nil {
		return usage{err}
	}
	if root, err = filepath.EvalSymlinks(root); err != nil {
		return usage{fmt.Errorf("project directory: %w", err)}
	}
	request := api.BuildRequest{
		Dir: root, Targets: o.targets, Force: o.force, Local: o.local, KeepGoing: o.keepGoing, Jobs: o.jobs,
		Profile: o.profile, Strategy: o.strategy, Partition: o.partition,
		Env: environment(a.sys.Environ),
	}
	if o.resume {
		request.Targets, request.Resume = []string{}, append(o.targets, api.Newest)[0]
	}
	return a.watching(ctx, o, root, a.viewOf(o), func(show *shown) error { return a.showBuilding(ctx, request, show) })
}

// outcome maps how a build ended to an error.
func outcome(ctx context.Context, f event.BuildFinished) error {
	switch {
	case f.OK:
		return nil
	case f.Cancelled || wasSignalled(ctx):
		return errInterrupted
	default:
		return errFailed
	}
}

// maxUnanswered is how often a node may hang up on us: once because it was
// about to end; a node that always does has a fault that the user must see.
const maxUnanswered = 3

// buildOn runs the build on the node that there is, or on one that it starts.
// A node that is about to end is waited for.
func (a *app) buildOn(ctx context.Context, r api.BuildRequest, show *shown) (session, error) {
	deadline := time.Now().Add(drainTime)
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for unanswered := 0; ; {
		s, err := a.connect(ctx)
		if err != nil {
			return session{}, err
		}
		err = a.request(ctx, s.Client, r, show)
		if errors.Is(err, client.ErrUnanswered) {
			unanswered++
		}
		if !ending(err) || unanswered == maxUnanswered || show.any || time.Now().After(deadline) {
			return s, err
		}
		if cerr := s.close(a, nothing); cerr != nil {
			return session{}, errors.Join(err, cerr)
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return session{}, errInterrupted
		}
	}
}

// ending reports whether err is that of a node that was about to end when we
// asked it.
func ending(err error) bool {
	var e *api.Error
	return errors.Is(err, client.ErrNoNode) || errors.Is(err, client.ErrUnanswered) || errors.As(err, &e) && e.Kind == api.Unavailable
}

// request asks a node for the build. A node of another user gets a stream over
// which it asks this process for every file operation.
func (a *app) request(ctx context.Context, c *client.Client, r api.BuildRequest, show *shown) error {
	if c.Foreign() {
		id, stream, err := c.OfferTree(ctx)
		if err != nil {
			return err
		}
		served := make(chan error, 1)
		go func() { served <- serveTree(ctx, stream, r.Dir) }()
		// The stream's end is the build's: what serving it says then is no news.
		defer func() { _ = stream.Close(); <-served }()
		r.TreeID = id
	}
	return c.Build(ctx, r, show.line)
}

// environment makes a map of an environment; the last of a name counts.
func environment(environ []string) map[string]string {
	env := make(map[string]string, len(environ))
	for _, e := range environ {
		// Windows has variables like "=C:", which are no environment of a command.
		if name, value, ok := strings.Cut(e, "="); ok && name != "" {
			env[name] = value
		}
	}
	return env
}

// showCursor undoes what a live view does to the terminal.
const showCursor = "\x1b[?25h\r\n"

// shown passes a build's events to a view and remembers the last.
type shown struct {
	view    view
	lines   func(line []byte) error // nil unless --json
	any     bool
	summary *event.BuildFinished
	// watchers are told of every event, and when it came.
	watchers []func(event.Event, time.Time)
	closed   bool
	// screen makes the terminal usable again without closing the view.
	screen func()
}

// view shows a build to people. Its methods are not called concurrently.
type view interface {
	event(e event.Event)
	// close ends the view; after it, lines may be printed.
	close()
}

// viewOf chooses how to show a build.
func (a *app) viewOf(o buildFlags) *shown {
	switch {
	case o.json:
		return &shown{view: silent{}, lines: func(line []byte) error { return a.print("%s\n", line) }, screen: func() {}}
	case a.sys.Screen == Terminal:
		live := newLive(a.sys.Stdout, a.sys.Stderr)
		return &shown{view: live, screen: func() { fmt.Fprint(a.sys.Stderr, showCursor) }}
	default:
		return &shown{view: newPlain(a.sys.Stdout, a.sys.Stderr), screen: func() {}}
	}
}

// line takes one event as it came.
func (s *shown) line(line []byte) error {
	s.any = true
	if s.lines != nil {
		if err := s.lines(line); err != nil {
			return err
		}
	}
	e, err := event.Decode(line)
	if err != nil {
		return nil //nolint:nilerr // an event that a newer node added
	}
	if f, ok := e.(event.BuildFinished); ok {
		s.summary = &f
	}
	for _, w := range s.watchers {
		w(e, time.Now())
	}
	s.view.event(e)
	return nil
}

// close ends the view and returns the summary, if there was one.
func (s *shown) close() *event.BuildFinished {
	if !s.closed {
		s.closed = true
		s.view.close()
	}
	return s.summary
}

// silent shows nothing.
type silent struct{}

func (silent) event(event.Event) {}
func (silent) close()            {}
