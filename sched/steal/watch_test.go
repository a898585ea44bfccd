package steal

import (
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
)

// leaseAfter hears a leader beat with these silences in between, and returns
// how long it then may be silent.
func leaseAfter(t *testing.T, silences ...time.Duration) time.Duration {
	t.Helper()
	var w watch
	w.follow(start, first)
	w.opened(start)
	now := start
	for _, s := range silences {
		now = now.Add(s)
		w.hear(now)
	}
	lease := w.due(0).Sub(now)
	if w.lost(now.Add(lease-1), 0) || !w.lost(now.Add(lease), 0) {
		t.Errorf("the leader is not lost when it is due, %v", lease)
	}
	return lease
}

func beats(n int, every time.Duration) []time.Duration {
	silences := make([]time.Duration, n)
	for i := range silences {
		silences[i] = every
	}
	return silences
}

func TestALeaseFollowsTheLeadersRhythm(t *testing.T) {
	stammer := append(beats(20, BeatEvery), 300*time.Millisecond)
	for name, c := range map[string]struct {
		silences []time.Duration
		lease    time.Duration
	}{
		"not listened to for long yet":     {beats(5, BeatEvery), Lease},
		"a steady one":                     {beats(20, BeatEvery), 500 * time.Millisecond},
		"one that always has news":         {beats(2000, time.Millisecond), 500 * time.Millisecond},
		"one that is late now and then":    {append(stammer, beats(30, BeatEvery)...), 900 * time.Millisecond},
		"one that was, eight seconds ago":  {append(stammer, beats(85, BeatEvery)...), 500 * time.Millisecond},
		"one whose silences are long ones": {beats(20, 600*time.Millisecond), Lease},
	} {
		if got := leaseAfter(t, c.silences...); got != c.lease {
			t.Errorf("%s: lease %v, want %v", name, got, c.lease)
		}
	}
}

// A keeper whose own process stood still has not listened: what its leader said
// meanwhile waits to be read.
func TestAKeeperThatStoodStillDoesNotTakeOver(t *testing.T) {
	for name, c := range map[string]struct {
		stalls, after time.Duration
	}{
		"it ticks as it is due":    {0, Lease},
		"it stood still a while":   {3 * time.Second, Lease},
		"it stood still for a day": {24 * time.Hour, Lease},
	} {
		k := NewKeeper("standby", Epoch{})
		hello(k, start, first, "standby", "other")
		now := start.Add(c.stalls)
		if c.stalls > 0 {
			if out := k.Tick(now); out.TakeOver != nil || out.Over {
				t.Fatalf("%s: it gives up a leader that it could not hear: %+v", name, out)
			}
		}
		for due := k.Due(); ; due = k.Due() {
			if out := k.Tick(due); out.TakeOver != nil {
				now = due
				break
			}
			if due.Sub(now) > 2*Lease {
				t.Fatalf("%s: it never takes over", name)
			}
		}
		if silent := now.Sub(start) - c.stalls; silent > c.after+BeatEvery {
			t.Errorf("%s: it takes over after %v", name, silent)
		}
	}
}

func TestANewLeaderAndAnOpenedStreamHaveNoRhythmOfBefore(t *testing.T) {
	var w watch
	w.follow(start, first)
	w.opened(start)
	now := start
	for range 20 {
		now = now.Add(BeatEvery)
		w.hear(now)
	}
	w.closed(now)
	now = now.Add(450 * time.Millisecond)
	w.opened(now)
	w.hear(now.Add(BeatEvery))
	if got := w.rhythm.lease(); got != 500*time.Millisecond {
		t.Errorf("lease %v after a broken stream: how long that took is no silence of the leader's", got)
	}
	w.follow(now, next)
	if got := w.rhythm.lease(); got != Lease {
		t.Errorf("lease %v of a leader that nobody has listened to", got)
	}
}

func TestTheHearingHardlyWaitsForTheLeaderThatFellSilent(t *testing.T) {
	crew := []peer.ID{"peer0", "peer1", "peer2", "peer9"}
	for name, c := range map[string]struct {
		slowest, hearing time.Duration
	}{
		"the others are near": {time.Millisecond, LeastHearing},
		"the others are far":  {60 * time.Millisecond, 180 * time.Millisecond},
		"they are very far":   {400 * time.Millisecond, HearingTime},
	} {
		l := reign(t, 2, "peer1", "peer9", nil, crew, []peer.ID{"peer1"})
		for _, id := range []peer.ID{"peer0", "peer2"} {
			l.Receive(start.Add(c.slowest), id, Join{Slots: 1})
		}
		l.Tick(start.Add(c.hearing - 1))
		if l.hearUntil.IsZero() {
			t.Errorf("%s: the hearing is over early", name)
		}
		l.Tick(start.Add(c.hearing))
		if !l.hearUntil.IsZero() {
			t.Errorf("%s: the hearing goes on", name)
		}
	}
}

func TestAHandThatStoodStillGoesOn(t *testing.T) {
	h := telling(t)
	now := start.Add(time.Minute)
	h.Progress(now, 7, job7.Action, 10) // what the job did meanwhile comes first
	if out := h.Tick(now); out.Over || h.over {
		t.Fatal("it leaves a leader that it could not hear")
	}
	for end := now.Add(Bereft); !h.over && now.Before(end); {
		now = h.Due()
		h.Tick(now)
	}
	if !h.over {
		t.Errorf("it goes on with a leader that says nothing for %v", Bereft)
	}
}
