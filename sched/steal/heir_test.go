package steal

import (
	"slices"
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
)

// reigning is a leader of a second epoch that is followed and was heard, HeirAfter later:
// peer2 stands by, and was named the heir.
func reigning(t *testing.T) (*Leader, time.Time) {
	l := successor(t, chain(2))
	for _, id := range []peer.ID{"peer0", "peer1", "peer2"} {
		l.Receive(start, id, Join{Slots: 1})
	}
	l.Receive(start, "peer0", Follow{})
	at := start.Add(HeirAfter)
	for _, id := range []peer.ID{"peer0", "peer1", "peer2"} {
		l.Receive(at, id, Beat{})
	}
	l.Tick(at)
	return l, at
}

func TestALeaderNamesAnHeir(t *testing.T) {
	l, at := reigning(t)
	expect(t, "a standby", l.record.Heir, peer.ID("peer2"))
	l.Receive(at, "peer1", Follow{})
	expect(t, "another says that it is ready", l.record.Ready, false)
	l.Receive(at, "peer2", Follow{})
	expect(t, "the heir says that it is ready", l.record.Ready, true)
}

func TestWhatIsAnnouncedTheHeirKnows(t *testing.T) {
	l, at := reigning(t)
	ack := func(id peer.ID, index int) { l.Receive(at, id, Ack{Index: uint64(index)}) }
	named := len(l.log)
	ack("peer0", named)
	ack("peer2", named)
	expect(t, "one that is not ready", l.commit, uint64(named))
	l.Receive(at, "peer2", Follow{})
	ready := len(l.log)
	ack("peer0", ready)
	expect(t, "one that was not heard yet", l.commit, uint64(named))
	ack("peer2", ready)
	expect(t, "one that keeps the log", l.commit, uint64(ready))
}

func TestWhoKeepsTheLogAcknowledgesIt(t *testing.T) {
	r := rule(t, 3, 5)
	says := func(d time.Duration, ids ...peer.ID) {
		for end := r.now.Add(d); r.now.Before(end); {
			for _, id := range ids {
				r.hears(id, Ack{Index: r.l.crew[id].logSent})
			}
			r.passes(BeatEvery)
		}
	}
	expect(t, "stand by", r.l.record.Standbys, []peer.ID{"peer2", "peer3"})
	says(HeirAfter, "peer0", "peer2", "peer3")
	r.hears("peer2", Follow{})
	expect(t, "is the heir", [2]any{r.l.record.Heir, r.l.record.Ready}, [2]any{peer.ID("peer2"), true})
	at := r.l.commit
	says(muteAfter-2*BeatEvery, "peer0", "peer3")
	expect(t, "waits for the heir", r.l.commit, at)
	says(3*BeatEvery, "peer0", "peer3")
	expect(t, "is the heir", r.l.record.Heir, peer.ID("peer3"))
	expect(t, "stand by", r.l.record.Standbys, []peer.ID{"peer3", "peer4"})
	says(BeatEvery, "peer0", "peer3")
	expect(t, "goes on", r.l.commit, uint64(len(r.l.log)))
	says(2*muteAfter, "peer0", "peer3")
	expect(t, "stands by", r.l.record.Standbys, []peer.ID{"peer3"})
	r.hears("peer2", Ack{Index: r.l.crew["peer2"].logSent})
	says(muteAfter, "peer0", "peer3")
	expect(t, "is not named again", r.l.record.Standbys, []peer.ID{"peer3"})
}

func TestWhoWasTheHeirDoesNotGoOnWithTheBuild(t *testing.T) {
	l, at := reigning(t)
	l.Receive(at, "peer2", Follow{})
	l.crew["peer1"].mute = true
	at = at.Add(Lease)
	l.Receive(at, "peer1", Beat{})
	l.Receive(at, "peer2", Beat{})
	out := l.Tick(at)
	for id, want := range map[peer.ID]Reason{"peer1": Cancelled, "peer2": Orphaned} {
		told := to(out, id)
		expect(t, "is told", told[len(told)-1], Message(End{Reason: want}))
	}
}

