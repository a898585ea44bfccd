package steal

import (
	"reflect"
	"testing"
	"time"

	"github.com/buildnet/buildnet/sched/action"
)

var (
	start = time.Unix(1_000_000, 0)
	first = Epoch{Number: 1, Leader: "leader"}
	next  = Epoch{Number: 2, Leader: "standby"}
	job7  = Assign{Step: 7, Name: "seven", Action: digestOf("seven")}
	job8  = Assign{Step: 8, Name: "eight", Action: digestOf("eight")}
)

func said(replies []Reply) (msgs []Message) {
	for _, r := range replies {
		msgs = append(msgs, r.Msg)
	}
	return msgs
}

func expect(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %+v, want %+v", what, got, want)
	}
}

// serving is a hand with one slot that has joined the first leader.
func serving(t *testing.T) *Hand {
	h := NewHand(HandOptions{Self: "worker", Slots: 1, OS: "linux", Arch: "amd64", BPU: 1})
	out := h.Receive(start, first, Hello{})
	expect(t, "hello is answered", said(out.Replies), []Message{Join{Slots: 1, OS: "linux", Arch: "amd64", BPU: 1}, Want{Free: 2}})
	return h
}

func TestHandRunsWhatItIsGiven(t *testing.T) {
	h := serving(t)
	expect(t, "prepares", h.Receive(start, first, job7).Prepares, []Assign{job7})
	expect(t, "prepares meanwhile", h.Receive(start, first, job8).Prepares, []Assign{job8})
	expect(t, "runs", h.Prepared(start, 7, job7.Action, nil).Runs, []Assign{job7})
	if out := h.Prepared(start, 8, job8.Action, nil); len(out.Runs) > 0 {
		t.Error("two run on one slot")
	}
	expect(t, "says that it began", said(h.Running(start, 7, job7.Action).Replies), []Message{Started{Step: 7}})
	r := Report{Step: 7, Action: job7.Action, Entry: &action.Entry{Action: job7.Action}}
	out := h.Ended(start, r)
	expect(t, "reports and wants", said(out.Replies), []Message{r, Want{Seen: 2, Free: 1}})
	expect(t, "runs the next", out.Runs, []Assign{job8})
}

func TestMessagesOfAnAssignmentAreKeptByWhoeverPreparesIt(t *testing.T) {
	h, with := serving(t), job7
	with.Messages = [][]byte{[]byte("seven")}
	expect(t, "prepares", h.Receive(start, first, with).Prepares, []Assign{with})
	expect(t, "runs", h.Prepared(start, 7, job7.Action, nil).Runs, []Assign{job7})
}

func TestHandRefusesALowerEpoch(t *testing.T) {
	h := serving(t)
	h.Receive(start, next, Hello{})
	out := h.Receive(start, first, job7)
	expect(t, "says who leads", out.Replies, []Reply{{To: first, Msg: Refuse{Epoch: next}}})
	if len(out.Prepares) > 0 {
		t.Error("it takes work of a leader that leads no more")
	}
	out = h.Receive(start, first, End{Reason: Cancelled})
	if out.Over {
		t.Error("it is ended by a leader that leads no more")
	}
}

func TestHandRefusesWhatItsNodeHasHeardTheEndOf(t *testing.T) {
	h := NewHand(HandOptions{Self: "worker", Slots: 1, Heard: next})
	expect(t, "it says who leads", h.Receive(start, first, Hello{}).Replies, []Reply{{To: first, Msg: Refuse{Epoch: next}}})
	if said := h.Receive(start, next, Hello{}).Replies; len(said) == 0 {
		t.Error("it does not join whom its node heard of")
	}
}

