package steal

import (
	"testing"

	"github.com/buildnet/buildnet/mesh/peer"
)

// What is to run on the initiator while that takes work is not given away
// because another member was quicker to join.
func TestAStepOfTheInitiatorWaitsUntilItHasJoined(t *testing.T) {
	w, _ := origin(chain(1))
	w.spec.home = true
	l, err := NewLeader(LeaderOptions{
		Self: "peer1", Initiator: "peer0", Epoch: first, Plan: w.makePlan(),
		Members: []peer.Member{{ID: "peer0"}, {ID: "peer1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	l.Tick(start)
	for _, id := range []peer.ID{"peer0", "peer1"} {
		l.Opened(start, id)
	}
	l.Receive(start, "peer0", Follow{})
	l.Receive(start, "peer1", Join{Slots: 1})
	l.Receive(start, "peer1", Want{Free: 1})
	l.Resolved(start, Resolved{Step: 0, Attempt: l.tasks[0].attempt, Action: digestOf("it")})
	expect(t, "before the initiator has joined", l.tasks[0].phase, Queued)
	l.Receive(start, "peer0", Join{Slots: 1})
	l.Receive(start, "peer0", Want{Free: 1})
	expect(t, "who has it then", l.tasks[0].worker, peer.ID("peer0"))
}
