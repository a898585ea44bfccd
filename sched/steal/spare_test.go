package steal

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
)

// paper is a leader, peer1, with its crew on paper: what it sends is kept, and
// what it asks to be resolved is.
type paper struct {
	t   testing.TB
	l   *Leader
	now time.Time
	// given are the steps that were assigned and not taken back, by member.
	given map[peer.ID][]Step
	sent  []Send
}

// rule begins a build of steps that cost a BPU-second each, which nobody waits
// for. Each member has one slot of one BPU, and takes two steps.
func rule(t *testing.T, steps, members int) *paper {
	return ruleOf(t, steps, members, func(i int) peer.ID { return peer.ID("peer" + string(rune('0'+i))) })
}

func ruleOf(t testing.TB, steps, members int, name func(int) peer.ID) *paper {
	w, _ := origin(wide(steps - 1))
	plan := w.makePlan()
	for i := range plan.Graph.Steps() {
		plan.Graph.Steps()[i].Cost = 1
	}
	r := &paper{t: t, now: start, given: map[peer.ID][]Step{}}
	opts := LeaderOptions{Self: "peer1", Initiator: "peer0", Epoch: Epoch{Number: 1, Leader: "peer1"}, Plan: plan}
	for i := range members {
		opts.Members = append(opts.Members, peer.Member{ID: name(i)})
	}
	var err error
	if r.l, err = NewLeader(opts); err != nil {
		t.Fatal(err)
	}
	r.do(r.l.Tick(r.now))
	for _, m := range opts.Members {
		r.do(r.l.Opened(r.now, m.ID))
		r.hears(m.ID, Join{Slots: 1, BPU: 1})
	}
	r.hears("peer0", Follow{})
	return r
}

func (r *paper) do(out Output) {
	for _, s := range out.Sends {
		r.sent = append(r.sent, s)
		switch msg := s.Msg.(type) {
		case Assign:
			r.given[s.To] = append(r.given[s.To], msg.Step)
		case Revoke:
			r.drop(s.To, msg.Step)
		}
	}
	for _, res := range out.Resolves {
		r.do(r.l.Resolved(r.now, Resolved{Step: res.Step, Attempt: res.Attempt, Action: garbageDone(int(res.Step)).Entry.Action}))
	}
}

func (r *paper) drop(id peer.ID, s Step) {
	r.given[id] = slices.DeleteFunc(r.given[id], func(o Step) bool { return o == s })
}

func (r *paper) hears(from peer.ID, msg Message) { r.do(r.l.Receive(r.now, from, msg)) }

// wants has members ask for steps.
func (r *paper) wants(free int, ids ...peer.ID) {
	for _, id := range ids {
		r.hears(id, Want{Seen: r.l.crew[id].given, Free: free})
	}
}

// passes lets time go by, in which everybody beats.
func (r *paper) passes(d time.Duration) {
	for end := r.now.Add(d); r.now.Before(end); {
		r.now = r.now.Add(BeatEvery)
		for _, m := range r.l.order {
			if m.link == Up {
				r.hears(m.id, Beat{})
			}
		}
		r.do(r.l.Tick(r.now))
	}
}

func (r *paper) starts(id peer.ID) Step {
	r.t.Helper()
	if len(r.given[id]) == 0 {
		r.t.Fatalf("%s has nothing", id)
	}
	s := r.given[id][0]
	r.hears(id, Started{Step: s})
	return s
}

// reports tells what came of a step: its result, after a second, or a failure.
func (r *paper) reports(id peer.ID, s Step, f Failure) {
	done := garbageDone(int(s))
	done.Entry.Executor = id
	rep := Report{Step: s, Action: done.Entry.Action, Timings: Timings{Run: time.Second}}
	if f.Kind == 0 {
		rep.Entry = &done.Entry
	} else {
		rep.Failure = f
	}
	r.drop(id, s)
	r.hears(id, rep)
}