func TestALeaderThatLosesItsInitiator(t *testing.T) {
	for name, c := range map[string]struct {
		ready bool
		want  Reason
	}{"has no heir that is ready": {false, Cancelled}, "has one": {true, Orphaned}} {
		l, at := reigning(t)
		if c.ready {
			l.Receive(at, "peer2", Follow{})
		}
		at = at.Add(Lease)
		l.Receive(at, "peer2", Beat{})
		l.Receive(at, "peer1", Beat{})
		out := l.Tick(at)
		told := to(out, "peer2")
		if !out.Over || len(told) == 0 {
			t.Errorf("%s: %+v", name, out)
			continue
		}
		expect(t, name, told[len(told)-1], Message(End{Reason: c.want}))
	}
}

func TestABuildThatRunsPartlyOnItsInitiatorHasNoHeir(t *testing.T) {
	w, _ := origin(chain(2))
	steps := w.makePlan().Graph.Steps()
	for name, c := range map[string]struct {
		modes Modes
		reach action.Reach
		want  bool
	}{
		"anywhere": {want: true, reach: action.Anywhere}, "local": {modes: Modes{Local: true}, reach: action.Anywhere},
		"one step here": {reach: action.InitiatorOnly},
	} {
		some := append([]action.Step(nil), steps...)
		some[1].Reach = c.reach
		g, err := action.NewGraph(some)
		if err != nil {
			t.Fatal(err)
		}
		l, err := NewLeader(LeaderOptions{Plan: &Plan{Graph: g, Modes: c.modes}})
		if err != nil {
			t.Fatal(err)
		}
		expect(t, name, l.bequeathable(), c.want)
	}
}

// heir is a keeper that was named the heir of a build with one result.
func heir(t *testing.T) (*Keeper, *Done) {
	k := NewKeeper("standby", Epoch{})
	hello(k, start, first, "standby")
	d := garbageDone(0)
	d.Peer = "initiator"
	out := k.Receive(start, first, Append{First: 3, Ops: []Op{{Kind: OpDone, Step: 0, Done: d}, {Kind: OpHeir, Peer: "standby"}}})
	expect(t, "it keeps", out.Keep, &Custody{Initiator: "initiator", Plan: digestOf("plan")})
	expect(t, "what was made before", out.Brings, []Securing{{Step: 0, Done: d}})
	return k, d
}

func TestAnHeirSaysWhatItHas(t *testing.T) {
	k, d := heir(t)
	expect(t, "all that it began with", said(k.Kept(start).Replies), []Message{Follow{}})
	expect(t, "what the initiator made", said(k.Held(start, 0, d).Replies), []Message{Secured{Step: 0, Action: d.Entry.Action}})
	other := garbageDone(1)
	expect(t, "what others made", said(k.Held(start, 1, other).Replies), []Message(nil))
	k.Receive(start, next, Hello{Initiator: "initiator", Plan: digestOf("plan")})
	again := k.Receive(start, next, Append{First: 1, Ops: []Op{{Kind: OpDone, Step: 0, Done: d}, {Kind: OpHeir, Peer: "standby"}}})
	expect(t, "it has it all", again.Keep == nil && len(again.Brings) == 0, true)
	expect(t, "and says so to the next leader", said(again.Replies), []Message{Ack{Index: 2}, Follow{}})
	if out := k.Receive(start, next, Append{First: 3, Ops: []Op{{Kind: OpHeir, Peer: "other"}}}); !out.Drop {
		t.Errorf("another is the heir: %+v", out)
	}
}

