package steal

import (
	"testing"

	"github.com/buildnet/buildnet/sched/action"
)

// loaded is a hand with two slots that runs one job and has another ready.
func loaded(t *testing.T) *Hand {
	t.Helper()
	h := NewHand(HandOptions{Self: "worker", Slots: 2, Most: 2, OS: "linux", Arch: "amd64", BPU: 1})
	h.Receive(start, first, Hello{})
	for _, j := range []Assign{job7, job8} {
		h.Receive(start, first, j)
		h.Prepared(start, j.Step, j.Action, nil)
	}
	h.Running(start, 7, job7.Action)
	return h
}

func TestHandWithFewerSlotsGivesBackWhatItHasNotBegun(t *testing.T) {
	h := loaded(t)
	out := h.Resize(start, 0)
	// It asks for nothing first, so that what it returns does not come again.
	expect(t, "says so", said(out.Replies), []Message{Resize{Slots: 1}, Want{Seen: 2}, Return{Step: 8}})
	expect(t, "ends it here", out.Cancels, []Assign{job8})
	out = h.Receive(start, first, job8)
	expect(t, "what crossed goes back", said(out.Replies), []Message{Return{Step: 8}, Want{Seen: 3}})
	r := Report{Step: 7, Action: job7.Action, Entry: &action.Entry{Action: job7.Action}}
	expect(t, "what runs ends well", said(h.Ended(start, r).Replies), []Message{r})
	out = h.Resize(start, 2)
	expect(t, "wants again", said(out.Replies), []Message{Resize{Slots: 2}, Want{Seen: 3, Free: 4}})
}

func TestHandWithoutSlotsGivesBackWhatRuns(t *testing.T) {
	h := loaded(t)
	h.Resize(start, 0)
	out := h.Release(start)
	expect(t, "says so", said(out.Replies), []Message{Return{Step: 7}})
	expect(t, "ends it here", out.Cancels, []Assign{job7})
	if !h.Idle() {
		t.Error("something is left")
	}
}

func TestHandTellsTheNextLeaderTheSlotsThatItHasThen(t *testing.T) {
	h := loaded(t)
	h.Closed(start, first)
	if out := h.Resize(start, 1); len(out.Replies) > 0 {
		t.Errorf("it tells nobody: %+v", out.Replies)
	}
	out := h.Receive(start, next, Hello{})
	expect(t, "joins", out.Replies[0].Msg, Message(Join{
		Slots: 1, OS: "linux", Arch: "amd64", BPU: 1,
		Running: []Running{{Step: 7, Action: job7.Action, Started: true}, {Step: 8, Action: job8.Action}},
	}))
}

func TestHandTellsLateThatSlotsAreBackWhileItHasEnoughToDo(t *testing.T) {
	h := loaded(t)
	expect(t, "fewer at once", said(h.Resize(start, 1).Replies), []Message{Resize{Slots: 1}, Want{Seen: 2}})
	soon := start.Add(Ebb / 2)
	expect(t, "it has two in hand", len(h.Resize(soon, 2).Replies), 0)
	h.Running(soon, 8, job8.Action)
	expect(t, "fewer again: as was said", len(h.Resize(soon, 1).Replies), 0)
	h.Resize(soon, 2)
	expect(t, "is due", h.Due(), soon.Add(Ebb))
	expect(t, "it lasts", said(h.Tick(soon.Add(Ebb)).Replies), []Message{Resize{Slots: 2}, Want{Seen: 2, Free: 2}})
	h.Resize(soon, 1)
	r := Report{Step: 7, Action: job7.Action, Entry: &action.Entry{Action: job7.Action}}
	h.Ended(soon, r)
	expect(t, "one is enough for one slot", said(h.Resize(soon, 3).Replies), []Message{Resize{Slots: 3}, Want{Seen: 2, Free: 5}})
}
