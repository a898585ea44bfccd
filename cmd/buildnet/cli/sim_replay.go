package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/simulations/replay"
	"github.com/buildnet/buildnet/simulations/report"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
)

// replaySeeds is how many runs a replay has unless the user says otherwise.
const replaySeeds = 5

type replayFlags struct {
	build                   []string
	add, remove, kill, ways []string
	seeds                   int
	as                      format
	trace, report           string
}

func (a *app) simReplayCommand() *cobra.Command {
	var o replayFlags
	c := leaf(&cobra.Command{
		Use:   "replay [BUILD] [--add N@BPU]... [--remove PEER]... [--kill WHO@WHEN]... [--latency A:B=TIME]... [--seeds K] [--json] [--trace FILE] [--report FILE]",
		Short: "replay a build, and ask what would have been if",
		Long: "Does a build of `buildnet builds` again in a simulation, with its own steps, timings\n" +
			"and mesh, and says how long it takes there beside what it really took. BUILD is an\n" +
			"ID, or its beginning; none is the newest. With changes of the mesh it also says how\n" +
			"long the build would have taken then.\n\n" +
			"A PEER is a name of `buildnet node ls`, or the beginning or the end of an ID. A step\n" +
			"costs what it took where it ran; what was known then takes no time. A build of\n" +
			"ninja, of make or the like has no graph that could be replayed. The first Ctrl-C\n" +
			"ends the runs and prints what there is.",
		Example: "  buildnet sim replay 3f9a --add 2@1.5/8 --kill leader@50%",
		Args:    takes("[BUILD]"),
		RunE: func(c *cobra.Command, args []string) error {
			o.build = args
			return a.replay(c.Context(), o)
		},
	}, exitOK, exitFailed, exitUsage, exitUnreachable, exitInterrupted)
	f := c.Flags()
	f.SortFlags = false
	f.StringArrayVar(&o.add, "add", nil, "add `N@BPU` machines, or N@BPU/SLOTS; without SLOTS they have as many as the initiator")
	f.StringArrayVar(&o.remove, "remove", nil, "leave `PEER` out")
	f.StringArrayVar(&o.kill, "kill", nil, "kill `WHO@WHEN`: leader, standby, worker or a peer, at a share of the steps (50%) or a time (2.5s)")
	f.StringArrayVar(&o.ways, "latency", nil, "give the way between two peers another latency, `A:B=TIME`, one way")
	f.IntVar(&o.seeds, "seeds", replaySeeds, "run `K` seeds, and take the median")
	o.as.flag(c, "print one JSON object")
	f.StringVar(&o.trace, "trace", "", "write what happened to `FILE`, for chrome://tracing and Perfetto (the first seed)")
	f.StringVar(&o.report, "report", "", "write a page to `FILE`, with timeline, topology and utilisation (the first seed)")
	return c
}

// changes are what the flags ask for.
func (o *replayFlags) changes() (c replay.Changes, err error) {
	if o.seeds < 1 || o.seeds > maxSeeds {
		return c, fmt.Errorf("--seeds %d: want 1 to %d", o.seeds, maxSeeds)
	}
	c.Remove = o.remove
	for _, text := range o.add {
		m, err := replay.ParseMachines(text)
		if err != nil {
			return c, fmt.Errorf("--add: %w", err)
		}
		c.Add = append(c.Add, m)
	}
	for _, text := range o.kill {
		k, err := replay.ParseKill(text)
		if err != nil {
			return c, fmt.Errorf("--kill: %w", err)
		}
		c.Kill = append(c.Kill, k)
	}
	for _, text := range o.ways {
		w, err := replay.ParseWay(text)
		if err != nil {
			return c, fmt.Errorf("--latency: %w", err)
		}
		c.Ways = append(c.Ways, w)
	}
	return c, nil
}

// command is the command line that does the same again.
func (o *replayFlags) command(build string) string {
	argv := []string{"buildnet", "sim", "replay", build}
	for _, flag := range []struct {
		name   string
		values []string
	}{{"--add", o.add}, {"--remove", o.remove}, {"--kill", o.kill}, {"--latency", o.ways}} {
		for _, value := range flag.values {
			argv = append(argv, flag.name, value)
		}
	}
	return shellQuoted(append(argv, "--seeds", fmt.Sprint(o.seeds), "--report", o.report))
}

