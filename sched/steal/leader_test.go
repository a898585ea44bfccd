package steal

import (
	"slices"
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

// successor is a leader of a second epoch with an empty log: peer1, whose crew
// is peer0 (the initiator), itself and peer2, all of which it reaches.
func successor(t *testing.T, deps [][]int) *Leader {
	w, _ := origin(deps)
	return successorOf(t, w.makePlan())
}

func successorOf(t *testing.T, plan *Plan) *Leader {
	t.Helper()
	members := []peer.Member{{ID: "peer0"}, {ID: "peer1"}, {ID: "peer2"}}
	l, err := NewLeader(LeaderOptions{
		Self: "peer1", Initiator: "peer0", Epoch: Epoch{Number: 2, Leader: "peer1"}, Plan: plan, Members: members,
	})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "calls", len(l.Tick(start).Dials), 3)
	for _, m := range members {
		l.Opened(start, m.ID)
	}
	return l
}

func reportOf(d *Done) Report {
	return Report{Step: 0, Action: d.Entry.Action, Entry: &d.Entry}
}

func to(out Output, id peer.ID) (msgs []Message) {
	for _, s := range out.Sends {
		if s.To == id {
			msgs = append(msgs, s.Msg)
		}
	}
	return msgs
}

func TestANewLeaderBeginsNothingBeforeTheInitiatorHasSpoken(t *testing.T) {
	l := successor(t, chain(2))
	secured, other := garbageDone(0), garbageDone(0)
	other.Entry.Executor = "peer2"
	out := l.Receive(start, "peer2", reportOf(other))
	out.Resolves = append(out.Resolves, l.Receive(start, "peer2", Join{Slots: 1}).Resolves...)
	out.Resolves = append(out.Resolves, l.Receive(start, "peer1", Join{Slots: 1}).Resolves...)
	if len(out.Resolves) > 0 {
		t.Errorf("it resolves: %+v", out.Resolves)
	}
	out = l.Receive(start, "peer0", Known{Step: 0, Done: *secured, Secured: true})
	expect(t, "the second result is not wanted", to(out, "peer2")[0], Message(Confirm{Step: 0, Action: other.Entry.Action}))
	out = l.Receive(start, "peer0", Follow{})
	if len(out.Resolves) != 1 || out.Resolves[0].Step != 1 {
		t.Errorf("it resolves: %+v", out.Resolves)
	}
	if got := l.record.Steps[0]; !got.Secured || got.Done.Entry.Executor != secured.Entry.Executor {
		t.Errorf("step 0 is %+v", got)
	}
}

func TestAHearingEndsWhenAllWereHeardOrTheTimeIsUp(t *testing.T) {
	for name, c := range map[string]struct {
		joins []peer.ID
		at    time.Duration
		want  int
	}{
		"all were heard":      {[]peer.ID{"peer0", "peer1", "peer2"}, 0, 1},
		"one was not":         {[]peer.ID{"peer0", "peer1"}, HearingTime - 1, 0},
		"one was not in time": {[]peer.ID{"peer0", "peer1"}, HearingTime, 1},
	} {
		l := successor(t, chain(1))
		l.Receive(start, "peer0", Follow{})
		for _, id := range c.joins {
			l.Receive(start, id, Join{Slots: 1})
			l.Receive(start, id, Want{Free: 1})
		}
		assigned := 0
		count := func(out Output) {
			for _, s := range out.Sends {
				if _, ok := s.Msg.(Assign); ok {
					assigned++
				}
			}
		}
		count(l.Resolved(start, Resolved{Step: 0, Attempt: 1, Action: digestOf("it")}))
		count(l.Tick(start.Add(c.at)))
		expect(t, name, assigned, c.want)
	}
}

func TestALeaderWithoutItsInitiatorEnds(t *testing.T) {
	l := successor(t, chain(1))
	if out := l.Tick(start.Add(HearingTime - 1)); out.Over {
		t.Error("it does not wait")
	}
	out := l.Tick(start.Add(HearingTime))
	if !out.Over || len(out.Hangups) != 3 {
		t.Errorf("%+v", out)
	}
	expect(t, "everybody is told", to(out, "peer2"), []Message{End{Reason: Cancelled}})
}

func TestALeaderOfALowerEpochStepsDown(t *testing.T) {
	for epoch, over := range map[Epoch]bool{
		{Number: 1, Leader: "peer9"}: false, {Number: 2, Leader: "peer0"}: false,
		{Number: 2, Leader: "peer2"}: true, {Number: 3, Leader: "peer0"}: true,
	} {
		expect(t, "over", successor(t, chain(1)).Receive(start, "peer2", Refuse{Epoch: epoch}).Over, over)
	}
}