func TestAnHeirInheritsALogWithAllThatWasAnnounced(t *testing.T) {
	done := func(k *Keeper) *Inherit { return k.Receive(start, next, End{Reason: Orphaned}).Inherit }
	for name, c := range map[string]struct {
		next []Op // of the log of the second leader
		want int  // ops
	}{
		"the second has told nothing":          {nil, 1},
		"the second has not all":               {[]Op{{Kind: OpLost}}, 1},
		"the second has it from the initiator": {[]Op{{Kind: OpLost}, {Kind: OpLost}, {Kind: OpHeir, Peer: "standby"}, {Kind: OpReady}}, 2},
	} {
		k, d := heir(t)
		k.Kept(start)
		k.Receive(start, first, Append{First: 5, Ops: []Op{{Kind: OpReady}, {Kind: OpSecured}}})
		k.Receive(start, next, Hello{Initiator: "initiator", Plan: digestOf("plan")})
		k.Receive(start, next, Append{First: 1, Ops: c.next})
		got := done(k)
		if got == nil || got.Initiator != "initiator" || len(got.Log) != c.want {
			t.Errorf("%s: %+v", name, got)
			continue
		}
		if c.want == 1 {
			expect(t, name, got.Log, []Op{{Kind: OpDone, Step: 0, Done: d}})
		}
	}
	k, _ := heir(t)
	k.Kept(start)
	if got := done(k); got != nil {
		t.Errorf("its leader does not know that it is ready: %+v", got)
	}
}

func TestWhoInheritsAsksNobodyToLead(t *testing.T) {
	w, _ := origin(chain(1), 1)
	log := []Op{{Kind: OpLost, Step: 0}}
	o := NewOrigin(OriginOptions{Self: "peer0", Plan: w.makePlan(), PlanDigest: digestOf("plan"), Log: log, Lost: "peer2"})
	expect(t, "it leads itself", o.Tick(start).TakeOver, &TakeOver{
		Epoch: Epoch{Number: 1, Leader: "peer0"}, Initiator: "peer0", Predecessor: "peer2", Plan: digestOf("plan"), Log: log,
	})
}

func TestWhatTheInitiatorMadeWaitsForTheHeir(t *testing.T) {
	own := func() (*Origin, *Done) {
		_, o := origin(chain(1), 1)
		o.Tick(start)
		o.Receive(start, Epoch{Number: 1, Leader: "peer1"}, Hello{})
		d := garbageDone(0)
		d.Peer = "peer0"
		return o, d
	}
	one := Epoch{Number: 1, Leader: "peer1"}
	named := []Op{{Kind: OpStandbys, Peers: []peer.ID{"peer1"}}, {Kind: OpHeir, Peer: "peer1"}, {Kind: OpReady}}
	for name, c := range map[string]struct {
		op    *Op
		after time.Duration
		end   bool
		want  int
	}{
		"the heir has it":       {op: &Op{Kind: OpHeld, Step: 0}, want: 1},
		"there is no heir":      {op: &Op{Kind: OpHeir}, want: 1},
		"nothing is left to do": {op: &Op{Kind: OpEnded}},
		"it is over":            {op: &Op{Kind: OpEnded}, end: true, want: 1},
		"not yet":               {after: HeldTime - 1},
		"for so long":           {after: HeldTime, want: 1},
	} {
		o, d := own()
		ops := append(append([]Op(nil), named...), Op{Kind: OpDone, Step: 0, Done: d})
		o.Receive(start, one, Append{First: 1, Ops: ops, Commit: 4})
		expect(t, name+": it waits", kinds(o.Brought(start, 0, 1, "")), []EventKind(nil))
		var out OriginOutput
		if c.op != nil {
			out = o.Receive(start, one, Append{First: 5, Ops: []Op{*c.op}, Commit: 4})
		} else {
			out = o.Tick(start.Add(c.after))
		}
		told := kinds(out)
		if c.end {
			told = append(told, kinds(o.Receive(start, one, End{Reason: Completed}))...)
		}
		announced := 0
		for _, k := range told {
			if k == Announced {
				announced++
			}
		}
		expect(t, name, announced, c.want)
	}
}

func TestWhatWaitedForTheHeirIsAnnouncedByTheNextLeadersLog(t *testing.T) {
	_, o := origin(chain(1), 1)
	o.Tick(start)
	one, two := Epoch{Number: 1, Leader: "peer1"}, Epoch{Number: 2, Leader: "peer2"}
	o.Receive(start, one, Hello{})
	d := garbageDone(0)
	d.Peer = "peer0"
	done := Op{Kind: OpDone, Step: 0, Done: d}
	named := []Op{{Kind: OpStandbys, Peers: []peer.ID{"peer2"}}, {Kind: OpHeir, Peer: "peer2"}, {Kind: OpReady}}
	o.Receive(start, one, Append{First: 1, Ops: append(slices.Clone(named), done), Commit: 4})
	expect(t, "it waits", kinds(o.Brought(start, 0, 1, "")), []EventKind(nil))

	o.Receive(start, two, Hello{})
	o.Receive(start, two, Append{First: 1, Ops: append([]Op{done}, named...)})
	soon := start.Add(HeldTime / 2)
	expect(t, "it waits for the next heir", kinds(o.Receive(soon, two, Beat{Commit: 4})), []EventKind(nil))
	expect(t, "for so long", kinds(o.Tick(soon.Add(HeldTime))), []EventKind{Announced})
}

