package invocations

import (
	"testing"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/memory"
	"pgregory.net/rapid"
)

// Steps that want the same name have names of their own, before and after a pause, and
// each is known by its action.
func TestNoTwoStepsHaveOneName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := newNames()
		of := map[action.StepID]wanted{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			w := wanted{rapid.SampledFrom([]string{"a", "a#2", "a#x", "b"}).Draw(t, "name"), act(rapid.IntRange(0, 5).Draw(t, "action"))}
			id := n.take(w)
			if other, taken := of[id]; taken {
				t.Fatalf("%q is %v and %v", id, other, w)
			}
			of[id] = w
			if rapid.IntRange(0, 9).Draw(t, "pause") == 0 {
				n = newNames()
				for id, w := range of {
					n.remember(id, w.action)
				}
			}
			for _, w := range of {
				if !n.told[w] {
					t.Fatalf("%v is not known any more", w)
				}
			}
		}
	})
}

func TestActionsThatMakeTheSameAreToldOnceEach(t *testing.T) {
	b := newBook(&memory.KV{})
	running(t, b, func() {
		i := b.Enter(said("one"))
		defer i.Leave()
		for range 2 {
			for n := range 3 {
				i.Known(act(n), said("one"), result(0, "self"))
			}
		}
		listed, err := b.List(0)
		if err != nil || len(listed) != 1 {
			t.Fatalf("%+v, %v", listed, err)
		}
		if f := summaryOf(t, listed[0]); f.Steps != 3 {
			t.Errorf("%d steps of three actions: %+v", f.Steps, f)
		}
	})
}