func TestALogGoesOutInBoundedParts(t *testing.T) {
	var ops []Op
	for range 3 {
		r := action.Result{Outputs: make([]action.Output, maxAppendBytes/outputBytes/2)}
		ops = append(ops, Op{Kind: OpDone, Done: &Done{Entry: action.Entry{Result: r}}})
	}
	if got := len(cut(ops)); got != 1 {
		t.Errorf("%d ops in a part", got)
	}
	expect(t, "one that is too large goes alone", len(cut(ops[:1])), 1)
	expect(t, "many small ones", len(cut(make([]Op, 2*maxAppendBytes/opBytes))), maxAppendBytes/opBytes)
}

func TestEpochsAreOrderedByNumberThenLeader(t *testing.T) {
	sorted := []Epoch{{}, {1, "a"}, {1, "b"}, {2, "a"}}
	var g guard
	for i, e := range sorted {
		if first, again := g.admit(e), g.admit(e); !first || !again {
			t.Errorf("%v is not admitted", e)
		}
		for _, lower := range sorted[:i] {
			if g.admit(lower) {
				t.Errorf("%v is admitted after %v", lower, e)
			}
		}
	}
}

// Whoever signs a result may name any file of the initiator's tree in it.
func TestResultsWithOtherOutputsThanDeclaredAreRefused(t *testing.T) {
	elsewhere := func(of *Done) *Done {
		d := *of
		d.Entry.Result.Outputs = append(slices.Clone(d.Entry.Result.Outputs), action.Output{Path: "zzz", Kind: action.File, Digest: digestOf("evil")})
		return &d
	}
	begin := func() (*Leader, Resolve) {
		l := successor(t, chain(1))
		out := l.Receive(start, "peer0", Follow{})
		for _, id := range []peer.ID{"peer0", "peer1", "peer2"} {
			l.Receive(start, id, Join{Slots: 1})
		}
		return l, out.Resolves[0]
	}
	t.Run("a worker's", func(t *testing.T) {
		l, r := begin()
		bad := elsewhere(garbageDone(0))
		l.Resolved(start, Resolved{Step: 0, Attempt: r.Attempt, Action: bad.Entry.Action})
		l.Receive(start, "peer2", reportOf(bad))
		if got := l.record.Steps[0]; got.Result != nil {
			t.Errorf("step 0 is %+v", got)
		}
	})
	t.Run("an owner's", func(t *testing.T) {
		l, r := begin()
		bad := elsewhere(garbageDone(0))
		l.Resolved(start, Resolved{Step: 0, Attempt: r.Attempt, Action: bad.Entry.Action, Found: &bad.Entry})
		if got := l.record.Steps[0]; got.Result != nil {
			t.Errorf("step 0 is %+v", got)
		}
	})
	t.Run("an initiator's", func(t *testing.T) {
		l := successor(t, chain(1))
		l.Receive(start, "peer0", Known{Step: 0, Done: *elsewhere(garbageDone(0)), Secured: true})
		if got := l.record.Steps[0]; got.Result != nil {
			t.Errorf("step 0 is %+v", got)
		}
	})
	t.Run("a leader's", func(t *testing.T) {
		w, _ := origin(chain(1))
		for _, bad := range []*Done{elsewhere(garbageDone(0)), {Entry: action.Entry{Action: digestOf(0)}}} {
			if err := NewRecord(w.makePlan()).Apply(Op{Kind: OpDone, Done: bad}); err == nil {
				t.Errorf("%+v is in the log", bad)
			}
		}
	})
}

// resolvedTwice is a leader that resolves step 1 again, because its input was
// lost meanwhile, and both attempts.
func resolvedTwice(t *testing.T) (l *Leader, now time.Time, attempts [2]uint64) {
	l, now = successor(t, chain(2)), start
	for _, id := range []peer.ID{"peer0", "peer1", "peer2"} {
		l.Receive(now, id, Join{Slots: 1})
	}
	out := l.Receive(now, "peer0", Follow{})
	for i := range attempts {
		entry := garbageDone(0).Entry
		out = l.Resolved(now, Resolved{Step: 0, Attempt: out.Resolves[0].Attempt, Action: entry.Action, Found: &entry})
		if len(out.Resolves) != 1 || out.Resolves[0].Step != 1 {
			t.Fatalf("it resolves: %+v", out.Resolves)
		}
		if attempts[i] = out.Resolves[0].Attempt; i == 0 {
			l.Receive(now, "peer0", Unsecured{Step: 0, Action: entry.Action, Text: "lost"})
			now = now.Add(firstBackoff)
			out = l.Tick(now)
		}
	}
	return l, now, attempts
}

