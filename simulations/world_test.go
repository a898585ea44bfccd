package simulations

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/network"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
	"github.com/buildnet/buildnet/simulations/workload"
)

// office is nodes on one LAN without a fault.
func office(nodes int, graphs ...*workload.Graph) *setting.Setting {
	s := &setting.Setting{
		Name: "office", Seed: 1, Limit: 5 * time.Minute,
		Network: network.Config{
			Sites: []network.Site{{Name: "office", Local: network.Path{
				Latency: 200 * time.Microsecond, Jitter: 100 * time.Microsecond, Bandwidth: 125e6,
			}}},
			Site: make([]int, nodes),
		},
		Membership: setting.StandardMembership(), Lookup: setting.StandardLookup(), Overheads: setting.StandardOverheads(),
	}
	for range nodes {
		s.Nodes = append(s.Nodes, setting.Node{BPU: 1, Slots: 4})
	}
	for i, g := range graphs {
		s.Builds = append(s.Builds, setting.Build{Initiator: i % nodes, Graph: g})
	}
	return s
}

// watch keeps the events of some kinds.
type watch struct {
	counts map[trace.Kind]int
	events []trace.Event
	kinds  map[trace.Kind]bool
}

func watching(kinds ...trace.Kind) *watch {
	w := &watch{counts: map[trace.Kind]int{}, kinds: map[trace.Kind]bool{}}
	for _, k := range kinds {
		w.kinds[k] = true
	}
	return w
}

func (w *watch) Observe(e *trace.Event) {
	w.counts[e.Kind]++
	if w.kinds[e.Kind] {
		w.events = append(w.events, *e)
	}
}

// of are the events of one kind.
func (w *watch) of(k trace.Kind) []trace.Event {
	var of []trace.Event
	for _, e := range w.events {
		if e.Kind == k {
			of = append(of, e)
		}
	}
	return of
}

func run(t testing.TB, s *setting.Setting, sinks ...trace.Sink) *Outcome {
	t.Helper()
	o, err := Run(context.Background(), s, Options{Sinks: sinks})
	if err != nil {
		t.Fatal(err)
	}
	if o.Violation != nil {
		for i := range o.Last {
			t.Log(o.Last[i].String(nil))
		}
		t.Fatalf("%s: %s", o.Violation.Rule, o.Violation.Text)
	}
	return o
}

func TestABuildAnnouncesEveryStepOnce(t *testing.T) {
	s := office(5, workload.Compile(40))
	w := watching(trace.Announced, trace.Over)
	o := run(t, s, w)
	seen := map[int]int{}
	for _, e := range w.of(trace.Announced) {
		seen[e.Step]++
		if e.Digest == 0 || e.Value == 0 {
			t.Errorf("%s: without a digest or a place in the log", e.String(nil))
		}
	}
	for i := range s.Builds[0].Graph.Steps {
		if seen[i] != 1 {
			t.Errorf("step %d was announced %d times", i, seen[i])
		}
	}
	over := w.of(trace.Over)
	if len(over) != 1 || over[0].Value != int64(steal.Completed) {
		t.Errorf("the build ended %v", over)
	}
	t.Log(o.Ended, o.Events, w.counts)
}

func TestTheSameSettingRunsTheSameWay(t *testing.T) {
	s := office(12, workload.Compile(60), workload.Layers(10, 6), workload.Compile(60))
	first, second := run(t, s), run(t, s)
	if first.Hash != second.Hash || first.Events != second.Events {
		t.Errorf("two runs: %x of %d events, %x of %d", first.Hash, first.Events, second.Hash, second.Events)
	}
	s.Seed = 2
	if other := run(t, s); other.Hash == first.Hash {
		t.Errorf("another seed has the same hash %x", other.Hash)
	}
}

func TestWorldsSideBySideAreAsIfAlone(t *testing.T) {
	settings := []*setting.Setting{office(4, workload.Layers(3, 4)), office(6, workload.Compile(20))}
	settings[1].Seed = 2
	outcomes, err := RunTogether(t.Context(), settings, func(*setting.Setting) Options { return Options{} })
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range settings {
		alone, err := Run(t.Context(), s, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if o := outcomes[i]; o.Hash != alone.Hash || o.Events != alone.Events || o.Ended != alone.Ended || o.Stopped {
			t.Errorf("world %d: %+v, alone %+v", i, o, alone)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if outcomes, err = RunTogether(ctx, settings, func(*setting.Setting) Options { return Options{} }); err != nil || !outcomes[0].Stopped || !outcomes[1].Stopped {
		t.Errorf("an interrupt: %+v, %v", outcomes, err)
	}
}

func TestBuildsThatShareActionsExecuteThemOnce(t *testing.T) {
	s := office(6, workload.Compile(40), workload.Compile(40))
	s.Builds[1].At = 1200 * time.Millisecond
	w := watching(trace.RunEnded, trace.Waits, trace.Found)
	run(t, s, w)
	times := map[uint64]int{}
	for _, e := range w.of(trace.RunEnded) {
		times[e.Digest]++
	}
	for digest, n := range times {
		if n != 1 {
			t.Errorf("action %x was executed %d times", digest, n)
		}
	}
	if len(w.of(trace.Waits)) == 0 || len(w.of(trace.Found)) == 0 {
		t.Errorf("%d waited for another build, %d results were found; want some of both", len(w.of(trace.Waits)), len(w.of(trace.Found)))
	}
}

func TestAPanicIsABrokenRule(t *testing.T) {
	w, err := New(office(1), Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.after(0, func() { panic("on cue") })
	w.Until(func() bool { return w.Violation() != nil }, time.Second)
	if v := w.Violation(); v == nil || v.Rule != "no machine panics" || !strings.HasPrefix(v.Text, "on cue, in simulations.TestAPanicIsABrokenRule") {
		t.Errorf("the violation is %+v", v)
	}
}
