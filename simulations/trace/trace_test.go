package trace

import (
	"strings"
	"testing"
	"time"
)

func sample() Event {
	return Event{
		At: 1500 * time.Millisecond, Kind: Announced, Node: 0, Peer: 2, Build: 1, Epoch: Epoch{3, 1}, Step: 7, Value: 12,
		Digest: 0x0123456789abcdef, Text: "x",
	}
}

func TestTheHashSeesEveryField(t *testing.T) {
	sum := func(change func(e *Event)) uint64 {
		var h Hash
		e := sample()
		change(&e)
		h.Observe(&e)
		return h.Sum()
	}
	seen := map[uint64]int{}
	for i, change := range []func(e *Event){
		func(*Event) {}, func(e *Event) { e.At++ }, func(e *Event) { e.Kind++ }, func(e *Event) { e.Node-- }, func(e *Event) { e.Peer-- },
		func(e *Event) { e.Build-- }, func(e *Event) { e.Epoch.Number++ }, func(e *Event) { e.Epoch.Leader++ }, func(e *Event) { e.Step++ },
		func(e *Event) { e.Value++ }, func(e *Event) { e.Digest++ }, func(e *Event) { e.Text = "y" }, func(e *Event) { e.Text = "" },
	} {
		s := sum(change)
		if other, twice := seen[s]; twice {
			t.Errorf("changes %d and %d make the same hash", other, i)
		}
		seen[s] = i
	}
}

func TestTheHashSeesTheOrder(t *testing.T) {
	a, b := sample(), sample()
	b.Step++
	var first, second Hash
	first.Observe(&a)
	first.Observe(&b)
	second.Observe(&b)
	second.Observe(&a)
	if first.Sum() == second.Sum() || first.Events() != 2 {
		t.Errorf("%x after %d events in either order", first.Sum(), first.Events())
	}
}

func TestRecentKeepsTheLast(t *testing.T) {
	r := NewRecent(3)
	for i := range 5 {
		if got := len(r.Events()); got != min(i, 3) {
			t.Errorf("%d events after %d", got, i)
		}
		e := sample()
		e.Step = i
		r.Observe(&e)
	}
	for i, e := range r.Events() {
		if e.Step != i+2 {
			t.Errorf("place %d: event %d", i, e.Step)
		}
	}
	none := NewRecent(0)
	e := sample()
	none.Observe(&e)
	if len(none.Events()) != 0 {
		t.Error("a ring of none keeps some")
	}
}

func TestEveryKindReads(t *testing.T) {
	for k := Up; k <= Inherited; k++ {
		e := sample()
		e.Kind, e.Text = k, ""
		line := e.String(nil)
		if strings.Contains(line, "kind") || strings.Contains(line, "%") {
			t.Errorf("kind %d: %q", k, line)
		}
	}
}

func TestAnEventReads(t *testing.T) {
	e := sample()
	want := "  1.500000 build 1 epoch 3 of bob alice announced step 7, op 12, executed by node 2, output 01234567"
	if got := e.String([]string{"alice", "bob"}); got != want {
		t.Errorf("%q", got)
	}
	blank := Blank(0, Healed)
	if got := Lines([]Event{blank, e}, nil); strings.Count(got, "\n") != 2 || !strings.HasPrefix(got, "  0.000000 the faults are over\n") {
		t.Errorf("%q", got)
	}
}
