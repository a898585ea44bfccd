package steal

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/place"
)

// hand is a member of a placement: the first one leads and asks.
type hand struct {
	bpu    float64
	slots  int
	rtt    time.Duration
	memory int64
}

// piece is a step of a placement, which waits for nothing.
type piece struct {
	of     string // its package
	memory int64
}

// placed runs the first moment of a build and says who was given each step; ""
// is nobody yet.
func placed(t *testing.T, p place.Policy, hands []hand, pieces []piece) []string {
	t.Helper()
	got, _ := begun(t, p, hands, pieces)
	return got
}

// begun is placed, and the leader.
func begun(t *testing.T, p place.Policy, hands []hand, pieces []piece) ([]string, *Leader) {
	t.Helper()
	steps := make([]action.Step, len(pieces))
	for i, c := range pieces {
		steps[i] = benchStep(i)
		steps[i].Package, steps[i].Memory, steps[i].Cost = c.of, c.memory, 1
	}
	g, err := action.NewGraph(steps)
	if err != nil {
		t.Fatal(err)
	}
	var members []peer.Member
	for i, h := range hands {
		members = append(members, peer.Member{ID: handName(i), RTT: h.rtt})
	}
	l, err := NewLeader(LeaderOptions{
		Self: handName(0), Initiator: handName(0), Epoch: Epoch{Number: 1, Leader: handName(0)},
		Plan: &Plan{Graph: g, Modes: Modes{Policy: p}}, Members: members,
	})
	if err != nil {
		t.Fatal(err)
	}
	got := make([]string, len(pieces))
	var do func(out Output)
	do = func(out Output) {
		for _, s := range out.Sends {
			if a, ok := s.Msg.(Assign); ok {
				got[a.Step] = string(s.To)
			}
		}
		for _, r := range slices.Clone(out.Resolves) {
			do(l.Resolved(start, Resolved{Step: r.Step, Attempt: r.Attempt, Action: digestOf(fmt.Sprint(r.Step))}))
		}
	}
	do(l.Tick(start))
	for i, h := range hands {
		do(l.Opened(start, handName(i)))
		do(l.Receive(start, handName(i), Join{Slots: h.slots, BPU: h.bpu, Memory: h.memory}))
		do(l.Receive(start, handName(i), Want{Free: 2 * h.slots}))
	}
	do(l.Receive(start, handName(0), Follow{}))
	return got, l
}

func handName(i int) peer.ID { return peer.ID(string(rune('a' + i))) }

func benchStep(i int) action.Step {
	return action.Step{
		ID: action.StepID(fmt.Sprintf("s%02d", i)), Argv: []string{"cc"}, Inputs: digestOf("in"), Timeout: time.Hour,
		Outputs: []string{fmt.Sprintf("o%d", i)}, Reach: action.Anywhere, Sharing: action.Shared,
	}
}

func expectPlaced(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// The first one has the sources; the second is the fastest, and far; the third
// has most slots.
var unlike = []hand{{bpu: 1, slots: 1}, {bpu: 4, slots: 1, rtt: 50 * time.Millisecond}, {bpu: 2, slots: 4, rtt: time.Millisecond}}

func TestEachStrategyPlacesOtherwise(t *testing.T) {
	for _, c := range []struct {
		strategy place.Strategy
		want     []string
	}{
		{place.RoundRobin, []string{"a", "b", "c", "c", "c", "c"}},
		{place.LeastLoaded, []string{"b", "c", "a", "c", "c", "c"}},
		{place.Fastest, []string{"b", "c", "c", "c", "c", "a"}},
		{place.Locality, []string{"a", "c", "c", "c", "c", "b"}},
	} {
		expectPlaced(t, c.strategy.String(), placed(t, place.Policy{Strategy: c.strategy}, unlike, make([]piece, 6)), c.want...)
	}
}

func TestSmartKeepsTheLastStepsForTheFast(t *testing.T) {
	hands := []hand{{bpu: 1, slots: 1}, {bpu: 8, slots: 1}}
	expectPlaced(t, "two steps", placed(t, place.Policy{}, hands, make([]piece, 2)), "b", "")
}

func TestEachWeightCounts(t *testing.T) {
	for name, c := range map[string]struct {
		weights place.Weights
		first   string
	}{
		"performance":  {place.Weights{Performance: 1}, "b"},
		"locality":     {place.Weights{Locality: 1}, "a"},
		"latency":      {place.Weights{Latency: 1}, "a"},
		"availability": {place.Weights{Availability: 1}, "a"},
	} {
		got := placed(t, place.Policy{Weights: c.weights}, unlike, make([]piece, 40))
		if got[0] != c.first {
			t.Errorf("%s: the first step goes to %q, want %q", name, got[0], c.first)
		}
	}
}

func TestPartitions(t *testing.T) {
	equals := []hand{{bpu: 1, slots: 2}, {bpu: 1, slots: 2}}
	two := []piece{{of: "p"}, {of: "p"}, {of: "q"}, {of: "q"}}
	byFile := place.Policy{Strategy: place.RoundRobin, Partition: place.ByFile}
	expectPlaced(t, "file", placed(t, byFile, equals, two), "a", "b", "a", "b")
	byPackage := place.Policy{Strategy: place.RoundRobin, Partition: place.ByPackage}
	expectPlaced(t, "package", placed(t, byPackage, equals, two), "a", "a", "b", "b")

	others := []hand{{bpu: 1}, {bpu: 1, slots: 2}, {bpu: 1, slots: 2}}
	weights := place.Weights{Locality: 1, Availability: 0.001}
	expectPlaced(t, "hybrid", placed(t, place.Policy{Weights: weights}, others, two[:2]), "b", "b")
	expectPlaced(t, "file, smart", placed(t, place.Policy{Weights: weights, Partition: place.ByFile}, others, two[:2]), "b", "c")
}

func TestNoStepIsGivenThatWouldSwap(t *testing.T) {
	for _, s := range []place.Strategy{place.Smart, place.RoundRobin} {
		hands := []hand{{bpu: 1, slots: 4, memory: 5}, {bpu: 1, slots: 4, memory: 2}}
		got := placed(t, place.Policy{Strategy: s}, hands, []piece{{memory: 3}, {memory: 3}, {memory: 2}, {memory: 9}})
		expectPlaced(t, s.String(), got, "a", "", "b", "")
		alone := placed(t, place.Policy{Strategy: s}, hands, []piece{{memory: 9}})
		expectPlaced(t, s.String()+", more than anybody has", alone, "a")
	}
}
