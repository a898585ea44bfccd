package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/buildnet/buildnet/simulations"
	"github.com/buildnet/buildnet/simulations/check"
	"github.com/buildnet/buildnet/simulations/measure"
	"github.com/buildnet/buildnet/simulations/report"
	"github.com/buildnet/buildnet/simulations/scenario"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
)

// maxSeeds bounds --seeds: the summaries of all are kept.
const maxSeeds = 10_000

// maxTwice nodes are run twice unasked, which takes a second at most.
const maxTwice = 200

type simFlags struct {
	name          string
	nodes, seeds  int
	seed          uint64
	as            format
	trace, report string
	shrink        bool
}

func (a *app) simRunCommand() *cobra.Command {
	var o simFlags
	c := leaf(&cobra.Command{
		Use:   "run SCENARIO|FILE.yaml [--nodes N] [--seed S] [--seeds K] [--json] [--trace FILE] [--report FILE] [--shrink]",
		Short: "run a scenario",
		Long: "Runs a scenario of `buildnet sim list`, or one of a file of yours, and says how long\n" +
			"its builds took against the least that was possible, how busy the machines were,\n" +
			"what moved, what was wasted, and how long the mesh took to notice and to mend what\n" +
			"went wrong. docs/simulation.md explains the file and the figures.\n\n" +
			"The same scenario, size and seed do the same again: the hash says so. A mesh of up\n" +
			"to 200 nodes, and with --shrink any, runs twice to see that. Every run is judged by\n" +
			"the rules that the protocols promise; a broken one is shown with what led to it and\n" +
			"ends the command with status 1. The first Ctrl-C ends the run and prints what it\n" +
			"has.",
		Example: "  buildnet sim run office-100 --seeds 20 --report office.html",
		Args:    oneScenario,
		RunE: func(c *cobra.Command, args []string) error {
			o.name = args[0]
			if err := o.check(c); err != nil {
				return usage{err}
			}
			return a.simulate(c.Context(), o)
		},
	}, exitOK, exitFailed, exitUsage, exitInterrupted)
	f := c.Flags()
	f.SortFlags = false
	f.IntVar(&o.nodes, "nodes", 0, "make the mesh `N` nodes large, in the scenario's proportions")
	f.Uint64Var(&o.seed, "seed", 1, "draw all chance from `S`")
	f.IntVar(&o.seeds, "seeds", 1, "run `K` seeds from S on, and say how the figures lie")
	o.as.flag(c, "print one JSON object")
	f.StringVar(&o.trace, "trace", "", "write what happened to `FILE`, for chrome://tracing and Perfetto (the first seed)")
	f.StringVar(&o.report, "report", "", "write a page to `FILE`, with timeline, topology and utilisation (the first seed, or the one that breaks a rule)")
	f.BoolVar(&o.shrink, "shrink", false, "if a rule breaks, look for a smaller run that breaks it too")
	return c
}

// oneScenario is what sim run takes.
func oneScenario(_ *cobra.Command, args []string) error {
	switch len(args) {
	case 1:
		return nil
	case 0:
		return errors.New("it needs a scenario; `buildnet sim list` lists those that come with the program, or name a file of yours that ends with .yaml")
	default:
		return fmt.Errorf("%d scenarios: it runs one at a time; run the others after it", len(args))
	}
}

func (o *simFlags) check(c *cobra.Command) error {
	switch {
	case c.Flags().Changed("nodes") && o.nodes < 1:
		return fmt.Errorf("--nodes %d: want a positive number", o.nodes)
	case o.seeds < 1 || o.seeds > maxSeeds:
		return fmt.Errorf("--seeds %d: want 1 to %d", o.seeds, maxSeeds)
	case o.seed > math.MaxUint64-maxSeeds:
		return fmt.Errorf("--seed %d: want at most %d", o.seed, uint64(math.MaxUint64-maxSeeds))
	}
	return nil
}

// command is the command line that does one seed again.
func (o *simFlags) command(seed uint64) string {
	argv := []string{"buildnet", "sim", "run", o.name}
	if o.nodes > 0 {
		argv = append(argv, "--nodes", strconv.Itoa(o.nodes))
	}
	return shellQuoted(append(argv, "--seed", strconv.FormatUint(seed, 10)))
}

// simulated is one seed's run.
type simulated struct {
	setting *setting.Setting
	outcome *simulations.Outcome
	summary *measure.Summary
	record  *report.Record // of a seed behind the first; nil unless a page is to be written
}