// logged counts ops of the log.
func (r *paper) logged(k OpKind) int {
	n := 0
	for _, op := range r.l.log {
		if op.Kind == k {
			n++
		}
	}
	return n
}

func (r *paper) told(id peer.ID, what Message) bool {
	return slices.ContainsFunc(r.sent, func(s Send) bool {
		recall, is := s.Msg.(Recall)
		if want, ok := what.(Recall); ok {
			return is && s.To == id && recall == want
		}
		revoke, is := s.Msg.(Revoke)
		return is && s.To == id && revoke == what
	})
}

// late is a build of two steps in which peer2 has one that takes too long, and
// the others have nothing to do.
func late(t *testing.T) (r *paper, s Step) {
	r = rule(t, 3, 3)
	r.wants(1, "peer2")
	s = r.starts("peer2")
	for range 3 { // what is late is known by what steps take
		r.l.exp.ratios.add(1)
	}
	r.wants(1, "peer0")
	r.reports("peer0", r.starts("peer0"), Failure{})
	r.wants(1, "peer1")
	expect(t, "is left", len(r.given["peer1"]), 0)
	return r, s
}

func TestAStepThatIsLateIsGivenToAnotherAsWell(t *testing.T) {
	r, s := late(t)
	r.passes(3 * time.Second)
	expect(t, "not yet", r.logged(OpBackup), 0)
	r.passes(1500 * time.Millisecond)
	expect(t, "declared", r.logged(OpBackup), 1)
	expect(t, "peer1 has it", r.given["peer1"], []Step{s})
	r.passes(time.Second)
	expect(t, "once", r.logged(OpBackup), 1)
	r.starts("peer1")
	r.reports("peer1", s, Failure{})
	expect(t, "has a result", r.l.record.Steps[s].OK(), true)
	expect(t, "the other is told", r.told("peer2", Revoke{Step: s}), true)
	expect(t, "counts", [2]int{r.l.assigned, r.l.backups}, [2]int{})
	r.reports("peer2", s, Failure{})
	expect(t, "results", r.logged(OpDone), 2)
}

func TestAStepThatAnotherBuildMakesKeepsNobodyFromABackup(t *testing.T) {
	for name, c := range map[string]struct {
		age  time.Duration
		want int
	}{"what it is is known soon": {soon - 1, 0}, "another makes it": {soon, 1}} {
		r, s := late(t)
		r.l.resolving = []Step{2}
		for range 45 {
			r.l.tasks[2].askedAt = r.now.Add(BeatEvery - c.age)
			r.passes(BeatEvery)
		}
		expect(t, name, r.logged(OpBackup), c.want)
		expect(t, name+": is late", r.l.tasks[s].worker, peer.ID("peer2"))
	}
}

func TestWhoeverOfTheTwoIsLeftHasTheStep(t *testing.T) {
	for name, leaves := range map[string]func(r *paper, s Step){
		"its worker fails":      func(r *paper, s Step) { r.reports("peer2", s, Failure{Kind: Broken, Text: "it broke"}) },
		"the backup fails":      func(r *paper, s Step) { r.reports("peer1", s, Failure{Kind: Broken, Text: "it broke"}) },
		"the worker is new":     func(r *paper, _ Step) { r.hears("peer2", Join{Slots: 1, BPU: 1}) },
		"the backup gives back": func(r *paper, s Step) { r.hears("peer1", Return{Step: s}) },
	} {
		r, s := late(t)
		r.passes(4500 * time.Millisecond)
		leaves(r, s)
		expect(t, name, [2]int{r.l.assigned, r.l.backups}, [2]int{1, 0})
		left := r.l.tasks[s].worker
		r.reports(left, s, Failure{})
		expect(t, name+": has a result", r.l.record.Steps[s].OK(), true)
	}
}

