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
