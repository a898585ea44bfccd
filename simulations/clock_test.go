package simulations

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// What is pushed while others are popped comes out by time, and of one time
// in the order in which it came in.
func TestEventsComeByTimeAndOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c clock
		type due struct {
			at time.Duration
			no int
		}
		var pending []due
		delay := rapid.OneOf(
			rapid.Just(time.Duration(0)),
			rapid.Custom(func(t *rapid.T) time.Duration {
				return time.Duration(rapid.Int64Range(-1, int64(3*time.Millisecond)).Draw(t, "soon"))
			}),
			rapid.Custom(func(t *rapid.T) time.Duration {
				return time.Duration(rapid.Int64Range(0, int64(20*time.Second)).Draw(t, "late"))
			}),
		)
		popped := -1
		pop := func() {
			at := c.first()
			e := c.pop()
			e.do()
			want := pending[0]
			pending = pending[1:]
			if at != e.at || e.at != want.at || popped != want.no {
				t.Fatalf("event %d at %v (first said %v), want %d at %v", popped, e.at, at, want.no, want.at)
			}
			c.now = e.at
		}
		for no := range rapid.IntRange(1, 200).Draw(t, "events") {
			at := c.now + delay.Draw(t, "delay")
			c.push(event{at: at, do: func() { popped = no }})
			pending = append(pending, due{max(at, c.now), no})
			slices.SortStableFunc(pending, func(a, b due) int { return cmp.Compare(a.at, b.at) })
			for range rapid.IntRange(0, min(2, len(pending))).Draw(t, "pops") {
				pop()
			}
			if c.pending() != len(pending) {
				t.Fatalf("%d pending, want %d", c.pending(), len(pending))
			}
		}
		for len(pending) > 0 {
			pop()
		}
	})
}
