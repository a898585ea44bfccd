package steal

import (
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
)

func hello(k *Keeper, at time.Time, e Epoch, standbys ...peer.ID) KeeperOutput {
	k.Receive(at, e, Hello{Initiator: "initiator", Plan: digestOf("plan")})
	return k.Receive(at, e, Append{First: 1, Ops: []Op{{Kind: OpStandbys, Peers: standbys}, {Kind: OpStarted, Step: 3}}})
}

func TestKeepersTakeOverInTheirOrder(t *testing.T) {
	for name, c := range map[string]struct {
		self   peer.ID
		broken bool
		after  time.Duration
	}{
		"first, silence":         {"standby", false, Lease},
		"second, silence":        {"other", false, Lease + stagger},
		"first, broken stream":   {"standby", true, Rupture},
		"second, broken stream":  {"other", true, Rupture + stagger},
		"no standby, until over": {"third", false, 0},
	} {
		k := NewKeeper(c.self, Epoch{})
		expect(t, name+": acks", said(hello(k, start, first, "standby", "other").Replies), []Message{Ack{Index: 2}})
		if c.broken {
			k.Closed(start, first)
		}
		if c.after == 0 {
			if out := k.Tick(start.Add(Bereft)); out.TakeOver != nil || !out.Over {
				t.Errorf("%s: %+v", name, out)
			}
			continue
		}
		for at := BeatEvery; at < c.after; at += BeatEvery {
			k.Tick(start.Add(at))
		}
		if out := k.Tick(start.Add(c.after - 1)); out.TakeOver != nil {
			t.Errorf("%s: too early", name)
		}
		expect(t, name, k.Tick(start.Add(c.after)).TakeOver, &TakeOver{
			Epoch: Epoch{Number: 2, Leader: c.self}, Initiator: "initiator", Predecessor: "leader", Plan: digestOf("plan"),
			Log: []Op{{Kind: OpStandbys, Peers: []peer.ID{"standby", "other"}}, {Kind: OpStarted, Step: 3}},
		})
		if out := k.Tick(start.Add(c.after + time.Millisecond)); out.TakeOver != nil {
			t.Errorf("%s: it takes over twice", name)
		}
		// Its own leader may not come: the plan is still to be had.
		out := k.Receive(start.Add(c.after+time.Millisecond), first, Hello{Initiator: "initiator", Plan: digestOf("plan")})
		expect(t, name+": the old leader hears that it is none", said(out.Replies), []Message{Refuse{Epoch: Epoch{Number: 2, Leader: c.self}}})
	}
}

func TestKeeperKeepsTheLogOfOneEpochWithoutGaps(t *testing.T) {
	k := NewKeeper("other", Epoch{})
	hello(k, start, first, "other")
	if out := k.Receive(start, first, Append{First: 4, Ops: []Op{{Kind: OpNote}}}); len(out.Replies) > 0 {
		t.Error("a gap is acknowledged")
	}
	out := k.Receive(start, first, Append{First: 2, Ops: []Op{{Kind: OpStarted, Step: 3}, {Kind: OpNote}}})
	expect(t, "what it knows already is passed over", said(out.Replies), []Message{Ack{Index: 3}})
	hello(k, start, next, "other")
	out = k.Receive(start, first, Append{First: 4, Ops: []Op{{Kind: OpNote}}})
	expect(t, "a lower epoch is refused", said(out.Replies), []Message{Refuse{Epoch: next}})
	k.Closed(start, next)
	if got := k.Tick(start.Add(Rupture)).TakeOver; got == nil || len(got.Log) != 2 || got.Epoch.Number != 3 {
		t.Errorf("takes over with %+v", got)
	}
}

func TestKeeperTakesNoLogOfAnEpochBeforeTheOneThatItsNodeWasToBegin(t *testing.T) {
	k := NewKeeper("standby", next)
	expect(t, "it says which", said(k.Receive(start, first, Hello{}).Replies), []Message{Refuse{Epoch: next}})
	third := Epoch{Number: 3, Leader: "other"}
	expect(t, "it keeps a later one", said(hello(k, start, third, "standby").Replies), []Message{Ack{Index: 2}})
}

func TestKeeperLeavesABuildThatHasEnded(t *testing.T) {
	k := NewKeeper("standby", Epoch{})
	hello(k, start, first, "standby", "other")
	k.Receive(start, first, Append{First: 3, Ops: []Op{{Kind: OpEnded}}})
	k.Closed(start, first)
	if out := k.Tick(start.Add(Rupture)); out.TakeOver != nil || !out.Over {
		t.Errorf("a build that had ended: %+v", out)
	}
}

func TestAKeeperIsLedForALease(t *testing.T) {
	k := NewKeeper("standby", Epoch{})
	led := func(what string, after time.Duration, want bool) {
		t.Helper()
		expect(t, what, k.Led(start.Add(after)), want)
	}
	led("nobody has said Hello", 0, false)
	hello(k, start, first, "standby")
	led("it was heard", Lease-1, true)
	led("it is silent", Lease, false)
	k.Closed(start, first)
	led("its stream broke", Rupture-1, true)
	led("it does not come back", Rupture, false)
	k.Receive(start, first, Hello{Initiator: "initiator", Plan: digestOf("plan")})
	led("it came back", Rupture, true)
	k.Receive(start, first, End{Reason: Completed})
	led("the build is over", 0, false)
}
