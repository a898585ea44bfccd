package steal

import (
	"slices"
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
)

func TestTheInitiatorTellsWhoBeganWhatHasNoResult(t *testing.T) {
	_, o := origin([][]int{{}, {}, {}}, 1)
	o.Tick(start)
	one, two, three := Epoch{Number: 1, Leader: "peer1"}, Epoch{Number: 2, Leader: "peer2"}, Epoch{Number: 3, Leader: "peer1"}
	o.Receive(start, one, Hello{})
	d := garbageDone(1)
	o.Receive(start, one, Append{First: 1, Ops: []Op{
		{Kind: OpStandbys}, {Kind: OpStarted, Step: 0, Peer: "peer1"}, {Kind: OpLost, Step: 0, Peer: "peer9"},
		{Kind: OpStarted, Step: 1, Peer: "peer1"}, {Kind: OpDone, Step: 1, Done: d},
	}})
	toll := Toll{Step: 0, Began: []peer.ID{"peer1"}, Fallen: []peer.ID{"peer9"}}
	want := []Message{Known{Step: 1, Done: *d}, toll, Follow{}}
	expect(t, "the next leader is told", said(o.Receive(start, two, Hello{}).Replies), want)
	expect(t, "and one that comes before that has said what it knows", said(o.Receive(start, three, Hello{}).Replies), want)
}

func TestALeaderHearsWhomAStepHasKilled(t *testing.T) {
	// The successor's log has one of the workers, and none of those after it.
	log := []Op{{Kind: OpLost, Step: 0, Peer: "peer7"}}
	l := hears(t, log, Toll{Step: 0, Fallen: []peer.ID{"peer7", "peer8", "peer8"}, Began: []peer.ID{"peer6"}})
	expect(t, "workers lost with it", l.record.Steps[0].Lost, 4)
	expect(t, "their names", l.record.Steps[0].Fallen, []peer.ID{"peer7", "peer8", "peer8", "peer6"})
	expect(t, "it is given up", l.tasks[0].phase, GivenUp)
}

// hears is a leader of a second epoch that hears a toll before it is followed.
func hears(t *testing.T, log []Op, toll Toll) *Leader {
	t.Helper()
	l := successor(t, chain(1))
	for _, op := range log {
		l.append(op)
	}
	l.Receive(start, "peer0", toll)
	l.Receive(start, "peer0", Follow{})
	return l
}

func TestWhoHasJoinedHasSaidWhatItHas(t *testing.T) {
	l := successor(t, chain(1))
	l.Receive(start, "peer2", Join{Slots: 1})
	l.Receive(start, "peer0", Toll{Step: 0, Began: []peer.ID{"peer1", "peer2"}})
	expect(t, "only the other one may be dead of it", l.record.Steps[0].Began, []peer.ID{"peer1"})
	l.Receive(start, "peer0", Follow{})
	l.Receive(start, "peer0", Toll{Step: 0, Began: []peer.ID{"peer3"}})
	expect(t, "it comes too late", l.record.Steps[0].Began, []peer.ID{"peer1"})
}

func TestAStepWaitsForThoseWhoMayBeDeadOfIt(t *testing.T) {
	log := []Op{
		{Kind: OpLost, Step: 0, Peer: "peer7"}, {Kind: OpLost, Step: 0, Peer: "peer8"}, {Kind: OpLost, Step: 0, Peer: "peer9"},
		{Kind: OpStarted, Step: 0, Peer: "peer3"},
	}
	crew := []peer.ID{"peer0", "peer1", "peer2", "peer3"}
	l := reign(t, 2, "peer1", "peer5", log, crew, []peer.ID{"peer2"})
	l.Tick(start.Add(HearingTime))
	expect(t, "it is not asked for", l.tasks[0].phase, Ready)
	for _, id := range crew[:3] {
		l.Receive(start.Add(HearingTime), id, Beat{})
	}
	l.Tick(start.Add(Lease))
	expect(t, "the fourth was dead", l.tasks[0].phase, GivenUp)

	l = reign(t, 2, "peer1", "peer5", log, crew, []peer.ID{"peer2"})
	l.Receive(start, "peer3", Join{Slots: 1, Running: []Running{{Step: 0, Action: digestOf("it"), Started: true}}})
	l.Resolved(start, Resolved{Step: 0, Attempt: l.tasks[0].attempt, Action: digestOf("it")})
	expect(t, "the fourth has it still", l.tasks[0].worker, peer.ID("peer3"))
}

func TestTheNamesOfTheLostOutliveTheirLeader(t *testing.T) {
	log := []Op{{Kind: OpLost, Step: 0, Peer: "peer7"}, {Kind: OpLost, Step: 0}, {Kind: OpStarted, Step: 0, Peer: "peer9"}}
	l := reign(t, 2, "peer1", "peer9", log, []peer.ID{"peer0", "peer1"}, nil)
	r := &l.record.Steps[0]
	expect(t, "lost", r.Lost, 3)
	slices.Sort(r.Fallen)
	expect(t, "of whom are known", r.Fallen, []peer.ID{"peer7", "peer9"})
}

func TestWhoSaysNothingToARevocationMayBeDeadOfTheStep(t *testing.T) {
	for _, c := range []struct {
		name      string
		says      bool
		lost, end int
	}{{"nothing is heard of it", false, 1, 0}, {"it has left the step", true, 0, 1}} {
		r, s := late(t)
		r.passes(4500 * time.Millisecond)
		r.starts("peer1")
		r.l.tasks[s].stake = 0.01 // so that the backup is in vain
		r.passes(100 * time.Millisecond)
		expect(t, c.name+": is told", r.told("peer1", Revoke{Step: s}), true)
		if c.says {
			r.hears("peer1", Return{Step: s, Taken: true})
		}
		r.l.begin(r.now)
		r.l.lose(r.l.crew["peer1"])
		r.do(r.l.finish())
		expect(t, c.name, [2]int{r.logged(OpLost), r.logged(OpStopped)}, [2]int{c.lost, c.end})
		expect(t, c.name+": the other goes on", r.l.tasks[s].worker, peer.ID("peer2"))
	}
}

func TestWhatIsGivenAgainIsNotTakenForReturned(t *testing.T) {
	r := rule(t, 3, 3)
	r.wants(1, "peer2")
	s := r.starts("peer2")
	r.hears("peer2", Return{Step: s, Taken: true}) // of an attempt before
	expect(t, "has it", r.l.tasks[s].worker, peer.ID("peer2"))
}

func TestWhoIsToldToLeaveAStepSaysSo(t *testing.T) {
	h := NewHand(HandOptions{Self: "peer2", Slots: 1})
	e := Epoch{Number: 1, Leader: "peer1"}
	h.Receive(start, e, Hello{Initiator: "peer0"})
	h.Receive(start, e, Assign{Step: 3, Action: digestOf(3)})
	expect(t, "says", said(h.Receive(start, e, Revoke{Step: 3}).Replies)[0], Message(Return{Step: 3, Taken: true}))
	for _, m := range said(h.Receive(start, e, Revoke{Step: 3}).Replies) {
		if _, is := m.(Return); is {
			t.Error("it gives back what it does not have")
		}
	}
}
