package replay

import (
	"context"
	"fmt"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/simulations"
	"github.com/buildnet/buildnet/simulations/measure"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
)

// Assumed is what every replay takes for granted.
const Assumed = "each step costs what it took where it ran, by that peer's BPU; peers on one machine wait for its cores as they did; " +
	"new machines have nothing else to do, every toolchain, and the usual latency"

// Forecast is what a build took, and what it takes in the simulation.
type Forecast struct {
	Build string `json:"build"`
	// Steps are those that were executed.
	Steps int     `json:"steps"`
	Took  float64 `json:"took_s"`
	// Same is with nothing changed, and Ratio its median by what it took.
	Same  Case    `json:"same"`
	Ratio float64 `json:"ratio"`
	// Changed is with the changes; nil without any.
	Changed *Case  `json:"changed,omitempty"`
	Assumed string `json:"assumed"`
	// Lost is how many leaders the build lost: in the replay none dies unasked.
	Lost int `json:"lost_leaders,omitempty"`
}

// Case is the runs of one setting over several seeds.
type Case struct {
	Peers     int            `json:"peers"`
	Makespan  measure.Spread `json:"makespan_s"`
	Bound     float64        `json:"bound_s"`
	Takeovers float64        `json:"takeovers"` // of a leader, in the middle
	// Unfinished are the runs in which the build did not complete.
	Unfinished int `json:"unfinished,omitempty"`

	Runs []*measure.Summary `json:"-"`
}

// Shown is what the user asked for: the build with the changes, or as it was.
func (f *Forecast) Shown() *Case {
	if f.Changed != nil {
		return f.Changed
	}
	return &f.Same
}

// Options are how a forecast is made.
type Options struct {
	// Seeds are how many runs there are of each setting; 0 is one.
	Seeds int
	// Sinks, if not nil, is called before anything runs, and returns what is told
	// of the events of the first run of the setting that Shown is of.
	Sinks func(*setting.Setting) ([]trace.Sink, error)
	// Progress, if not nil, is called as simulations.Options say.
	Progress func(simulations.Progress)
}

// Predict replays a build as it was and, if there are changes, with these. When
// ctx ends it returns what there is of the last setting, beside ctx's error.
func Predict(ctx context.Context, rec *event.Recording, c Changes, o Options) (*Forecast, error) {
	same, err := Setting(rec, Changes{})
	if err != nil {
		return nil, err
	}
	changed, err := Setting(rec, c)
	if err != nil {
		return nil, err
	}
	f := &Forecast{Build: rec.Build, Steps: len(same.Builds[0].Graph.Steps), Took: Took(rec).Seconds(), Assumed: Assumed, Lost: max(0, len(rec.Reigns)-1)}
	var shown []trace.Sink
	if o.Sinks != nil {
		first := *changed
		first.Seed = firstSeed
		if shown, err = o.Sinks(&first); err != nil {
			return nil, err
		}
	}
	if !c.Any() {
		return f, f.same(ctx, same, o, shown)
	}
	if err := f.same(ctx, same, o, nil); err != nil {
		return f, err
	}
	f.Changed = &Case{}
	return f, f.Changed.run(ctx, changed, o, shown)
}

const firstSeed = 1

// same replays the build as it was.
func (f *Forecast) same(ctx context.Context, s *setting.Setting, o Options, first []trace.Sink) error {
	err := f.Same.run(ctx, s, o, first)
	if f.Took > 0 {
		f.Ratio = f.Same.Makespan.Median / f.Took
	}
	return err
}

// run runs a setting with each seed; first are told of the first run.
func (c *Case) run(ctx context.Context, s *setting.Setting, o Options, first []trace.Sink) error {
	c.Peers, c.Bound = len(s.Nodes), Bound(s).Seconds()
	defer c.sum()
	for seed := range max(1, o.Seeds) {
		with := *s
		with.Seed = uint64(seed) + firstSeed
		m := measure.New(&with)
		sinks := []trace.Sink{m}
		if seed == 0 {
			sinks = append(sinks, first...)
		}
		out, err := simulations.Run(ctx, &with, simulations.Options{Sinks: sinks, Progress: o.Progress})
		if err != nil {
			return fmt.Errorf("replay with seed %d: %w", with.Seed, err)
		}
		if out.Stopped {
			break
		}
		if v := out.Violation; v != nil {
			return fmt.Errorf("replay with seed %d: the rule %q is broken: %s; that is a bug in BuildNet, please report it", with.Seed, v.Rule, v.Text)
		}
		c.Runs = append(c.Runs, m.Summary(out))
	}
	return ctx.Err()
}

func (c *Case) sum() {
	completed := func(s *measure.Summary) bool { return s.Completed == 1 }
	c.Makespan = measure.Over(c.Runs, func(s *measure.Summary) (float64, bool) { return s.Makespan.Median, completed(s) })
	c.Takeovers = measure.Over(c.Runs, func(s *measure.Summary) (float64, bool) { return float64(s.Takeovers), completed(s) }).Median
	c.Unfinished = len(c.Runs) - c.Makespan.Count
}