func TestAClaimIsNotLetGoForAnAttemptThatWasGivenUp(t *testing.T) {
	a := digestOf("action")
	l, now, attempts := resolvedTwice(t)
	for _, attempt := range attempts {
		out := l.Resolved(now, Resolved{Step: 1, Attempt: attempt, Action: a, Claimed: true})
		expect(t, "lets go", out.Releases, []digest.Digest(nil))
	}
	if got := l.tasks[1]; !got.claimed || got.action != a {
		t.Errorf("step 1 is %+v", got)
	}
	l, now, attempts = resolvedTwice(t)
	l.Resolved(now, Resolved{Step: 1, Attempt: attempts[0], Action: a, Claimed: true})
	out := l.Resolved(now, Resolved{Step: 1, Attempt: attempts[1], Failure: &Failure{Kind: Broken}})
	expect(t, "lets go when there is no action after all", out.Releases, []digest.Digest{a})
	l, now, attempts = resolvedTwice(t)
	l.Resolved(now, Resolved{Step: 1, Attempt: attempts[1], Action: a, Claimed: true})
	other := digestOf("of an input that was made again")
	out = l.Resolved(now, Resolved{Step: 1, Attempt: attempts[0], Action: other, Claimed: true})
	expect(t, "lets go of another action", out.Releases, []digest.Digest{other})
}

func TestAFullDiskAtTheInitiatorIsFinal(t *testing.T) {
	for _, c := range []struct {
		on    peer.ID
		final bool
	}{{"peer0", true}, {"peer2", false}} {
		l := successor(t, chain(1))
		for _, id := range []peer.ID{"peer0", "peer1", "peer2"} {
			l.Receive(start, id, Join{Slots: 1})
		}
		l.Receive(start, "peer0", Follow{})
		l.tasks[0].phase = Queued
		l.resolving, l.queued[l.needOf[0]] = nil, []Step{0}
		l.move(0, Assigned)
		l.tasks[0].worker = c.on
		l.tried(0, c.on, Failure{Kind: NoSpace, Text: "the disk is full"})
		if got := l.record.Steps[0].Failed; (got != "") != c.final {
			t.Errorf("on %s: given up with %q, want %v", c.on, got, c.final)
		}
	}
}

func TestAWorkerIsLostAfterTheEndWithAStepOfAnEarlierLeader(t *testing.T) {
	l := successor(t, [][]int{{}, {}})
	failed := garbageDone(0)
	failed.Entry.Result.ExitCode, failed.Entry.Result.Outputs = 1, nil
	l.Receive(start, "peer2", Join{Slots: 1, Running: []Running{{Step: 1, Action: digestOf("other"), Started: true}}})
	l.Receive(start, "peer0", Known{Step: 0, Done: *failed, Secured: true})
	l.Receive(start, "peer0", Follow{})
	l.Tick(start.Add(HearingTime))
	expect(t, "the build has ended", l.record.Ended, true)
	l.Receive(start.Add(HearingTime), "peer0", Beat{})
	l.Tick(start.Add(Lease))
	expect(t, "the worker is lost", l.crew["peer2"].link, Gone)
	expect(t, "no step is in its hands", l.held, 0)
}

func TestAStepInHandIsTakenOverAlthoughItsWorkersStreamBreaks(t *testing.T) {
	l := successor(t, chain(1))
	it := digestOf("it")
	for _, id := range []peer.ID{"peer0", "peer1"} {
		l.Receive(start, id, Join{Slots: 1})
		l.Receive(start, id, Want{Free: 1})
	}
	l.Receive(start, "peer2", Join{Slots: 1, Running: []Running{{Step: 0, Action: it, Started: true}}})
	l.Receive(start, "peer0", Follow{})
	l.Closed(start, "peer2")
	assigned := func(out Output) (n int) {
		for _, s := range out.Sends {
			if _, ok := s.Msg.(Assign); ok {
				n++
			}
		}
		return n
	}
	n := assigned(l.Resolved(start, Resolved{Step: 0, Attempt: 1, Action: it}))
	n += assigned(l.Tick(start.Add(HearingTime)))
	expect(t, "it is given to nobody else", n, 0)
	l.Opened(start.Add(HearingTime), "peer2")
	out := l.Receive(start.Add(HearingTime), "peer2", Join{Slots: 1, Running: []Running{{Step: 0, Action: it, Started: true}}})
	expect(t, "nobody is told to leave it", len(to(out, "peer2")), 0)
	expect(t, "its worker", l.tasks[0].worker, peer.ID("peer2"))
}
