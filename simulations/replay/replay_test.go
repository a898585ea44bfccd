package replay_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/simulations"
	"github.com/buildnet/buildnet/simulations/fault"
	"github.com/buildnet/buildnet/simulations/replay"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
	"github.com/buildnet/buildnet/simulations/workload"
)

// recorded is a build of two compiles, on two of three peers, and a link; one
// more compile was known.
func recorded() *event.Recording {
	ms := func(n int64) int64 { return n * 1000 }
	ran := func(name string, peer int, deps []int, start, run int64) event.RecordedStep {
		return event.RecordedStep{
			Name: name, Deps: deps, Status: event.Executed, Peer: peer, InputBytes: 5000, FreshBytes: 1000, OutputBytes: 2000, Toolchain: 1,
			StartedUS: ms(start), RunUS: ms(run), FetchUS: ms(2), UploadUS: ms(1), SecureUS: ms(1), FinishedUS: ms(start + run + 3),
		}
	}
	return &event.Recording{
		Build: "b1",
		Peers: []event.RecordedPeer{
			{Peer: "12D3KooWaaaaaaa1", Name: "desk", BPU: 2, Slots: 4, Cores: 4},
			{Peer: "12D3KooWbbbbbbb2", Name: "rack", BPU: 2, Slots: 8, Cores: 8, RTTUS: 800},
			{Peer: "12D3KooWccccccc3", Name: "rack", BPU: 2, Slots: 8, Cores: 8, RTTUS: 600},
		},
		Ways:       []event.RecordedWay{{A: 0, B: 1, RTTUS: 1000}, {A: 1, B: 2, RTTUS: 200}},
		Reigns:     []event.Reign{{Leader: 0, Epoch: 1, SinceUS: ms(50)}},
		Marks:      event.Marks{PlannedUS: ms(40), ElectedUS: ms(50), AnnouncedUS: ms(1400), ScheduledUS: ms(1400), PlacedUS: ms(1410), TotalUS: ms(1415)},
		Toolchains: []string{"cc:cc@11111111"},
		Steps: []event.RecordedStep{
			{Name: "known.o", Status: event.CachedLocal, Peer: -1, OutputBytes: 10},
			ran("a.o", 0, nil, 60, 500),
			ran("b.o", 1, nil, 70, 1000),
			{Name: "gen", Deps: []int{1}, Status: event.CachedMesh, Peer: -1},
			ran("prog", 0, []int{0, 2, 3}, 1080, 300),
		},
	}
}

