package steal

import (
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
)

// reign is a leader of one step in some epoch, with the log of the one before
// it. All that it calls are there, and those who join want work.
func reign(t *testing.T, number uint64, self, predecessor peer.ID, log []Op, alive, joining []peer.ID) *Leader {
	t.Helper()
	w, _ := origin(chain(1))
	members := make([]peer.Member, len(alive))
	for i, id := range alive {
		members[i].ID = id
	}
	l, err := NewLeader(LeaderOptions{
		Self: self, Initiator: "peer0", Epoch: Epoch{Number: number, Leader: self}, Plan: w.makePlan(),
		Log: log, Predecessor: predecessor, Members: members,
	})
	if err != nil {
		t.Fatal(err)
	}
	l.Tick(start)
	for _, id := range alive {
		l.Opened(start, id)
	}
	for _, id := range joining {
		l.Receive(start, id, Join{Slots: 1})
		l.Receive(start, id, Want{Free: 1})
	}
	l.Receive(start, "peer0", Follow{})
	return l
}

// handsOut has a leader give its step away, when it has waited for its crew, and
// returns to whom.
func handsOut(t *testing.T, l *Leader) (worker peer.ID) {
	t.Helper()
	l.Resolved(start, Resolved{Step: 0, Attempt: l.tasks[0].attempt, Action: digestOf("it")})
	l.Tick(start.Add(HearingTime))
	if l.tasks[0].phase != Assigned {
		t.Fatal("it is given to nobody")
	}
	return l.tasks[0].worker
}

func TestAWorkerThatWasNotHeardCountsAfterItsStepWasGivenToAnother(t *testing.T) {
	log := []Op{{Kind: OpStarted, Step: 0, Peer: "peer3"}}
	l := reign(t, 2, "peer1", "peer9", log, []peer.ID{"peer0", "peer1", "peer2", "peer3"}, []peer.ID{"peer2"})
	expect(t, "the second worker", handsOut(t, l), peer.ID("peer2"))
	l.Receive(start.Add(HearingTime), "peer2", Started{Step: 0})
	next := reign(t, 3, "peer4", "peer1", l.log, []peer.ID{"peer0", "peer4"}, nil)
	expect(t, "workers lost with it when the leader and both are dead", next.record.Steps[0].Lost, 2)

	next = reign(t, 3, "peer4", "peer1", l.log, []peer.ID{"peer0", "peer2", "peer3", "peer4"}, nil)
	expect(t, "workers lost while they may yet be heard", next.record.Steps[0].Lost, 0)
	next.Receive(start, "peer0", Beat{})
	next.Receive(start, "peer3", Beat{})
	next.Receive(start, "peer4", Beat{})
	next.Tick(start.Add(Lease - 1))
	next.Receive(start.Add(Lease-1), "peer0", Beat{})
	next.Receive(start.Add(Lease-1), "peer3", Join{Slots: 1, Running: []Running{{Step: 0, Action: digestOf("it"), Started: true}}})
	next.Tick(start.Add(Lease))
	expect(t, "workers lost when one of them has it still", next.record.Steps[0].Lost, 1)
}

func TestAWorkerThatComesBackWithoutWhatItBeganWasLostWithIt(t *testing.T) {
	l := reign(t, 2, "peer1", "peer9", nil, []peer.ID{"peer0", "peer1", "peer2"}, []peer.ID{"peer2"})
	handsOut(t, l)
	now := start.Add(HearingTime)
	for lives := 1; lives <= MaxLost; lives++ {
		l.Receive(now, "peer2", Started{Step: 0})
		l.Closed(now, "peer2")
		l.Opened(now, "peer2")
		l.Receive(now, "peer2", Join{Slots: 1})
		expect(t, "workers lost", l.record.Steps[0].Lost, lives)
		l.Receive(now, "peer2", Want{Free: 1})
		l.Resolved(now, Resolved{Step: 0, Attempt: l.tasks[0].attempt, Action: digestOf("it")})
	}
	expect(t, "it is given up", l.tasks[0].phase, GivenUp)
}

func TestAWorkerThatLeftAStepIsNotLostWithIt(t *testing.T) {
	has := []Running{{Step: 0, Action: digestOf("it"), Started: true}}
	crew := []peer.ID{"peer0", "peer1", "peer2", "peer3"}
	for name, leaves := range map[string]func(l *Leader){
		"it was told to": func(l *Leader) {
			expect(t, "it is told to leave it", to(l.Receive(start, "peer3", Join{Slots: 1, Running: has}), "peer3")[0], Message(Revoke{Step: 0}))
			l.Receive(start, "peer3", Return{Step: 0, Taken: true})
		},
		"its try came to nothing": func(l *Leader) {
			l.Receive(start, "peer3", Report{Step: 0, Action: digestOf("it"), Failure: Failure{Kind: Broken}})
		},
	} {
		log := []Op{{Kind: OpStarted, Step: 0, Peer: "peer2"}, {Kind: OpStarted, Step: 0, Peer: "peer3"}}
		l := reign(t, 2, "peer1", "peer9", log, crew, nil)
		l.Receive(start, "peer2", Join{Slots: 1, Running: has})
		leaves(l)
		next := reign(t, 3, "peer4", "peer1", l.log, []peer.ID{"peer0", "peer4"}, nil)
		expect(t, name+": workers lost with it", next.record.Steps[0].Lost, 1)
	}
}

func TestAStepThatBeginsBeforeItIsAdoptedCounts(t *testing.T) {
	l := reign(t, 2, "peer1", "peer9", nil, []peer.ID{"peer0", "peer1", "peer2"}, nil)
	l.Receive(start, "peer2", Join{Slots: 1, Running: []Running{{Step: 0, Action: digestOf("it")}}})
	l.Receive(start, "peer2", Started{Step: 0})
	l.Receive(start.Add(time.Millisecond), "peer0", Beat{})
	l.Tick(start.Add(Lease))
	expect(t, "workers lost with it", l.record.Steps[0].Lost, 1)
}
