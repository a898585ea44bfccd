package steal

import (
	"slices"
	"testing"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

func TestAnActionGoesOnUntilItsStepIsDecided(t *testing.T) {
	l := successor(t, [][]int{nil, nil})
	for _, id := range []peer.ID{"peer0", "peer1", "peer2"} {
		l.Receive(start, id, Join{Slots: 1})
	}
	expectGoing := func(when string, want ...digest.Digest) {
		t.Helper()
		expect(t, when, slices.Collect(l.Going()), want)
	}
	out := l.Receive(start, "peer0", Follow{})
	expectGoing("before any is known")
	actions := []digest.Digest{digestOf("zero"), digestOf("one")}
	for _, r := range slices.Clone(out.Resolves) {
		l.Resolved(start, Resolved{Step: r.Step, Attempt: r.Attempt, Action: actions[r.Step]})
	}
	expectGoing("while they wait", actions...)
	l.Receive(start, "peer1", Want{Free: 1})
	if l.tasks[0].phase != Assigned && l.tasks[1].phase != Assigned {
		t.Fatal("none is given away")
	}
	expectGoing("while one is in hands", actions...)
	l.giveUp(0, "")
	expectGoing("when one is given up", actions[1])
}

func TestABuildNeedsWhatItsInitiatorLacksAndWhatLaterStepsRead(t *testing.T) {
	l := successor(t, chain(2))
	expectNeeded := func(when string, want ...Step) {
		t.Helper()
		var got []Step
		for s, d := range l.Needed() {
			if d != l.record.Steps[s].Done {
				t.Errorf("%s: step %d is %+v", when, s, d)
			}
			got = append(got, s)
		}
		expect(t, when, got, want)
	}
	l.Receive(start, "peer0", Follow{})
	expectNeeded("at first")
	for s := range Step(2) {
		d := garbageDone(int(s))
		l.complete(s, *d)
		expectNeeded("when it is done", s)
		l.Receive(start, "peer0", Secured{Step: s, Action: d.Entry.Action})
		if !l.record.Steps[s].Secured {
			t.Fatalf("step %d is not secured", s)
		}
		if s == 0 {
			expectNeeded("while it is read by the next", 0)
		}
	}
	expectNeeded("when all is with the initiator")
}
