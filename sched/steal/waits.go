package steal

import (
	"fmt"
	"slices"
	"time"
)

// tellAfter is how long something has to wait before the user is told.
const tellAfter = 2 * time.Second

// wait is what keeps steps from members that have room; each is told of once.
type wait struct {
	step  Step
	since time.Time // zero if nothing waits
	told  bool
}

// goesOn notes that a step still waits, and reports whether to tell of it now.
func (w *wait) goesOn(s Step, now time.Time) bool {
	if w.since.IsZero() || w.step != s {
		w.step, w.since = s, now
	}
	if w.told || now.Sub(w.since) < tellAfter {
		return false
	}
	w.told = true
	return true
}

// waitsForMemory takes it that a step, the first one of those, was given to
// nobody of those who are free.
func (r *round) waitsForMemory(s Step) {
	l := r.l
	needs := l.step(s).Memory
	if needs == 0 || !slices.ContainsFunc(r.free, func(m *member) bool { return r.may(s, m) && !r.holds(s, m) }) {
		return
	}
	if l.memoryWait.goesOn(s, l.now) {
		l.append(Op{Kind: OpNote, Text: fmt.Sprintf("%s waits for memory: it is believed to need %d MiB, and no machine has that much left", l.step(s).ID, needs>>20)})
	}
}

// waitsForOwner takes it that nobody takes steps of a need, of which some are
// queued.
func (l *Leader) waitsForOwner(n int) {
	slotless := slices.ContainsFunc(l.order, func(m *member) bool {
		return m.join != nil && m.join.Slots == 0 && m.worked && l.needs[n].lacks(m.join) == ""
	})
	if s := l.queued[n][0]; slotless && l.ownerWait.goesOn(s, l.now) {
		l.append(Op{Kind: OpNote, Text: fmt.Sprintf("%s waits for a machine that takes work: the owners of those that could run it use them", l.step(s).ID)})
	}
}
