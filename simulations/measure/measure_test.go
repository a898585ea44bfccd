package measure_test

import (
	"context"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations"
	"github.com/buildnet/buildnet/simulations/measure"
	"github.com/buildnet/buildnet/simulations/scenario"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
	"github.com/buildnet/buildnet/simulations/workload"
)

// three nodes of 2 BPU and two slots; the third is in another gossip group. A
// build of three steps of 4 BPU-seconds each is asked for on the first.
func three() *setting.Setting {
	return &setting.Setting{
		Name: "three", Seed: 7,
		Nodes: []setting.Node{{Name: "a", BPU: 2, Slots: 2}, {Name: "b", BPU: 2, Slots: 2}, {Name: "c", BPU: 2, Slots: 2, Cell: 1}},
		Builds: []setting.Build{{Name: "x", Graph: &workload.Graph{Steps: []workload.Step{
			{Name: "1", Content: "1", Cost: 4}, {Name: "2", Content: "2", Cost: 4}, {Name: "3", Content: "3", Cost: 4, Deps: []int{0, 1}},
		}}}},
	}
}

// at is an event of build 0.
func at(seconds float64, k trace.Kind, change func(*trace.Event)) trace.Event {
	e := trace.Event{At: time.Duration(seconds * float64(time.Second)), Kind: k, Peer: trace.None}
	if change != nil {
		change(&e)
	}
	return e
}

func on(node, step int, digest uint64) func(*trace.Event) {
	return func(e *trace.Event) { e.Node, e.Step, e.Digest = node, step, digest }
}

func epoch(number uint64, leader int) func(*trace.Event) {
	return func(e *trace.Event) { e.Node, e.Epoch = leader, trace.Epoch{Number: number, Leader: leader} }
}

func summaryOf(events []trace.Event, o simulations.Outcome) *measure.Summary {
	m := measure.New(three())
	for i := range events {
		m.Observe(&events[i])
	}
	return m.Summary(&o)
}

// story is a build whose leader, b, dies; a executes again what b had done.
var story = []trace.Event{
	at(0, trace.Up, func(e *trace.Event) { e.Node = 0 }),
	at(0, trace.Up, func(e *trace.Event) { e.Node = 1 }),
	at(0, trace.Up, func(e *trace.Event) { e.Node = 2 }),
	at(1, trace.Began, func(e *trace.Event) { e.Value = 3 }),
	at(1, trace.Led, epoch(1, 1)),
	at(1, trace.Elected, func(e *trace.Event) { e.Peer, e.Epoch = 1, trace.Epoch{Number: 1, Leader: 1} }),
	at(1, trace.Assigned, func(e *trace.Event) { e.Node, e.Peer, e.Epoch = 1, 1, trace.Epoch{Number: 1, Leader: 1} }),
	at(1, trace.Assigned, func(e *trace.Event) { e.Node, e.Peer, e.Epoch = 1, 0, trace.Epoch{Number: 1, Leader: 1} }),
	at(1, trace.RunBegan, on(1, 0, 10)),
	at(1, trace.RunBegan, on(0, 1, 11)),
	at(3, trace.RunEnded, on(1, 0, 10)),
	at(3, trace.RunEnded, on(0, 1, 11)),
	at(3, trace.Announced, on(0, 1, 0)),
	at(3, trace.RunBegan, on(1, 2, 12)),
	at(4, trace.Down, func(e *trace.Event) { e.Node = 1 }),
	at(4, trace.RunCut, on(1, 2, 12)),
	at(5, trace.Led, epoch(2, 0)),
	at(5.5, trace.Elected, func(e *trace.Event) { e.Peer, e.Epoch = 0, trace.Epoch{Number: 2, Leader: 0} }),
	at(5.5, trace.Logged, func(e *trace.Event) { e.Peer, e.Text = 1, trace.OpGone }),
	at(6, trace.Assigned, func(e *trace.Event) { e.Node, e.Peer, e.Epoch = 0, 0, trace.Epoch{Number: 2, Leader: 0} }),
	at(6, trace.RunBegan, on(0, 0, 10)),
	at(7, trace.Suspected, func(e *trace.Event) { e.Node, e.Peer = 2, 1 }),
	at(8, trace.RunEnded, on(0, 0, 10)),
	at(8, trace.Announced, on(0, 0, 0)),
	at(8, trace.RunBegan, on(0, 2, 12)),
	at(8, trace.Sent, func(e *trace.Event) { e.Value, e.Peer = 100, 1 }),
	at(8, trace.Looked, func(e *trace.Event) { e.Value, e.Digest = 3, uint64(time.Second) }),
	at(10, trace.RunEnded, on(0, 2, 12)),
	at(10, trace.Announced, on(0, 2, 0)),
	at(11, trace.Deposed, func(e *trace.Event) { e.Epoch, e.Value = trace.Epoch{Number: 2, Leader: 0}, 30 }),
	at(11, trace.Over, func(e *trace.Event) { e.Value = int64(steal.Completed) }),
}

