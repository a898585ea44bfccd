// Package makespan measures how long builds take in the simulated world when
// nothing goes wrong, on machines of unequal speed, against what is possible:
// by strategy, by shape of the graph, and by what was known of the steps
// beforehand. Each figure follows from its seeds. Start reading at Draw, then at
// Measure.
package makespan

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
	"github.com/buildnet/buildnet/simulations/workload"
)

// Result is one build.
type Result struct {
	// Took is from the election to the last announcement: without the reading of
	// sources before it and the writing of outputs after it.
	Took time.Duration
	// Bound is workload.LowerBound, Sharp and HEFT are as the functions say, in
	// seconds.
	Bound, Sharp, HEFT float64
}

// Measure runs the one build of a setting.
func Measure(ctx context.Context, s *setting.Setting) (Result, error) {
	w := &watch{}
	o, err := simulations.Run(ctx, s, simulations.Options{Sinks: []trace.Sink{w}})
	switch {
	case err != nil:
		return Result{}, err
	case o.Violation != nil:
		return Result{}, fmt.Errorf("seed %d: %s: %s", s.Seed, o.Violation.Rule, o.Violation.Text)
	case !w.completed:
		return Result{}, fmt.Errorf("seed %d: the build was not completed", s.Seed)
	}
	return Result{Took: w.last - w.first}, nil
}

// Bounds adds what a result is compared with.
func (r *Result) Bounds(s *setting.Setting) {
	g, on := s.Builds[0].Graph, make([]workload.Machine, len(s.Nodes))
	for i := range s.Nodes {
		on[i] = workload.Machine{BPU: s.Nodes[i].BPU, Slots: s.Nodes[i].Slots}
	}
	r.Bound, r.Sharp, r.HEFT = workload.LowerBound(g, on).Seconds(), Sharp(g, on), HEFT(g, on)
}

// watch notes when a build begins and when its last step is announced.
type watch struct {
	first, last time.Duration
	led         bool
	completed   bool
}

// Observe implements trace.Sink.
func (w *watch) Observe(e *trace.Event) {
	switch e.Kind {
	case trace.Led:
		if !w.led {
			w.led, w.first = true, e.At
		}
	case trace.Announced:
		w.last = e.At
	case trace.Over:
		w.completed = steal.Reason(e.Value) == steal.Completed
	}
}

// Spread is a distribution in three figures.
type Spread struct{ Median, P90, P99 float64 }

// Of returns the spread of some values, of which there is at least one.
func Of(values []float64) Spread {
	sorted := slices.Sorted(slices.Values(values))
	at := func(share float64) float64 { return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))] }
	return Spread{at(0.5), at(0.9), at(0.99)}
}

// String returns the three figures with two decimals.
func (s Spread) String() string { return fmt.Sprintf("%.2f | %.2f | %.2f", s.Median, s.P90, s.P99) }