func TestHandKeepsReportsUntilALeaderConfirmsThem(t *testing.T) {
	h := serving(t)
	h.Receive(start, first, job7)
	h.Receive(start, first, job8)
	h.Prepared(start, 7, job7.Action, nil)
	h.Running(start, 7, job7.Action)
	h.Closed(start, first)
	r := Report{Step: 7, Action: job7.Action, Entry: &action.Entry{Action: job7.Action}}
	if out := h.Ended(start, r); len(out.Replies) > 0 {
		t.Errorf("said to nobody: %v", out.Replies)
	}
	at := start.Add(time.Second)
	expect(t, "the next leader hears first what it may not know", said(h.Receive(at, next, Hello{}).Replies), []Message{
		r,
		Join{Slots: 1, OS: "linux", Arch: "amd64", BPU: 1, Running: []Running{{Step: 8, Action: job8.Action}}},
		Want{Free: 1},
	})
	h.Receive(at, next, Confirm{Step: 7, Action: job8.Action})
	if h.Closed(at, next); len(said(h.Receive(at, next, Hello{}).Replies)) != 3 {
		t.Error("confirmed by another action")
	}
	h.Receive(at, next, Confirm{Step: 7, Action: job7.Action})
	if h.Closed(at, next); len(said(h.Receive(at, next, Hello{}).Replies)) != 2 {
		t.Error("not confirmed")
	}
}

func TestHandBeginsNothingWithoutALeader(t *testing.T) {
	h := serving(t)
	h.Receive(start, first, job7)
	h.Closed(start, first)
	if out := h.Prepared(start, 7, job7.Action, nil); len(out.Runs) > 0 {
		t.Error("it begins what may be somebody else's by now")
	}
	expect(t, "goes on", h.Receive(start, next, Hello{}).Runs, []Assign{job7})
}

func TestHandEndsWhenNobodyLeads(t *testing.T) {
	h := serving(t)
	h.Receive(start, first, job7)
	h.Prepared(start, 7, job7.Action, nil)
	h.Running(start, 7, job7.Action)
	h.Closed(start, first)
	if out := h.Tick(start.Add(Bereft - 1)); out.Over || len(out.Cancels) > 0 {
		t.Error("it does not wait for a successor")
	}
	out := h.Tick(start.Add(Bereft))
	expect(t, "cancels", out.Cancels, []Assign{job7})
	if !out.Over {
		t.Error("not over")
	}
	if Bereft >= 2*time.Second-BeatEvery {
		t.Errorf("a build is to end within 2 s, and Bereft is %v", Bereft)
	}
}

func TestHandGivesBackWhatItDoesNotBeginWhenItDrains(t *testing.T) {
	h := serving(t)
	h.Receive(start, first, job7)
	h.Receive(start, first, job8)
	h.Prepared(start, 7, job7.Action, nil)
	h.Running(start, 7, job7.Action)
	expect(t, "returns", said(h.Drain(start).Replies), []Message{
		Return{Step: 8},
		Join{OS: "linux", Arch: "amd64", BPU: 1, Running: []Running{{Step: 7, Action: job7.Action, Started: true}}},
	})
	expect(t, "returns what crossed it", said(h.Receive(start, first, job8).Replies)[0], Message(Return{Step: 8}))
	if h.Idle() {
		t.Error("idle while it runs something")
	}
}

func TestHandCancelsWhatItGivesBack(t *testing.T) {
	h := serving(t)
	h.Receive(start, first, job7)
	h.Receive(start, first, job8)
	expect(t, "submitted", h.Prepared(start, 7, job7.Action, nil).Runs, []Assign{job7})
	out := h.Drain(start)
	expect(t, "returns", said(out.Replies)[:2], []Message{Return{Step: 7}, Return{Step: 8}})
	expect(t, "cancels", out.Cancels, []Assign{job7, job8})
}

func TestHandAsksForToolchainsOnce(t *testing.T) {
	h := NewHand(HandOptions{Self: "worker", Slots: 1})
	specs := []Spec{{Spec: "cc:cc"}}
	expect(t, "probes", h.Receive(start, first, Hello{Specs: specs}).Probe, specs)
	if out := h.Tick(start); len(out.Replies) > 0 {
		t.Error("joined before it knew what it has")
	}
	out := h.Probed(start, []string{"it"})
	expect(t, "joins", out.Replies[0].Msg, Message(Join{Slots: 1, Toolchains: []string{"it"}}))
	if out := h.Receive(start, next, Hello{Specs: specs}); out.Probe != nil || len(out.Replies) == 0 {
		t.Error("it does not remember what it has")
	}
}