func TestWhoCannotBeTheHeirIsReplaced(t *testing.T) {
	r := rule(t, 3, 5)
	says := func(d time.Duration) {
		for end := r.now.Add(d); r.now.Before(end); {
			for _, id := range []peer.ID{"peer0", "peer1", "peer2", "peer3", "peer4"} {
				if r.l.crew[id].link == Up {
					r.hears(id, Ack{Index: r.l.crew[id].logSent})
				}
			}
			r.passes(BeatEvery)
		}
	}
	says(HeirAfter)
	for _, next := range []peer.ID{"peer2", "peer3", "peer1"} {
		expect(t, "the heir", r.l.record.Heir, next)
		r.hears(next, Decline{Text: "it has no room"})
		r.hears("peer4", Decline{Text: "it was not asked"})
		says(BeatEvery)
	}
	told := 0
	for _, op := range r.l.log {
		if op.Kind == OpNote {
			told++
		}
	}
	expect(t, "said to the user", told, 3)
	says(heirAgain)
	expect(t, "is asked again", r.l.record.Heir != "", true)
}

func TestAnHeirIsOnAFastLine(t *testing.T) {
	l, _ := reigning(t)
	l.record.Standbys = []peer.ID{"peer2", "peer1"}
	for much, want := range map[float64]peer.ID{muchFaster: "peer2", muchFaster + 0.1: "peer1"} {
		l.crew["peer2"].outlook.bandwidth, l.crew["peer1"].outlook.bandwidth = 1e6, much*1e6
		expect(t, "the heir", l.nextHeir(), want)
	}
}

func TestAnHeirThatDeclinesSaysSoUntilItIsHeard(t *testing.T) {
	k, _ := heir(t)
	expect(t, "it says", said(k.Decline(start, "no room").Replies), []Message{Decline{Text: "no room"}})
	expect(t, "it is none any more", k.Decline(start, "again").Replies, []Reply(nil))
	k.Closed(start, first)
	expect(t, "when its leader speaks to it again", said(k.Receive(start, first, Hello{Initiator: "initiator", Plan: digestOf("plan")}).Replies),
		[]Message{Decline{Text: "no room"}})
	k.Receive(start, next, Hello{Initiator: "initiator", Plan: digestOf("plan")})
	if out := k.Receive(start, next, Append{First: 1, Ops: []Op{{Kind: OpHeir, Peer: "standby"}}}); out.Keep == nil {
		t.Error("the next leader's heir does not try")
	}
}

func TestOfWhomNothingIsKnownIsNotLongStanding(t *testing.T) {
	l, at := reigning(t)
	m := l.crew["peer2"]
	for name, c := range map[string]struct {
		known *peer.Member
		want  bool
	}{
		"unknown":   {nil, false},
		"no time":   {&peer.Member{}, false},
		"new":       {&peer.Member{Since: at.Add(1 - longStanding)}, false},
		"long here": {&peer.Member{Since: at.Add(-longStanding)}, true},
	} {
		delete(l.known, "peer2")
		if c.known != nil {
			l.known["peer2"] = *c.known
		}
		expect(t, name, l.standing(m), c.want)
	}
}

func TestOneOfTwoHeirsComesFirst(t *testing.T) {
	p := &Plan{Candidates: []peer.ID{"peer3", "peer1"}}
	order := []peer.ID{"peer3", "peer1", "peer0", "peer2"}
	for i, a := range order {
		for j, b := range order {
			expect(t, string(a+" before "+b), p.Earlier(a, b), i < j)
		}
	}
}
