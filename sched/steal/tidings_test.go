package steal

import (
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
)

// telling is a hand that runs job7, has job8 besides, and says every two seconds
// how it is.
func telling(t *testing.T) *Hand {
	h := NewHand(HandOptions{Self: "worker", Slots: 1, StatusEvery: 2 * time.Second})
	out := h.Receive(start, first, Hello{})
	expect(t, "it says how it is when it joins", said(out.Replies), []Message{Join{Slots: 1}, Want{Free: 2}, Status{Slots: 1}})
	h.Receive(start, first, job7)
	h.Receive(start, first, job8)
	h.Prepared(start, 7, job7.Action, nil)
	h.Running(start, 7, job7.Action)
	return h
}

func TestHandSaysHowFarAStepIsOnceASecond(t *testing.T) {
	h := telling(t)
	pass := func(after time.Duration, percent int) (msgs []Message) {
		now := start.Add(after)
		replies := h.Receive(now, first, Beat{}).Replies
		replies = append(replies, h.Progress(now, 7, job7.Action, percent).Replies...)
		for _, msg := range said(append(replies, h.Tick(now).Replies...)) {
			if _, beat := msg.(Beat); !beat {
				msgs = append(msgs, msg)
			}
		}
		return msgs
	}
	expect(t, "what does not run has no progress yet", said(h.Progress(start, 8, job8.Action, 5).Replies), []Message(nil))
	expect(t, "the first", pass(50*time.Millisecond, 10), []Message{Progress{Step: 7, Percent: 10}})
	for i := range 9 {
		expect(t, "within a second", pass(time.Duration(100+100*i)*time.Millisecond, 20+i), []Message(nil))
	}
	expect(t, "the last of a second", pass(1050*time.Millisecond, 28), []Message{Progress{Step: 7, Percent: 28}})
	for ms := 1100; ms < 2000; ms += 100 {
		expect(t, "nothing twice", pass(time.Duration(ms)*time.Millisecond, 28), []Message(nil))
	}
	expect(t, "how it is", pass(2*time.Second, 28), []Message{Status{Slots: 1, Busy: 1, Waiting: 1, Running: []Step{7}}})
}

// A command may say how far it is before the Hand is told that it runs, and then
// say nothing more.
func TestHandKeepsWhatAStepSaysBeforeItIsKnownToRun(t *testing.T) {
	h := telling(t)
	h.Ended(start, Report{Step: 7, Action: job7.Action, Failure: Failure{Kind: Broken}})
	h.Prepared(start, 8, job8.Action, nil)
	h.Progress(start, 8, job8.Action, 50)
	expect(t, "as soon as it runs", said(h.Running(start, 8, job8.Action).Replies), []Message{Started{Step: 8}, Progress{Step: 8, Percent: 50}})
}

func TestHandTellsTheNextLeaderHowFarItIs(t *testing.T) {
	h := telling(t)
	h.Progress(start, 7, job7.Action, 40)
	msgs := said(h.Receive(start, next, Hello{}).Replies)
	expect(t, "after it has joined", msgs[1:], []Message{Status{Slots: 1, Busy: 1, Waiting: 1, Running: []Step{7}}, Progress{Step: 7, Percent: 40}})
}

// tidings of what a leader sends to the initiator.
func passed(out Output) (all []Tidings) {
	for _, m := range to(out, "peer0") {
		if t, ok := m.(Tidings); ok {
			all = append(all, t)
		}
	}
	return all
}

func TestALeaderPassesOnWhatIsNew(t *testing.T) {
	l := successor(t, chain(1))
	for _, id := range []peer.ID{"peer0", "peer1", "peer2"} {
		l.Receive(start, id, Join{Slots: 1})
	}
	l.Receive(start, "peer0", Follow{})
	l.Receive(start, "peer2", Want{Free: 1})
	l.Resolved(start, Resolved{Step: 0, Attempt: 1, Action: digestOf("it")})
	l.Receive(start, "peer2", Status{Slots: 1, Waiting: 1})
	l.Receive(start, "peer1", Progress{Step: 0, Percent: 1}) // which it has not
	l.Receive(start, "peer2", Progress{Step: 9, Percent: 1})
	expect(t, "what waits, and how its worker is", passed(l.Tick(start.Add(TidingsEvery))), []Tidings{{
		Placements: []Placement{{Step: 0, Peer: "peer2"}}, Statuses: []PeerStatus{{Peer: "peer2", Status: Status{Slots: 1, Waiting: 1}}},
	}})
	now := start.Add(TidingsEvery)
	l.Receive(now, "peer2", Started{Step: 0})
	l.Receive(now, "peer2", Progress{Step: 0, Percent: 10})
	expect(t, "not at once", passed(l.Tick(now.Add(TidingsEvery-1))), []Tidings(nil))
	l.Receive(now, "peer2", Progress{Step: 0, Percent: 20})
	now = now.Add(TidingsEvery)
	for _, id := range []peer.ID{"peer0", "peer1", "peer2"} {
		l.Receive(now, id, Beat{})
	}
	expect(t, "the latest alone", passed(l.Tick(now)), []Tidings{{Advances: []Advance{{Step: 0, Peer: "peer2", Percent: 20}}}})
	expect(t, "nothing new", passed(l.Tick(now.Add(TidingsEvery))), []Tidings(nil))
}

func TestOriginTellsWhereAStepIs(t *testing.T) {
	_, o := origin(chain(1), 1)
	o.Tick(start)
	one := Epoch{Number: 1, Leader: "peer1"}
	o.Receive(start, one, Hello{})
	here := Tidings{
		Placements: []Placement{{Step: 0, Peer: "peer2"}, {Step: 7, Peer: "peer2"}}, Advances: []Advance{{Step: 0, Peer: "peer2", Percent: 300}, {Step: -1}},
		Statuses: []PeerStatus{{Peer: "peer2", Status: Status{Slots: 1, Running: []Step{0, 9}}}},
	}
	expect(t, "once", o.Receive(start, one, here).Events, []Event{
		{Kind: Placed, Step: 0, Peer: "peer2"}, {Kind: Advanced, Step: 0, Peer: "peer2", Percent: 100},
		{Kind: Stated, Step: -1, Peer: "peer2", Status: &Status{Slots: 1, Running: []Step{0}}},
	})
	expect(t, "where it was known to be", kinds(o.Receive(start, one, Append{First: 1, Ops: []Op{
		{Kind: OpStandbys}, {Kind: OpStarted, Step: 0, Peer: "peer2"}, {Kind: OpTried, Step: 0, Peer: "peer2", Text: "why"},
	}})), []EventKind{Elected, Began, Noted, Undone})
	done := garbageDone(0)
	expect(t, "a placement that no tidings told", kinds(o.Receive(start, one, Append{First: 4, Ops: []Op{
		{Kind: OpStarted, Step: 0, Peer: "peer1"}, {Kind: OpDone, Step: 0, Done: done},
	}})), []EventKind{Placed, Began, Made})
	expect(t, "late tidings", kinds(o.Receive(start, one, Tidings{Advances: here.Advances, Placements: here.Placements})), []EventKind(nil))
}