func set(t *testing.T, rec *event.Recording, c replay.Changes) *setting.Setting {
	t.Helper()
	s, err := replay.Setting(rec, c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAReplayHasWhatWasExecuted(t *testing.T) {
	s := set(t, recorded(), replay.Changes{})
	var got []string
	for _, st := range s.Builds[0].Graph.Steps {
		got = append(got, fmt.Sprintf("%s%v %.3g", st.Name, st.Deps, st.Cost))
	}
	if want := "a.o[] 1, b.o[] 2, prog[0 1] 0.6"; strings.Join(got, ", ") != want {
		t.Errorf("steps are %s, want %s", strings.Join(got, ", "), want)
	}
	if n := s.Nodes; len(n) != 3 || n[0].Name != "desk" || n[1].Name != "rack-bbbbbbb2" || n[1].BPU != 2 || n[2].Slots != 8 {
		t.Errorf("nodes are %+v", n)
	}
	latencies := map[[2]int]time.Duration{}
	for _, r := range s.Network.Routes {
		latencies[[2]int{r.A, r.B}] = r.Latency
	}
	if want := "map[[0 1]:500µs [0 2]:300µs [1 2]:100µs]"; fmt.Sprint(latencies) != want {
		t.Errorf("latencies are %v, want %s", latencies, want)
	}
	if o := s.Overheads; o.Plan.Least != 50*time.Millisecond || o.Place.Most != 15*time.Millisecond || o.Prepare.Most != 2*time.Millisecond {
		t.Errorf("overheads are %+v", o)
	}
	if took := replay.Took(recorded()); took != 1415*time.Millisecond || replay.Bound(s) > took || replay.Bound(s) < 855*time.Millisecond {
		t.Errorf("it took %v, the bound is %v", took, replay.Bound(s))
	}
}

func TestChangesOfTheMesh(t *testing.T) {
	s := set(t, recorded(), replay.Changes{
		Add: []replay.Machines{{Count: 2, BPU: 3}, {Count: 1, BPU: 1.5, Slots: 16}}, Remove: []string{"12D3KooWb"},
		Kill: kills("leader@50%", "rack-ccccccc3@2s"), Ways: []replay.Way{{A: "desk", B: "ccc3", Latency: 40 * time.Millisecond}, {A: "desk", B: "new-3"}},
	})
	var got []string
	for _, n := range s.Nodes {
		got = append(got, fmt.Sprintf("%s %vx%d", n.Name, n.BPU, n.Slots))
	}
	if want := "desk 2x4, rack-ccccccc3 2x8, new-1 3x4, new-2 3x4, new-3 1.5x16"; strings.Join(got, ", ") != want {
		t.Errorf("nodes are %s, want %s", strings.Join(got, ", "), want)
	}
	for _, r := range s.Network.Routes {
		switch {
		case r.A == 0 && r.B == 1 && r.Latency != 40*time.Millisecond, r.A == 0 && r.B == 4 && r.Latency != 0, r.A == 0 && r.B == 2 && r.Latency == 0:
			t.Errorf("route %+v", r)
		}
	}
	if len(s.Faults) != 2 || s.Faults[0].Share != 0.5 || s.Faults[0].Target.Role != fault.Leader || s.Faults[1].Target.Node != 1 || s.Faults[1].At != 2*time.Second {
		t.Errorf("faults are %+v", s.Faults)
	}
}

func TestALargeMeshSharesOneSite(t *testing.T) {
	many := replay.Changes{Add: []replay.Machines{{Count: 500, BPU: 1}}}
	s := set(t, recorded(), many)
	if len(s.Nodes) != 503 || len(s.Network.Sites) != 1 || s.Network.Sites[0].Local.Latency != 500*time.Microsecond || s.Nodes[502].Name != "new-500" {
		t.Errorf("%d nodes, sites %+v", len(s.Nodes), s.Network.Sites)
	}
	many.Ways = []replay.Way{{A: "desk", B: "new-1"}}
	if _, err := replay.Setting(recorded(), many); !errors.Is(err, replay.ErrChange) {
		t.Errorf("a latency within one site: %v", err)
	}
}

func TestToolchainsOfTheMesh(t *testing.T) {
	rec := recorded()
	rec.Peers[2].Lacks = []int{1}
	s := set(t, rec, replay.Changes{Add: []replay.Machines{{Count: 1, BPU: 1}}})
	if s.Builds[0].Graph.Steps[0].Toolchain == "" || len(s.Nodes[1].Toolchains) != 1 || len(s.Nodes[2].Toolchains) != 0 || len(s.Nodes[3].Toolchains) != 1 {
		t.Errorf("nodes %+v, step %+v", s.Nodes, s.Builds[0].Graph.Steps[0])
	}
}

// kills are deaths of peers, each WHO@WHEN.
func kills(texts ...string) []replay.Kill {
	all := make([]replay.Kill, len(texts))
	for i, text := range texts {
		all[i].Who, all[i].When, _ = strings.Cut(text, "@")
	}
	return all
}

func TestMistakesAreExplained(t *testing.T) {
	for want, c := range map[string]replay.Changes{
		`called "attic"; its peers are desk, rack-bbbbbbb2, rack-ccccccc3`: {Remove: []string{"attic"}},
		`"rack" is 2 peers`:         {Remove: []string{"rack"}},
		`asked for the build`:       {Remove: []string{"desk"}},
		`which ends with it`:        {Kill: kills("desk@50%")},
		`the same peer`:             {Ways: []replay.Way{{A: "desk", B: "aaa1"}}},
		`is removed`:                {Remove: []string{"ccc3"}, Ways: []replay.Way{{A: "desk", B: "ccc3"}}},
		`no peer of the build is c`: {Ways: []replay.Way{{A: "desk", B: "new-1"}}},
	} {
		if _, err := replay.Setting(recorded(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
}

func TestRecordingsThatCannotBeReplayed(t *testing.T) {
	nothing := recorded()
	for i := range nothing.Steps {
		nothing.Steps[i].Status = event.Skipped
	}
	for name, rec := range map[string]*event.Recording{
		"empty": {}, "too large": {TooLarge: true, Peers: recorded().Peers}, "nothing was executed": nothing,
		"a dependency ahead": {Peers: recorded().Peers, Steps: []event.RecordedStep{{Deps: []int{1}}, {}}},
	} {
		if s, err := replay.Setting(rec, replay.Changes{}); err == nil {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestFailedStepsFailAgain(t *testing.T) {
	rec := recorded()
	rec.Steps[2].Status = event.Failed
	rec.Steps[4] = event.RecordedStep{Name: "prog", Deps: []int{0, 2, 3}, Status: event.NotRun, Peer: -1, Hint: 7}
	g := set(t, rec, replay.Changes{}).Builds[0].Graph
	if g.Steps[1].Nature != workload.Failing || g.Steps[2].Cost != 7 || g.Steps[0].Nature != workload.Sound {
		t.Errorf("steps %+v", g.Steps)
	}
}

func TestFlagsAreParsed(t *testing.T) {
	for text, want := range map[string]replay.Machines{"2@1.5": {Count: 2, BPU: 1.5}, "1@3/8": {Count: 1, BPU: 3, Slots: 8}} {
		if got, err := replay.ParseMachines(text); err != nil || got != want {
			t.Errorf("ParseMachines(%q) = %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "2", "0@1", "2@0", "2@-1", "2@NaN", "2@Inf", "x@1", "2@1/0", "2@1/x", "2@1/", "@", "99999@1"} {
		if got, err := replay.ParseMachines(text); !errors.Is(err, replay.ErrChange) {
			t.Errorf("ParseMachines(%q) = %+v, %v", text, got, err)
		}
	}
	if got, err := replay.ParseWay("a:b=40ms"); err != nil || got != (replay.Way{A: "a", B: "b", Latency: 40 * time.Millisecond}) {
		t.Errorf("ParseWay = %+v, %v", got, err)
	}
	for _, text := range []string{"", "a:b", "a=1s", ":b=1s", "a:=1s", "a:b=x", "a:b=-1s", "a:b=1h"} {
		if got, err := replay.ParseWay(text); !errors.Is(err, replay.ErrChange) {
			t.Errorf("ParseWay(%q) = %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"leader@50%", "rack:1@2.5s", "second-standby@1%"} {
		if got, err := replay.ParseKill(text); err != nil || got.String() != text {
			t.Errorf("ParseKill(%q) = %+v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"": "write WHO@WHEN", "leader": "write WHO@WHEN", "@50%": "write WHO@WHEN", "leader@": "write WHO@WHEN",
		"leader@half": `kill "leader@half"`, "rack@5": `kill "rack@5"`, "rack@200%": `kill "rack@200%"`, "rack@-1s": `kill "rack@-1s"`,
	} {
		if got, err := replay.ParseKill(text); !errors.Is(err, replay.ErrChange) || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseKill(%q) = %+v, %v", text, got, err)
		}
	}
}

func FuzzFlags(f *testing.F) {
	for _, text := range []string{"2@1.5/8", "a:b=40ms", "leader@50%", "12D3@2s"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if m, err := replay.ParseMachines(text); err == nil && (m.Count < 1 || !(m.BPU > 0) || math.IsInf(m.BPU, 0)) {
			t.Errorf("%q is %+v", text, m)
		}
		if w, err := replay.ParseWay(text); err == nil && (w.Latency < 0 || w.A == "" || w.B == "") {
			t.Errorf("%q is %+v", text, w)
		}
		k, err := replay.ParseKill(text)
		if err != nil {
			return
		}
		if s, err := replay.Setting(recorded(), replay.Changes{Kill: []replay.Kill{k}}); err == nil && len(s.Faults) != 1 {
			t.Errorf("%q is %+v", text, s.Faults)
		}
	})
}

func TestPeersOfOneMachineShareItsCores(t *testing.T) {
	rec := recorded()
	rec.Peers[1].Name, rec.Peers[2].Name = "desk", "other"
	for i := range rec.Steps {
		rec.Steps[i].CPUUS = rec.Steps[i].RunUS / 2
	}
	// b.o had a half for itself alone for twice as long as with a.o beside it.
	s := set(t, rec, replay.Changes{Add: []replay.Machines{{Count: 1, BPU: 1}}})
	if len(s.Hosts) != 1 || fmt.Sprint(s.Hosts[0].Nodes) != "[0 1]" || s.Hosts[0].Cores < 0.3 || s.Hosts[0].Cores > 1 {
		t.Fatalf("hosts are %+v", s.Hosts)
	}
	work, cpu := 0.0, 0.0
	for i, st := range s.Builds[0].Graph.Steps {
		work += st.Cost / 2
		cpu += []float64{0.25, 0.5, 0.15}[i]
	}
	if math.Abs(work-cpu) > 0.01 {
		t.Errorf("the steps cost %.3f s, the processors were busy for %.3f s", work, cpu)
	}
	if s := set(t, recorded(), replay.Changes{}); len(s.Hosts) != 1 || fmt.Sprint(s.Hosts[0].Nodes) != "[1 2]" {
		t.Errorf("hosts are %+v", s.Hosts)
	}
}

func TestAReplayTakesAsLongAsTheBuild(t *testing.T) {
	for name, c := range map[string]replay.Changes{"as it was": {}, "a leader killed": {Kill: kills("leader@50%")}, "more machines": {Add: []replay.Machines{{Count: 2, BPU: 40}}}} {
		f, err := replay.Predict(t.Context(), recorded(), c, replay.Options{Seeds: 4})
		if err != nil {
			t.Fatal(err)
		}
		if f.Lost != 0 || f.Ratio < 0.8 || f.Ratio > 1.2 || f.Same.Bound > f.Same.Makespan.Min || f.Same.Unfinished > 0 || f.Steps != 3 {
			t.Errorf("%s: %+v", name, f)
		}
		switch {
		case name == "as it was" && f.Changed != nil:
			t.Errorf("nothing was changed: %+v", f.Changed)
		case name == "more machines" && f.Changed.Makespan.Median >= f.Same.Makespan.Median:
			t.Errorf("%s: %+v", name, f.Changed)
		case name == "a leader killed" && f.Changed.Makespan.Count > 0 && f.Changed.Makespan.Median < f.Same.Makespan.Median:
			t.Errorf("%s: %+v", name, f.Changed)
		}
	}
}

// panicking is a sink that fails at the first step that runs.
type panicking struct{}

func (panicking) Observe(e *trace.Event) {
	if e.Kind == trace.RunBegan {
		panic("on cue")
	}
}

func TestAPanicIsNoUnfinishedBuild(t *testing.T) {
	for name, c := range map[string]replay.Changes{"as it was": {}, "changed": {Add: []replay.Machines{{Count: 1, BPU: 1}}}} {
		f, err := replay.Predict(t.Context(), recorded(), c, replay.Options{Seeds: 2, Sinks: func(s *setting.Setting) ([]trace.Sink, error) {
			if len(s.Nodes) != 3+len(c.Add) {
				t.Errorf("%s: the setting has %d nodes", name, len(s.Nodes))
			}
			return []trace.Sink{panicking{}}, nil
		}})
		if err == nil || !strings.Contains(err.Error(), "on cue") || f.Shown().Unfinished > 0 {
			t.Errorf("%s: %v, %+v", name, err, f)
		}
	}
}

func TestNothingRunsWithoutItsSinks(t *testing.T) {
	full := errors.New("the disk is full")
	ran := false
	f, err := replay.Predict(t.Context(), recorded(), replay.Changes{Add: []replay.Machines{{Count: 1, BPU: 1}}}, replay.Options{
		Sinks:    func(*setting.Setting) ([]trace.Sink, error) { return nil, full },
		Progress: func(simulations.Progress) { ran = true },
	})
	if f != nil || !errors.Is(err, full) || ran {
		t.Errorf("%+v, %v, ran %v", f, err, ran)
	}
}
