package told

import (
	"bytes"
	"testing"

	"github.com/buildnet/buildnet/node/event"
)

func lines(b []byte) int { return bytes.Count(b, []byte("\n")) }

func TestALogGoesOnWhereAnotherEnded(t *testing.T) {
	quiet := func(event.Event) {}
	first := New(quiet)
	first.Emit(event.Notice{Text: "one"})
	all := first.All(event.BuildFinished{Steps: 1})
	second := Resume(quiet, all, nil)
	second.Emit(event.Notice{Text: "two"})
	got := second.All(event.BuildFinished{Steps: 2})
	if lines(got) != 3 || bytes.Count(got, []byte("build.finished")) != 1 || second.Cut() {
		t.Errorf("%s", got)
	}
	if empty := Resume(quiet, nil, nil).All(event.BuildFinished{}); lines(empty) != 1 {
		t.Errorf("of nothing: %s", empty)
	}
}

// Logs have a budget together: one that has no room says so, once, and gives back what
// it had.
func TestABudgetIsOfAllLogsTogether(t *testing.T) {
	budget := NewBudget(1000)
	quiet := func(event.Event) {}
	a, b := Resume(quiet, nil, budget), Resume(quiet, nil, budget)
	for range 50 {
		a.Emit(event.Notice{Text: "something"})
	}
	b.Emit(event.Notice{Text: string(make([]byte, 500))})
	kept := a.All(event.BuildFinished{})
	if !a.Cut() || !b.Cut() || len(kept) > 1500 || !bytes.Contains(kept, []byte(cutShort)) {
		t.Errorf("kept %d bytes, cut %t and %t", len(kept), a.Cut(), b.Cut())
	}
	a.Release()
	c := Resume(quiet, kept, budget)
	c.Emit(event.Notice{Text: "again"})
	if got := c.All(event.BuildFinished{}); bytes.Contains(got, []byte(cutShort)) != c.Cut() || bytes.Count(got, []byte(cutShort)) > 1 {
		t.Errorf("%s", got)
	}
	b.Release()
	c.Release()
	if left := budget.left.Load(); left != 1000 {
		t.Errorf("%d bytes are left", left)
	}
}

func TestWhoJoinsMissesNothing(t *testing.T) {
	heard := 0
	log := New(func(event.Event) { heard++ })
	log.Emit(event.Notice{Text: "before"})
	log.Join(func(past []byte) {
		if lines(past) != 1 || heard != 1 {
			t.Errorf("%d lines, heard %d", lines(past), heard)
		}
	})
}