func TestASuccessorKeepsADeclaredBackup(t *testing.T) {
	r, s := late(t)
	r.passes(4500 * time.Millisecond)
	next, err := NewLeader(LeaderOptions{
		Self: "peer0", Initiator: "peer0", Epoch: Epoch{Number: 2, Leader: "peer0"}, Plan: r.l.opts.Plan, Log: r.l.log,
		Predecessor: "peer9", Members: r.l.opts.Members,
	})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "inherited", next.record.Steps[s].Backup, peer.ID("peer1"))
	r.l, r.given = next, map[peer.ID][]Step{}
	r.do(next.Tick(r.now))
	has := Join{Slots: 1, BPU: 1, Running: []Running{{Step: s, Action: garbageDone(int(s)).Entry.Action, Started: true}}}
	for _, m := range r.l.opts.Members {
		r.do(next.Opened(r.now, m.ID))
	}
	r.hears("peer2", has)
	r.hears("peer1", has)
	r.hears("peer0", Join{Slots: 1, BPU: 1})
	r.hears("peer0", Follow{})
	expect(t, "the backup goes on", next.tasks[s].worker, peer.ID("peer1"))
	expect(t, "the first is told", r.told("peer2", Revoke{Step: s}), true)
}

func TestWhatHasNotBegunIsCalledBack(t *testing.T) {
	r := rule(t, 3, 3)
	r.wants(2, "peer2")
	first := r.starts("peer2")
	if len(r.given["peer2"]) == 1 { // the other one is kept for whoever is done first
		r.l.begin(r.now)
		r.l.give(r.l.queued[0][0], r.l.crew["peer2"])
		r.do(r.l.finish())
	}
	second := r.given["peer2"][1]
	r.passes(300 * time.Millisecond)
	r.wants(1, "peer0")
	r.passes(100 * time.Millisecond)
	expect(t, "called back", r.told("peer2", Recall{Step: second}), true)
	r.hears("peer2", Return{Step: second})
	expect(t, "is elsewhere", r.given["peer0"], []Step{second})
	expect(t, "the first stays", r.l.tasks[first].worker, peer.ID("peer2"))
	expect(t, "declared", r.logged(OpBackup), 0)
}

func TestWhatBeganBeforeItWasCalledBackMayHaveABackup(t *testing.T) {
	r, s := late(t)
	r.l.tasks[s].startedAt = time.Time{}
	r.l.tasks[s].recalled = true // on its way when the step began
	r.hears("peer2", Started{Step: s})
	r.passes(4500 * time.Millisecond)
	expect(t, "declared", r.logged(OpBackup), 1)
}

func TestNoBackupIsGivenToWhoHasNoMemoryForIt(t *testing.T) {
	r, s := late(t)
	r.l.opts.Plan.Graph.Steps()[s].Memory = 2 << 30
	r.l.crew["peer0"].join.Memory, r.l.crew["peer1"].join.Memory = 1<<30, 1<<30
	r.passes(6 * time.Second)
	expect(t, "declared", r.logged(OpBackup), 0)
	r.l.crew["peer1"].join.Memory = 2 << 30
	r.passes(100 * time.Millisecond)
	expect(t, "declared where there is room", r.logged(OpBackup), 1)
	expect(t, "peer1 has it", r.given["peer1"], []Step{s})
}

func TestWhatFitsNowhereDoesNotWaitForWhoTakesNothing(t *testing.T) {
	r := rule(t, 3, 3)
	r.l.opts.Plan.Graph.Steps()[0].Memory = 4 << 30
	for _, m := range r.l.order {
		m.join.Memory = 1 << 30
	}
	r.l.crew["peer2"].join.Memory = 2 << 30 // and it works for another build
	r.passes(time.Second)
	r.wants(2, "peer1")
	expect(t, "given", slices.Contains(r.given["peer1"], 0), true)
}

