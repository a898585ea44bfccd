package simulations

import (
	"slices"
	"testing"
	"time"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/fault"
	"github.com/buildnet/buildnet/simulations/network"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
	"github.com/buildnet/buildnet/simulations/workload"
)

// struck is a build on a LAN with faults; it has to end well.
func struck(t *testing.T, s *setting.Setting, kinds ...trace.Kind) *watch {
	t.Helper()
	s.HealAt = 20 * time.Second
	w := watching(append(kinds, trace.Over, trace.Announced)...)
	run(t, s, w)
	for _, e := range w.of(trace.Over) {
		if e.Value != int64(steal.Completed) {
			t.Fatalf("a build ended so: %s", e.String(nil))
		}
	}
	if got := len(w.of(trace.Over)); got != len(s.Builds) {
		t.Fatalf("%d of %d builds ended", got, len(s.Builds))
	}
	steps := 0
	for _, b := range s.Builds {
		steps += len(b.Graph.Steps)
	}
	if got := len(w.of(trace.Announced)); got != steps {
		t.Fatalf("%d of %d steps were announced", got, steps)
	}
	return w
}

// at strikes when a share of the first build is announced.
func at(share float64, kind fault.Kind, role fault.Role) fault.Fault {
	return fault.Fault{Share: share, Kind: kind, Target: fault.Target{Role: role}}
}

func TestALeaderThatIsKilledIsFollowedByAStandby(t *testing.T) {
	s := office(6, workload.Compile(40))
	s.Faults = []fault.Fault{at(0.4, fault.Kill, fault.Leader)}
	w := struck(t, s, trace.Led, trace.Down)
	led := w.of(trace.Led)
	if len(led) != 2 || led[1].Epoch.Number != 2 || led[1].Value == 0 {
		t.Fatalf("there were %d reigns: %v", len(led), led)
	}
	down := w.of(trace.Down)[0]
	if after := led[1].At - down.At; down.Node != led[0].Node || after > steal.Lease+time.Second {
		t.Errorf("node %d was killed; the next led %v later", down.Node, after)
	}
}

func TestAWorkerThatIsKilledLosesItsSteps(t *testing.T) {
	s := office(6, workload.Compile(40))
	s.Faults = []fault.Fault{{At: 700 * time.Millisecond, Kind: fault.Kill, Target: fault.Target{Role: fault.Worker}}} // all run, each for a second
	w := struck(t, s, trace.RunCut, trace.Suspected)
	if len(w.of(trace.RunCut)) == 0 {
		t.Error("nothing ran on it")
	}
	if got := len(w.of(trace.Suspected)); got == 0 {
		t.Error("no member noticed")
	}
}

func TestANodeThatComesBackIsOneAgain(t *testing.T) {
	s := office(5, workload.Layers(24, 14))
	s.Membership.DetectMost = 7 * time.Second // before it is back
	s.Faults = []fault.Fault{{At: 2 * time.Second, Kind: fault.Kill, Target: fault.Target{Node: 4}, For: 8 * time.Second}}
	w := struck(t, s, trace.Up, trace.Suspected, trace.Believed, trace.RunBegan)
	believed := w.of(trace.Believed)
	if len(believed) == 0 || believed[0].Peer != 4 {
		t.Fatalf("nobody believes that it came back: %v", believed)
	}
	if !slices.ContainsFunc(w.of(trace.RunBegan), func(e trace.Event) bool { return e.Node == 4 && e.At > 10*time.Second }) {
		t.Error("it runs nothing any more")
	}
}

func TestTheOnlyHolderOfABlobIsLost(t *testing.T) {
	s := office(6, workload.Chain(12))
	for i := range s.Builds[0].Graph.Steps {
		s.Builds[0].Graph.Steps[i].OutputBytes = 64 << 20 // so that it takes its time to the initiator
	}
	s.Faults = []fault.Fault{at(0.3, fault.Kill, fault.Holder)}
	struck(t, s)
}