func (a *app) simulate(ctx context.Context, o simFlags) error {
	simulations.CollectSeldom()
	s, err := loadScenario(o.name)
	if err != nil {
		return err
	}
	if a.sys.Screen == Terminal {
		restore := func() { fmt.Fprint(a.sys.Stderr, clearLine) }
		a.restore.Store(&restore)
	}
	first, err := o.setting(s, 0)
	if err != nil {
		return err
	}
	files, err := openSimFiles(o.report, o.trace, first)
	if err != nil {
		return err
	}
	runs, err := a.simulateSeeds(ctx, s, o, files.sinks())
	if err != nil {
		return errors.Join(err, files.end(nil))
	}
	last := runs[len(runs)-1]
	err = errors.Join(a.showSimulated(o, runs), files.end(o.page(runs, files.record)))
	switch {
	case last.outcome.Violation != nil:
		if err != nil {
			a.say("buildnet: %v\n", err)
		}
		return a.tellViolation(ctx, o, last)
	case err != nil:
		return err
	case last.outcome.Stopped:
		return errInterrupted
	default:
		return nil
	}
}

// setting is that of the seed number k.
func (o *simFlags) setting(s *scenario.Scenario, k int) (*setting.Setting, error) {
	set, err := s.Setting(o.seed+uint64(k), scenario.Scale{Nodes: o.nodes})
	if err != nil {
		return nil, usage{err}
	}
	return set, nil
}

// simulateSeeds runs the seeds up to one that breaks a rule or is interrupted.
// first are told of the events of the first one.
func (a *app) simulateSeeds(ctx context.Context, s *scenario.Scenario, o simFlags, first []trace.Sink) (runs []*simulated, err error) {
	for k := range o.seeds {
		one := &simulated{}
		if one.setting, err = o.setting(s, k); err != nil {
			return nil, err
		}
		sinks := first
		if k > 0 {
			sinks = nil
			if o.report != "" {
				one.record = report.NewRecord(one.setting)
				sinks = []trace.Sink{one.record}
			}
		}
		if err := a.simulateSeed(ctx, o, k, one, sinks); err != nil {
			return nil, fmt.Errorf("run scenario %s: %w", s.Name(), err)
		}
		if runs = append(runs, one); one.outcome.Violation != nil || one.outcome.Stopped {
			break
		}
		if k > 0 {
			one.setting, one.record = nil, nil // only the first is shown
		}
	}
	return runs, nil
}

// simulateSeed runs the seed number k.
func (a *app) simulateSeed(ctx context.Context, o simFlags, k int, one *simulated, sinks []trace.Sink) (err error) {
	measured := measure.New(one.setting)
	progress := a.simProgress(one.setting.Seed, k, o.seeds)
	defer progress.close()
	one.outcome, err = simulations.Run(ctx, one.setting, simulations.Options{
		Rules: check.All(), Sinks: append([]trace.Sink{measured}, sinks...), Progress: progress.show,
	})
	if err != nil {
		return err
	}
	if o.twice(one.setting) {
		again(ctx, one, progress.show)
	}
	one.summary = measured.Summary(one.outcome)
	return nil
}

// twice reports whether a run is done again to see that it is the same.
func (o *simFlags) twice(s *setting.Setting) bool { return o.shrink || len(s.Nodes) <= maxTwice }

// again does a run that came to its end once more. One that differs broke a
// rule.
func again(ctx context.Context, one *simulated, progress func(simulations.Progress)) {
	out := one.outcome
	if out.Stopped || out.Violation != nil {
		return
	}
	f, done := simulations.Again(ctx, one.setting, out.Hash, progress)
	switch {
	case !done:
		out.Stopped = true
	case f != nil:
		out.Violation, out.Last = &f.Violation, f.Last
	}
}

// page is that of the first run, or of the one that broke a rule.
func (o *simFlags) page(runs []*simulated, first *report.Record) *report.Page {
	if o.report == "" {
		return nil
	}
	shown, record := runs[0], first
	if last := runs[len(runs)-1]; last.outcome.Violation != nil && len(runs) > 1 {
		shown, record = last, last.record
	}
	p := &report.Page{Record: record, Summary: shown.summary, Command: o.command(shown.summary.Seed) + " --report " + shellQuoted([]string{o.report})}
	for _, r := range runs {
		p.Runs = append(p.Runs, r.summary)
	}
	if v := shown.outcome.Violation; v != nil {
		p.Broken = v.Rule + ": " + v.Text
	}
	return p
}