func one(v float64) measure.Spread {
	return measure.Spread{Count: 1, Min: v, Median: v, P90: v, P99: v, Max: v, Mean: v}
}

func TestFiguresAreAsDefined(t *testing.T) {
	got := summaryOf(story, simulations.Outcome{Hash: 0xabc, Events: 32, Ended: 12 * time.Second, Traffic: simulations.Traffic{
		Gossip: []float64{12, 24, 36}, MessageBytes: []int64{600, 300, 0},
	}})
	want := &measure.Summary{
		Scenario: "three", Seed: 7, Nodes: 3, Cells: 2, Hash: "0000000000000abc", Events: 32, Ended: 12,
		Builds:    []measure.Build{{Name: "x", Initiator: "a", Steps: 3, Announced: 3, End: "completed", Asked: 0, Makespan: 10, Bound: 4, Takeovers: 1}},
		Completed: 1, Steps: 3, Announced: 3, Makespan: one(10), Ratio: one(2.5),
		// Of a and b: 4 slots for 3 seconds, then 2 for 7; runs of 2, 2, 1, 2 and
		// 2 seconds.
		Utilisation: 9. / 26,
		Assigned:    3, Stolen: 1,
		Executed: 3, ExecutedWork: 12, Cut: 1, CutWork: 2, Again: 1, AgainWork: 4, Wasted: 6. / 18,
		Blobs: 100, Messages: 900,
		Suspected: one(3), Noticed: one(1.5), Takeovers: 1, Elected: one(1.5), Handover: one(2),
		// b's reign took 3 seconds and ended with its death, a's took 6.
		LeaderRate:  one(5),
		LeaderBytes: one(100),
		Hops:        one(3), LookupTime: one(1), Gossip: measure.SpreadOf([]float64{1, 2, 3}),
	}
	want.LeaderBytes.Count = 2
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsNotOverIsSaidSo(t *testing.T) {
	got := summaryOf(story[:20], simulations.Outcome{Stopped: true, Ended: 6 * time.Second})
	if got.Builds[0].End != "running" || got.Completed != 0 || got.Makespan.Count != 0 || !got.Stopped {
		t.Errorf("%+v", got)
	}
	if got := summaryOf(story[:2], simulations.Outcome{}); got.Builds[0].End != "never began" || got.Utilisation != 0 {
		t.Errorf("%+v", got)
	}
}

func TestSpread(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(-1e6, 1e6), 1, 300).Draw(t, "values")
		s := measure.SpreadOf(slices.Clone(values))
		if s.Min != slices.Min(values) || s.Max != slices.Max(values) || s.Count != len(values) {
			t.Fatalf("%+v", s)
		}
		for q, v := range map[float64]float64{0.5: s.Median, 0.9: s.P90, 0.99: s.P99} {
			notAbove, below := 0, 0
			for _, x := range values {
				if x <= v {
					notAbove++
				}
				if x < v {
					below++
				}
			}
			if n := int(math.Ceil(q * float64(len(values)))); notAbove < n || below >= n {
				t.Fatalf("quantile %g is %g", q, v)
			}
		}
	})
}

func TestFiguresOfARealRunAddUp(t *testing.T) {
	s, err := scenario.Builtin("leader-dies")
	if err != nil {
		t.Fatal(err)
	}
	set, err := s.Setting(1, scenario.Scale{})
	if err != nil {
		t.Fatal(err)
	}
	m := measure.New(set)
	o, err := simulations.Run(context.Background(), set, simulations.Options{Sinks: []trace.Sink{m}})
	if err != nil {
		t.Fatal(err)
	}
	got := m.Summary(o)
	if got.Completed != 1 || got.Announced != got.Steps || got.Takeovers < 1 || got.Elected.Count < 1 || got.Handover.Count < 1 {
		t.Errorf("%+v", got)
	}
	if got.Ratio.Min < 1 || got.Utilisation <= 0 || got.Utilisation > 1 || got.Wasted < 0 || got.Wasted > 0.5 || got.Blobs == 0 || got.Messages == 0 {
		t.Errorf("%+v", got)
	}
	if work := set.Builds[0].Graph.Work(); math.Abs(got.ExecutedWork-work) > work/100 {
		t.Errorf("%g BPU-seconds were executed, the build has %g", got.ExecutedWork, work)
	}
}