func TestASplitHeals(t *testing.T) {
	for name, f := range map[string]fault.Fault{
		"whole":   {},
		"one way": {OneWay: true},
		"deaf":    {Deaf: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := office(9, workload.Layers(12, 20))
			f.At, f.Kind, f.Group, f.For = 3*time.Second, fault.Split, []int{6, 7, 8}, 12*time.Second
			s.Faults = []fault.Fault{f}
			w := struck(t, s, trace.Suspected, trace.Believed)
			if len(w.of(trace.Suspected)) == 0 || len(w.of(trace.Believed)) == 0 {
				t.Errorf("%d suspicions, %d beliefs", len(w.of(trace.Suspected)), len(w.of(trace.Believed)))
			}
		})
	}
}

func TestWhatASplitTookApartIsWholeAfterIt(t *testing.T) {
	s := office(30, workload.Chain(200))
	s.HealAt = 60 * time.Second
	s.Faults = []fault.Fault{{At: time.Second, Kind: fault.Split, Group: []int{20, 21, 22, 23, 24, 25, 26, 27, 28, 29}}}
	w, err := New(s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	disagree := func() (n int) {
		for _, a := range w.nodes {
			for _, b := range w.nodes {
				if !a.believes(b.place) {
					n++
				}
			}
		}
		return n
	}
	if !w.Until(func() bool { return disagree() == 2*10*20 }, 58*time.Second) {
		t.Fatalf("in a split of 10 and 20, %d beliefs are that somebody is dead", disagree())
	}
	if !w.Until(func() bool { return w.healed && disagree() == 0 }, time.Minute) {
		t.Fatalf("a minute after it %d beliefs are left", disagree())
	}
}

func TestASlowNodeIsSlowAtOnce(t *testing.T) {
	s := office(1, workload.Chain(1))
	s.Builds[0].Graph.Steps[0].Cost = 4
	s.Faults = []fault.Fault{{At: 2 * time.Second, Kind: fault.Slow, Factor: 0.1, For: 10 * time.Second}}
	w := struck(t, s, trace.RunBegan, trace.RunEnded)
	// Two of the four seconds are over; ten slow ones do one more.
	if took := w.of(trace.RunEnded)[0].At - w.of(trace.RunBegan)[0].At; took < 12*time.Second || took > 14*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestAStalledNodeDoesNothing(t *testing.T) {
	s := office(4, workload.Layers(8, 12))
	s.Faults = []fault.Fault{{At: 3 * time.Second, Kind: fault.Stall, Target: fault.Target{Node: 3}, For: 5 * time.Second}}
	w := struck(t, s, trace.RunBegan, trace.RunEnded, trace.Heard)
	for _, e := range w.events {
		if e.Node == 3 && e.At > 3*time.Second && e.At < 8*time.Second {
			t.Fatalf("it does something: %s", e.String(nil))
		}
	}
}

func TestAStalledNodeThatIsSlowedRunsWhenItGoesOn(t *testing.T) {
	s := office(4, workload.Layers(8, 12))
	node := fault.Target{Node: 3}
	s.Faults = []fault.Fault{
		{At: 3 * time.Second, Kind: fault.Stall, Target: node, For: 5 * time.Second},
		{At: 4 * time.Second, Kind: fault.Slow, Target: node, Factor: 0.2, For: 6 * time.Second},
	}
	var speeds []int64
	for _, e := range struck(t, s, trace.Slowed).of(trace.Slowed) {
		speeds = append(speeds, e.Value)
	}
	if want := []int64{0, 200, 1000}; !slices.Equal(speeds, want) {
		t.Errorf("its speeds were %v, not %v", speeds, want)
	}
}

func TestADiskThatFailsOrLosesItsBlobs(t *testing.T) {
	s := office(6, workload.Layers(8, 8))
	s.Faults = []fault.Fault{
		{At: time.Second, Kind: fault.FailDisk, Target: fault.Target{Node: 3}, Factor: 0.3, For: 5 * time.Second},
		{At: 3 * time.Second, Kind: fault.LoseBlobs, Target: fault.Target{Node: 4}},
	}
	struck(t, s)
}

func TestABrokenStreamIsOpenedAgain(t *testing.T) {
	s := office(6, workload.Layers(8, 8))
	s.Faults = []fault.Fault{at(0.3, fault.Break, fault.Worker), at(0.5, fault.Break, fault.Initiator)}
	w := struck(t, s, trace.Broke, trace.Led)
	if len(w.of(trace.Broke)) != 2 || len(w.of(trace.Led)) != 1 {
		t.Errorf("%d streams broke, and there were %d reigns", len(w.of(trace.Broke)), len(w.of(trace.Led)))
	}
}

func TestAnInitiatorThatIsLostBeforeItHasAnHeirEndsItsBuild(t *testing.T) {
	s := office(6, workload.Layers(12, 20))
	s.HealAt = 20 * time.Second
	s.Faults = []fault.Fault{{At: 400 * time.Millisecond, Kind: fault.Kill, Target: fault.Target{Role: fault.Initiator}}}
	w := watching(trace.Over, trace.Down, trace.RunCut, trace.RunEnded)
	run(t, s, w)
	over, down := w.of(trace.Over), w.of(trace.Down)
	if len(over) != 1 || over[0].Text != "initiator lost" || over[0].At != down[0].At {
		t.Fatalf("it ended so: %v", over)
	}
	for _, e := range slices.Concat(w.of(trace.RunCut), w.of(trace.RunEnded)) {
		if after := e.At - down[0].At; after > 2*time.Second {
			t.Errorf("something of it ran for another %v", after)
		}
	}
}

func TestANodeThatLeavesFinishesWhatItRuns(t *testing.T) {
	s := office(6, workload.Layers(20, 10))
	s.Faults = []fault.Fault{at(0.2, fault.Leave, fault.Worker), at(0.5, fault.Leave, fault.Leader)}
	w := struck(t, s, trace.Down, trace.RunCut, trace.Led)
	if got := len(w.of(trace.Down)); got != 2 {
		t.Fatalf("%d nodes left", got)
	}
	if cut := w.of(trace.RunCut); len(cut) != 0 {
		t.Errorf("something was cut: %s", cut[0].String(nil))
	}
	if led := w.of(trace.Led); len(led) != 2 || led[1].At-w.of(trace.Down)[1].At > steal.Rupture+time.Second {
		t.Errorf("reigns: %v", led)
	}
}

func TestALargeBlobComesFromSeveralHolders(t *testing.T) {
	s := office(4, workload.Diamond(14))
	s.Builds[0].Graph.Steps[0].OutputBytes = 40 << 20
	w := struck(t, s, trace.Fetched, trace.Sent)
	fetched := w.of(trace.Fetched)
	if len(fetched) == 0 {
		t.Fatal("no large blob was fetched")
	}
	bytes := int64(0)
	for _, e := range w.of(trace.Sent) {
		bytes += e.Value
	}
	if least := int64(len(fetched)) * 40 << 20; bytes < least {
		t.Errorf("%d bytes were sent for %d blobs of 40 MiB", bytes, len(fetched))
	}
}

func TestAnotherCellIsFoundByLookUp(t *testing.T) {
	s := office(12, workload.Compile(30), workload.Compile(30))
	s.Network.Sites = append(s.Network.Sites, network.Site{Name: "far", Local: s.Network.Sites[0].Local})
	s.Network.Routes = []network.Route{{A: 0, B: 1, Path: network.Path{Latency: 40 * time.Millisecond, Bandwidth: 50e6}}}
	for i := 6; i < 12; i++ {
		s.Nodes[i].Cell, s.Network.Site[i] = 1, 1
	}
	s.Builds[1].Initiator, s.Builds[1].At = 7, 20*time.Second
	w := struck(t, s, trace.Looked, trace.Found, trace.RunBegan)
	if len(w.of(trace.Looked)) == 0 {
		t.Error("nobody looked anything up")
	}
	for _, e := range w.of(trace.RunBegan) {
		if e.Build == 1 {
			t.Fatalf("the second cell executes what the first one did: %s", e.String(nil))
		}
	}
}