func (a *app) replay(ctx context.Context, o replayFlags) error {
	changes, err := o.changes()
	if err != nil {
		return usage{err}
	}
	var rec event.Recording
	err = a.inSession(ctx, func(ctx context.Context, s session) error {
		id, err := buildID(ctx, s, o.build)
		if err != nil {
			return err
		}
		rec, err = s.Recording(ctx, id)
		return err
	})
	if err != nil {
		return err
	}
	f, err := a.predict(ctx, o, &rec, changes)
	if errors.Is(err, replay.ErrChange) {
		return usage{err}
	}
	if f == nil {
		return err
	}
	return errors.Join(err, a.showForecast(f, o))
}

// predict runs the replays, and writes what was asked for of the first run.
func (a *app) predict(ctx context.Context, o replayFlags, rec *event.Recording, changes replay.Changes) (f *replay.Forecast, err error) {
	if a.sys.Screen == Terminal {
		restore := func() { fmt.Fprint(a.sys.Stderr, clearLine) }
		a.restore.Store(&restore)
	}
	line := a.simProgress(1, 0, 1)
	line.label = "replay"
	defer line.close()
	files := &simFiles{}
	f, err = replay.Predict(ctx, rec, changes, replay.Options{Seeds: o.seeds, Progress: line.show, Sinks: func(s *setting.Setting) ([]trace.Sink, error) {
		opened, err := openSimFiles(o.report, o.trace, s)
		if err != nil {
			return nil, err
		}
		files = opened
		return files.sinks(), nil
	}})
	return f, errors.Join(err, files.end(o.page(f, changes.Any(), files.record)))
}

// page is that of the first run, with the changes if there are any.
func (o *replayFlags) page(f *replay.Forecast, changed bool, record *report.Record) *report.Page {
	if f == nil || record == nil || changed && f.Changed == nil || len(f.Shown().Runs) == 0 {
		return nil
	}
	runs := f.Shown().Runs
	return &report.Page{Record: record, Summary: runs[0], Runs: runs, Command: o.command(f.Build)}
}

func (a *app) showForecast(f *replay.Forecast, o replayFlags) error {
	if o.as == asLine {
		return a.printJSON(f)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "build %s: %s executed\n", f.Build, plural(f.Steps, "step"))
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "  it took\t%s\t\n", span(f.Took))
	caseRow(w, "replayed", &f.Same, f.Took, "what it took")
	if f.Changed != nil {
		caseRow(w, "with the changes", f.Changed, f.Same.Makespan.Median, "the replay")
	}
	_ = w.Flush() // into memory
	if n := f.Shown().Unfinished; n > 0 {
		fmt.Fprintf(&b, "%d of %s did not complete: a build ends with the peer that asked for it, which may be its leader; kill another one with --kill PEER@WHEN\n", n, plural(len(f.Shown().Runs), "run"))
	}
	if f.Lost > 0 {
		fmt.Fprintf(&b, "the build lost %s; in the replay none dies unless --kill says so\n", plural(f.Lost, "leader"))
	}
	fmt.Fprintf(&b, "assumed: %s\n", f.Assumed)
	return a.print("%s", b.String())
}

// caseRow tells a case beside the time that it is compared with.
func caseRow(w *tabwriter.Writer, name string, c *replay.Case, than float64, what string) {
	if c.Makespan.Count == 0 {
		fmt.Fprintf(w, "  %s\t-\t\ton %s\n", name, plural(c.Peers, "peer"))
		return
	}
	m, ratio := c.Makespan, 0.0
	if than > 0 {
		ratio = m.Median / than
	}
	fmt.Fprintf(w, "  %s\t%s\t%.2f of %s\t%s to %s in %s, on %s; %s is the least possible\n", name, span(m.Median), ratio, what,
		span(m.Min), span(m.Max), plural(m.Count, "run"), plural(c.Peers, "peer"), span(c.Bound))
}

func span(s float64) string { return seconds(time.Duration(s * float64(time.Second))) }