func TestStepsForOneMemberDoNotKeepTheOthersIdle(t *testing.T) {
	const members, large, small = 130, 20, 40
	name := func(i int) peer.ID { return peer.ID(fmt.Sprintf("peer%d", i)) }
	r := ruleOf(t, large+small, members, name)
	for i := range large { // which come first
		r.l.opts.Plan.Graph.Steps()[i].Memory = 4 << 30
	}
	for _, m := range r.l.order {
		m.join.Memory = 1 << 30
	}
	r.l.crew["peer1"].join.Memory = 8 << 30
	for i := range members {
		r.wants(2, name(i))
	}
	busy := 0
	for id, steps := range r.given {
		for _, s := range steps {
			if s < large && id != "peer1" {
				t.Errorf("step %d is given to %s, which has no memory for it", s, id)
			}
		}
		busy++
	}
	expect(t, "have something", busy, small) // but the last step waits for all others, and one of the large has begun
}

func TestWhoIsCalledBackGivesWhatDoesNotRun(t *testing.T) {
	h := NewHand(HandOptions{Self: "peer2", Slots: 1})
	e := Epoch{Number: 1, Leader: "peer1"}
	h.Receive(start, e, Hello{Initiator: "peer0"})
	a := func(s Step) Assign { return Assign{Step: s, Action: digestOf(s)} }
	for s := range Step(3) {
		h.Receive(start, e, a(s))
	}
	h.Prepared(start, 0, a(0).Action, nil)
	h.Running(start, 0, a(0).Action)
	expect(t, "what runs", len(h.Receive(start, e, Recall{Step: 0}).Cancels), 0)
	out := h.Receive(start, e, Recall{Step: 1})
	expect(t, "what waits", out.Cancels, []Assign{a(1)})
	expect(t, "and says so", slices.ContainsFunc(out.Replies, func(r Reply) bool { return r.Msg == Message(Return{Step: 1}) }), true)
	expect(t, "what it does not have", len(h.Receive(start, e, Recall{Step: 7}).Replies), 0)
}

func TestNobodyHasRunAStepForLongerThanItHadIt(t *testing.T) {
	for name, c := range map[string]struct {
		says, had time.Duration
		work      float64
		believed  int
	}{
		"as it is":    {time.Second, time.Second, 1, 1},
		"a bit more":  {time.Second + slack, time.Second, 1.2, 1},
		"for ages":    {1 << 62, time.Second, 1.2, 0},
		"nothing":     {0, time.Second, 0, 0},
		"before that": {-time.Second, time.Second, 0, 0},
	} {
		r := rule(t, 3, 3)
		r.wants(1, "peer2")
		s := r.starts("peer2")
		r.passes(c.had)
		r.l.begin(r.now)
		r.l.learn(s, r.l.crew["peer2"], Timings{Run: c.says})
		expect(t, name+": work", r.l.exp.work, c.work)
		expect(t, name+": believed", len(r.l.exp.all.ring), c.believed)
	}
}

func TestTimesThatAreWorkedOutAreTimes(t *testing.T) {
	for s, want := range map[float64]time.Duration{
		0: 0, 1.5: 1500 * time.Millisecond, 1e300: longest, math.Inf(1): longest, math.NaN(): longest,
	} {
		expect(t, fmt.Sprint(s), seconds(s), want)
	}
}

func TestTheMedianIsOfTheLastSamples(t *testing.T) {
	var s samples
	expect(t, "of too few", s.median(), 0.0)
	for i := range 3 * maxSamples {
		s.add(float64(i))
	}
	expect(t, "kept", len(s.sorted), maxSamples)
	expect(t, "of the last", s.median(), float64(3*maxSamples-maxSamples/2-1))
	if !slices.IsSorted(s.sorted) {
		t.Error("they are out of order")
	}
}

func TestARunThatIsLateIsBelievedToGoOn(t *testing.T) {
	for elapsed, want := range map[time.Duration]time.Duration{0: 10, 4: 6, 10: 0, 12: 7, 40: 35} {
		expect(t, elapsed.String(), left(10, elapsed), want)
	}
}
