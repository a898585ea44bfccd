package steal

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// bench is Slots with those who wait for one and those who have one, in the order
// in which they came.
type bench struct {
	*Slots
	waits, runs []*Turn
}

func (b *bench) ask(w Whose, within *Turn) *Turn {
	t := &Turn{Whose: w, Within: within}
	b.waits = append(b.waits, t)
	b.Ask(t)
	b.serve()
	return t
}

func (b *bench) leave(t *Turn) {
	gone := func(o *Turn) bool { return o == t }
	b.waits, b.runs = slices.DeleteFunc(b.waits, gone), slices.DeleteFunc(b.runs, gone)
	b.Leave(t)
	b.serve()
}

func (b *bench) serve() []*Turn {
	begun := b.Serve()
	for _, t := range begun {
		b.waits = slices.DeleteFunc(b.waits, func(o *Turn) bool { return o == t })
		b.runs = append(b.runs, t)
	}
	return begun
}

func (b *bench) has(t *Turn) bool { return slices.Contains(b.runs, t) }

func TestACommandWaitsForNoStolenWork(t *testing.T) {
	b := &bench{Slots: NewSlots(2)}
	stolen := []*Turn{b.ask(Theirs, nil), b.ask(Theirs, nil), b.ask(Theirs, nil)}
	first, second, third := b.ask(Local, nil), b.ask(Local, nil), b.ask(Local, nil)
	expect(t, "as many as there are slots begin beside", []bool{b.has(first), b.has(second), b.has(third)}, []bool{true, true, false})
	expect(t, "what builds of others count with", b.For(Theirs), 0)
	expect(t, "what own builds count with", b.For(Ours), 1)
	b.leave(stolen[0])
	b.leave(first)
	expect(t, "the next one begins", b.has(third), true)
	b.leave(second)
	b.leave(stolen[1])
	expect(t, "stolen work goes on in a free slot", b.has(stolen[2]), true)
}

func TestACommandWaitsForOwnStepsInItsTurn(t *testing.T) {
	b := &bench{Slots: NewSlots(1)}
	stolen := b.ask(Theirs, nil)
	step := b.ask(Ours, nil)
	expect(t, "an own step waits for stolen work", b.has(step), false)
	command := b.ask(Local, nil)
	expect(t, "but not if a command waits behind it", []bool{b.has(step), b.has(command)}, []bool{true, false})
	next := b.ask(Ours, nil)
	b.leave(step)
	expect(t, "each in its turn", []bool{b.has(command), b.has(next)}, []bool{true, false})
	b.leave(stolen)
	b.leave(command)
	expect(t, "and the next", b.has(next), true)
}

func TestACommandIsRunWithinAnother(t *testing.T) {
	b := &bench{Slots: NewSlots(1)}
	maker := b.ask(Local, nil)
	first, second := b.ask(Local, maker), b.ask(Local, maker)
	expect(t, "one at a time", []bool{b.has(first), b.has(second)}, []bool{true, false})
	inner := b.ask(Local, first)
	expect(t, "and one within that", b.has(inner), true)
	b.leave(first)
	expect(t, "which keeps the slot if it goes on", []bool{b.has(inner), b.has(second)}, []bool{true, false})
	b.leave(inner)
	expect(t, "the next of the maker's", b.has(second), true)
	b.leave(maker)
	step := b.ask(Ours, nil)
	expect(t, "which keeps it as well", b.has(step), false)
	b.leave(second)
	expect(t, "in the end it is free", b.has(step), true)
	expect(t, "one that is in nothing any more waits as any other", b.has(b.ask(Local, maker)), false)
}

func TestSlotsAreFairAndNeverTooMany(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.IntRange(1, 4).Draw(t, "slots")
		b := &bench{Slots: NewSlots(all)}
		for range rapid.IntRange(1, 60).Draw(t, "moves") {
			before, waited := slices.Clone(b.runs), slices.Clone(b.waits)
			switch rapid.IntRange(0, 9).Draw(t, "move") {
			case 0, 1, 2, 3, 4:
				var within *Turn
				w := rapid.SampledFrom([]Whose{Ours, Theirs, Local}).Draw(t, "whose")
				if w == Local && len(b.runs) > 0 && rapid.Bool().Draw(t, "within") {
					if in := rapid.SampledFrom(b.runs).Draw(t, "in"); in.Whose == Local {
						within = in
					}
				}
				waited = append(waited, b.ask(w, within))
			case 5, 6, 7:
				if len(b.runs) > 0 {
					b.leave(rapid.SampledFrom(b.runs).Draw(t, "leaves"))
				}
			case 8:
				if len(b.waits) > 0 {
					b.leave(rapid.SampledFrom(b.waits).Draw(t, "gives up"))
				}
			case 9:
				b.Lend(rapid.IntRange(0, all).Draw(t, "lends"))
				b.serve()
			}
			b.judge(t, before, waited)
		}
		for len(b.runs) > 0 {
			b.leave(b.runs[0])
		}
		if len(b.waits) > 0 && b.waits[0].Whose != Theirs || b.used != [3]int{} {
			t.Fatalf("%d wait for slots of which %v are taken", len(b.waits), b.used)
		}
	})
}

// judge says what is wrong after a move, before which some ran and some waited.
func (b *bench) judge(t *rapid.T, before, waited []*Turn) {
	var has [Local + 1]int
	for _, r := range b.runs {
		if r.from == nil {
			has[r.Whose]++
		}
	}
	own, total := has[Ours]+has[Local], has[Ours]+has[Local]+has[Theirs]
	if own > b.all || has != b.used {
		t.Fatalf("%d of the user's in %d slots; %v are counted, %v run", own, b.all, b.used, has)
	}
	for _, r := range b.runs {
		if r.Whose == Theirs && !slices.Contains(before, r) && (total > b.all || has[Theirs] > b.lent) {
			t.Fatalf("%v run, and one of theirs began", has)
		}
	}
	mine, overtaken := 0, false
	for _, w := range waited {
		if w.Whose == Theirs || w.Within != nil {
			continue
		}
		switch {
		case slices.Contains(b.waits, w):
			overtaken = true
		case b.has(w) && overtaken:
			t.Fatalf("one of the user's began before one that waits longer")
		}
	}
	for _, w := range b.waits {
		switch w.Whose {
		case Local:
			mine++
			if own < b.all || w.Within != nil && b.has(w.Within) && w.Within.lends == nil {
				t.Fatalf("a command waits while %v run in %d slots", has, b.all)
			}
		case Ours:
			if total < b.all {
				t.Fatalf("a step waits while %v run in %d slots", has, b.all)
			}
		case Theirs:
			if total < b.all && has[Theirs] < b.lent {
				t.Fatalf("stolen work waits while %v run in %d slots", has, b.all)
			}
		}
	}
	if want := max(min(b.lent, b.all-has[Local]-mine), 0); b.For(Theirs) != want || b.For(Ours) != max(b.all-has[Local], 1) {
		t.Fatalf("builds count with %d and %d slots while %v run, and %d commands wait", b.For(Ours), b.For(Theirs), has, mine)
	}
}
