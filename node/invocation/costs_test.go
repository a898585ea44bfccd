package invocation

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/experience"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store/costs"
	"github.com/buildnet/buildnet/store/memory"
)

// gossip is a member who knows one rule, and notes what it is asked and told.
type gossip struct {
	book  *costs.Book
	rule  costs.Kind
	knows costs.Estimate

	mu    sync.Mutex
	asked []costs.Kind
	told  []costs.Kind
}

func (g *gossip) Ask(_ context.Context, kinds []costs.Kind) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, kinds...)
	for _, k := range kinds {
		if k == g.rule {
			_ = g.book.Hear(k, g.knows, time.Now())
		}
	}
}

func (g *gossip) Tell(kinds []costs.Kind) { g.told = append(g.told, kinds...) }

func compileOf(name string) *action.Step {
	return &action.Step{ID: action.StepID(name), Argv: []string{"/usr/bin/cc", "-c"}, Outputs: []string{name}}
}

func newCosts(t *testing.T, modes steal.Modes, knows time.Duration) (*invocation, *gossip) {
	t.Helper()
	book := costs.New(&memory.KV{}, &memory.KV{})
	members := func() []peer.Member {
		return []peer.Member{
			{ID: "self", Self: true, State: peer.Alive, Caps: peer.Capabilities{BPU: 1, Cores: 2, Slots: 2}},
			{ID: "other", State: peer.Alive, Caps: peer.Capabilities{BPU: 2, Cores: 2, Slots: 2}},
		}
	}
	g := &gossip{book: book, rule: costs.RuleOf(compileOf("any.o"))}
	if knows > 0 {
		g.knows = costs.Estimate{}.After(costs.Run{Wall: knows, CPU: knows, BPU: 1, Share: 1, OK: true}, time.Now())
	}
	return &invocation{
		s: &Service{opts: Options{Hearsay: g, Members: members}}, modes: modes, life: t.Context(),
		asked: map[costs.Kind]bool{}, exp: experience.New(book, members, slog.New(slog.DiscardHandler)),
	}, g
}

// TestMembersAreAskedForARule has members asked once for a rule of which nothing is
// known: what they tell counts for the steps that come later.
func TestMembersAreAskedForARule(t *testing.T) {
	v, g := newCosts(t, steal.Modes{}, 3*time.Second)
	for _, name := range []string{"a.o", "b.o"} {
		s := compileOf(name)
		if v.hint(s, 0); s.Cost != 0 && name == "a.o" {
			t.Errorf("%s is expected to cost %v, and nobody was asked yet", name, s.Cost)
		}
	}
	v.running.Wait()
	s := compileOf("c.o")
	if v.hint(s, 0); math.Abs(s.Cost-3) > 1e-9 {
		t.Errorf("is expected to cost %v, want what a member knows of its rule", s.Cost)
	}
	if len(g.asked) != 1 {
		t.Errorf("asked for %v, want the rule once", g.asked)
	}
}

// TestWhatAStepTookIsToldAndCounts has a step hinted by what it took last.
func TestWhatAStepTookIsToldAndCounts(t *testing.T) {
	v, g := newCosts(t, steal.Modes{}, 0)
	s := compileOf("a.o")
	v.exp.Learn(s, "other", &action.Result{Wall: time.Millisecond, CPU: time.Millisecond}, time.Now().Add(-time.Minute))
	v.tellCosts()
	if v.hint(s, 0); math.Abs(s.Cost-0.002) > 1e-6 {
		t.Errorf("is expected to cost %v BPU-seconds, took 0.002", s.Cost)
	}
	if k := costs.KindsOf(s); len(g.told) != 2 || g.told[0] != k.Step || g.told[1] != k.Rule {
		t.Errorf("told of %v, want %v", g.told, k)
	}
}

// TestALocalInvocationAsksAndTellsNobody covers --local.
func TestALocalInvocationAsksAndTellsNobody(t *testing.T) {
	v, g := newCosts(t, steal.Modes{Local: true}, time.Second)
	v.hint(compileOf("a.o"), 0)
	v.exp.Learn(compileOf("a.o"), "self", &action.Result{Wall: time.Millisecond, CPU: time.Millisecond}, time.Now().Add(-time.Minute))
	v.tellCosts()
	v.running.Wait()
	if len(g.asked)+len(g.told) != 0 {
		t.Errorf("asked for %v, told of %v", g.asked, g.told)
	}
}

// TestALargerSourceIsExpectedToTakeLonger has steps that were never run told apart
// by their sources, also where nothing is known of their rule.
func TestALargerSourceIsExpectedToTakeLonger(t *testing.T) {
	v, _ := newCosts(t, steal.Modes{}, 0)
	for _, name := range []string{"a.o", "b.o", "c.o", "d.o"} {
		v.exp.LearnSize(compileOf(name), 1000, "other", &action.Result{Wall: time.Millisecond, CPU: time.Millisecond}, time.Now().Add(-time.Minute))
	}
	small, large := compileOf("small.o"), compileOf("large.o")
	v.hint(small, 1000)
	v.hint(large, 100_000)
	if small.Cost <= 0 || large.Cost < 4*small.Cost {
		t.Errorf("expected to cost %v and %v", small.Cost, large.Cost)
	}
	unsized := compileOf("unsized.o")
	if v.hint(unsized, 0); unsized.Cost != 0 {
		t.Errorf("what nothing is known of is expected to cost %v", unsized.Cost)
	}
	v.running.Wait()
}
