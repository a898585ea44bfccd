package steal

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

// opened is a mesh whose leader is not the initiator, with an open build of n
// steps; nothing comes by itself.
func opened(n int) spec {
	s := led(make([][]int, n))
	s.modes.KeepGoing, s.shut = true, 24*time.Hour
	return s
}

// everyOther are n steps that come one after the other.
func everyOther(n int, pause time.Duration) spec {
	s := opened(n)
	for i := range n {
		s.comes = append(s.comes, time.Duration(i)*pause)
	}
	s.shut = time.Duration(n) * pause
	return s
}

func TestStepsAreAddedToABuildThatRuns(t *testing.T) {
	w := newWorld(t, everyOther(40, 50*time.Millisecond))
	w.finish()
	w.all()
	for s, n := range w.ledger.executions {
		if n != 1 {
			t.Errorf("step %d was executed %d times", s, n)
		}
	}
	if e := w.lastElection(); e.Epoch != 1 || e.Peer != "peer1" {
		t.Errorf("elected: %+v", e)
	}
}

func TestALoneNodeTakesSteps(t *testing.T) {
	s := everyOther(5, 200*time.Millisecond)
	s.peers, s.candidates = 1, nil
	w := newWorld(t, s)
	w.finish()
	w.all()
}

func TestAnOpenBuildDoesNotEnd(t *testing.T) {
	w := newWorld(t, opened(3))
	w.pass(5 * time.Second)
	w.add(0, 2)
	w.untilAnnounced(2)
	w.pass(30 * time.Second)
	if w.ledger.over {
		t.Fatal("it ended, and is open")
	}
	w.add(2, 1)
	w.shut()
	w.finish()
	w.all()
}

func TestABuildWithoutStepsEndsWhenItIsShut(t *testing.T) {
	w := newWorld(t, opened(0))
	w.pass(2 * time.Second)
	w.shut()
	w.until(time.Second, func() bool { return w.ledger.over })
	w.all()
}

func TestAFailureEndsNoOpenBuild(t *testing.T) {
	s := everyOther(6, 100*time.Millisecond)
	s.fails, s.modes.KeepGoing = map[int]bool{1: true}, false
	w := newWorld(t, s)
	w.until(limit, func() bool { return w.ledger.over })
	w.all()
}

func TestStepsThatWereAddedOutliveTheirLeader(t *testing.T) {
	w := newWorld(t, opened(24))
	w.until(limit, func() bool { return len(w.ledger.elections) > 0 })
	w.add(0, 16)
	w.untilAnnounced(3)
	known := map[Step]int{}
	for s := range w.ledger.announced {
		known[s] = w.ledger.executions[s]
	}
	w.kill(w.nodes["peer1"])
	w.add(16, 4) // while nobody leads
	w.until(2*time.Second, func() bool { return w.lastElection().Epoch == 2 })
	w.add(20, 4)
	w.shut()
	w.finish()
	w.all()
	for s, n := range known {
		if w.ledger.executions[s] != n {
			t.Errorf("step %d was announced, and executed again", s)
		}
	}
}

func TestAStandbyDiesAndAnotherHasTheSteps(t *testing.T) {
	w := newWorld(t, opened(12))
	w.until(limit, func() bool { return len(w.ledger.elections) > 0 })
	w.add(0, 6)
	w.kill(w.nodes["peer2"])
	w.pass(3 * time.Second)
	w.kill(w.nodes["peer1"])
	w.add(6, 6)
	w.shut()
	w.finish()
	w.all()
	if e := w.lastElection(); e.Peer != "peer3" {
		t.Errorf("elected %s, the standby that was left is peer3", e.Peer)
	}
}

// An initiator that is left alone leads by its own log, and by what it added.
func TestAnInitiatorThatIsLeftAloneHasTheSteps(t *testing.T) {
	s := opened(30)
	s.peers, s.candidates = 4, []int{1, 2, 3, 0}
	w := newWorld(t, s)
	w.until(limit, func() bool { return len(w.ledger.elections) > 0 })
	w.add(0, 20)
	w.untilAnnounced(8)
	for _, id := range w.ids[1:4] {
		w.kill(w.nodes[id]) // the initiator leads itself, by its own log
	}
	w.untilAnnounced(15)
	w.add(20, 10)
	w.shut()
	w.finish()
	w.all()
	if e := w.lastElection(); e.Peer != w.init.id {
		t.Errorf("elected: %+v", e)
	}
}

func TestAnOpenBuildEndsWithItsInitiator(t *testing.T) {
	w := newWorld(t, opened(8))
	w.until(limit, func() bool { return len(w.ledger.elections) > 0 })
	w.add(0, 8)
	w.untilAnnounced(2)
	w.kill(w.init)
	w.quiet()
	w.pass(2 * time.Second)
	if l := w.leader(); l != nil {
		t.Errorf("%s leads still", l.on.id)
	}
}

// An idle build costs a beat now and then, and no look at the crew; a step that
// comes is begun at once all the same.
func TestABuildRestsWhileNothingComes(t *testing.T) {
	w := newWorld(t, opened(9))
	w.until(limit, func() bool { return len(w.ledger.elections) > 0 })
	w.add(0, 8)
	w.untilAnnounced(8)
	w.pass(3 * time.Second)
	l := w.leader()
	if !l.leader.resting {
		w.report()
		w.fatalf("it does not rest")
	}
	rounds, logged, replies := l.leader.rounds, len(l.leader.log), w.ledger.replies
	w.pass(20 * time.Second)
	if l.leader.rounds != rounds || len(l.leader.log) != logged || len(w.ledger.elections) != 1 {
		t.Errorf("%d rounds, %d ops, %d elections while nothing came", l.leader.rounds-rounds, len(l.leader.log)-logged, len(w.ledger.elections)-1)
	}
	// Each member says every CalmEvery that it lives, the standbys and the initiator
	// for their logs as well.
	if n, most := w.ledger.replies-replies, (len(w.ids)+3)*int(20*time.Second/CalmEvery); n > most {
		t.Errorf("%d messages in 20 s, at most %d are needed", n, most)
	}
	came := w.now
	w.add(8, 1)
	w.until(time.Second, func() bool { return w.ledger.executions[8] == 1 })
	if took := w.now.Sub(came); took > 200*time.Millisecond {
		t.Errorf("a lone step begins after %v", took)
	}
	w.untilAnnounced(9)
	w.shut()
	w.finish()
}

func TestARestingLeaderIsMissedAndItsStepsAreKept(t *testing.T) {
	w := newWorld(t, opened(6))
	w.until(limit, func() bool { return len(w.ledger.elections) > 0 })
	w.add(0, 3)
	w.untilAnnounced(3)
	w.pass(4 * time.Second)
	w.kill(w.nodes["peer1"])
	w.pass(300 * time.Millisecond)
	w.add(3, 3)
	w.shut()
	w.finish()
	w.all()
	if e := w.lastElection(); e.Peer != "peer2" || e.Epoch != 2 {
		t.Errorf("elected: %+v", e)
	}
	for s, n := range w.ledger.executions {
		if n != 1 {
			t.Errorf("step %d was executed %d times", s, n)
		}
	}
}

func TestAStepThatNobodyNeedsIsGivenUp(t *testing.T) {
	s := opened(4)
	s.slots, s.run, s.peers, s.candidates = 1, 3*time.Second, 1, nil
	w := newWorld(t, s)
	w.add(0, 4)
	w.until(limit, func() bool { return len(w.ledger.executions) == 1 })
	drop := func(s Step) { w.asks(func(o *Origin) OriginOutput { return o.Drop(w.now, s) }) }
	running, waits := Step(0), Step(1)
	for s := range w.ledger.executions {
		running = s
	}
	if running == waits {
		waits = 2
	}
	drop(waits)
	drop(running)
	w.until(time.Second, func() bool { return len(w.ledger.gaveUp) == 2 })
	for key, j := range w.init.jobs { // what is needed may run by now
		if strings.HasPrefix(key, fmt.Sprint(running, " ")) && j.runs && !j.cancelled {
			t.Error("what nobody needs still runs")
		}
	}
	w.shut()
	w.finish()
	if len(w.ledger.announced) != 2 || w.ledger.gaveUp[running] != Unneeded || w.ledger.executions[waits] != 0 {
		t.Errorf("announced %d, given up %v, executed %v", len(w.ledger.announced), w.ledger.gaveUp, w.ledger.executions)
	}
	drop(running) // of a build that is over
}

func TestAStepIsDroppedWhileNobodyLeads(t *testing.T) {
	s := opened(3)
	s.run = 20 * time.Second
	w := newWorld(t, s)
	w.until(limit, func() bool { return len(w.ledger.elections) > 0 })
	w.add(0, 2)
	w.until(limit, func() bool { return len(w.ledger.executions) == 2 })
	w.kill(w.nodes["peer1"])
	w.pass(100 * time.Millisecond)
	w.asks(func(o *Origin) OriginOutput { return o.Drop(w.now, 0) })
	w.add(2, 1)
	w.asks(func(o *Origin) OriginOutput { return o.Drop(w.now, 2) })
	w.until(5*time.Second, func() bool { return w.ledger.gaveUp[0] == Unneeded && w.ledger.gaveUp[2] == Unneeded })
	if w.ledger.executions[2] != 0 {
		t.Error("what nobody needed when the leader heard of it was executed")
	}
	w.shut()
	w.finish()
}

// Toolchains that no step asked for before are looked for when one does.
func TestAToolchainIsAskedForWhenAStepNeedsIt(t *testing.T) {
	s := opened(4)
	s.special = map[int]bool{2: true}
	w := newWorld(t, s)
	w.until(limit, func() bool { return len(w.ledger.elections) > 0 })
	w.add(0, 2)
	w.untilAnnounced(2)
	w.add(2, 2)
	w.untilAnnounced(4)
	if by := w.ledger.announced[2].Peer; by != w.ids[len(w.ids)-1] {
		t.Errorf("%s ran it, which does not have the toolchain", by)
	}
	w.shut()
	w.finish()
}

func TestAStepWhoseToolchainNobodyHasIsGivenUp(t *testing.T) {
	s := opened(2)
	s.special = map[int]bool{1: true}
	w := newWorld(t, s)
	w.until(limit, func() bool { return len(w.ledger.elections) > 0 })
	w.kill(w.nodes[w.ids[len(w.ids)-1]])
	w.add(0, 1)
	w.untilAnnounced(1)
	w.pass(3 * time.Second)
	w.add(1, 1)
	w.until(Patience+time.Second, func() bool { return w.ledger.gaveUp[1] != "" })
	if !strings.Contains(w.ledger.gaveUp[1], action.PropertyToolchain) {
		t.Errorf("given up: %s", w.ledger.gaveUp[1])
	}
	w.shut()
	w.finish()
}

func (w *world) flat(i int, more func(s *action.Step)) action.Step {
	s := action.Step{
		ID: action.StepID(fmt.Sprintf("more%d", i)), Argv: []string{"make"}, Inputs: digestOf("more", i), Timeout: time.Hour,
		Reach: action.Anywhere, Sharing: action.Shared,
	}
	if more != nil {
		more(&s)
	}
	return s
}

func TestWhatCannotBeAddedIsRefused(t *testing.T) {
	w := newWorld(t, opened(1))
	o := w.init.origin
	same := w.flat(9, nil)
	for name, steps := range map[string][]action.Step{
		"Deps":       {w.flat(0, func(s *action.Step) { s.Deps = []action.Dep{{Step: "x"}} })},
		"NoCommand":  {w.flat(1, func(s *action.Step) { s.Argv = nil })},
		"NoInputs":   {w.flat(2, func(s *action.Step) { s.Inputs = digest.Digest{} })},
		"TooLarge":   {w.flat(3, func(s *action.Step) { s.Argv = append(s.Argv, strings.Repeat("x", action.MaxFlatBytes)) })},
		"NoText":     {w.flat(4, func(s *action.Step) { s.Argv = append(s.Argv, "\xff") })},
		"RankOfNone": {w.flat(5, func(s *action.Step) { s.Rank = -1 })},
		"Twice":      {same, same},
		"Toolchains": toolchains(w, MaxSpecs+1),
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := o.Add(w.now, steps); !errors.Is(err, action.ErrInvalid) {
				t.Errorf("Add = %v, want %v", err, action.ErrInvalid)
			}
		})
	}
	if _, _, err := o.Add(w.now, []action.Step{same}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := o.Add(w.now, []action.Step{same}); !errors.Is(err, action.ErrInvalid) {
		t.Errorf("a name that is taken: %v", err)
	}
	o.Shut(w.now)
	if _, _, err := o.Add(w.now, []action.Step{w.flat(10, nil)}); !errors.Is(err, ErrShut) {
		t.Errorf("after it was shut: %v", err)
	}
	closed := newWorld(t, led(chain(1))).init.origin
	if _, _, err := closed.Add(w.now, []action.Step{w.flat(0, nil)}); !errors.Is(err, ErrShut) {
		t.Errorf("to a closed build: %v", err)
	}
}

func toolchains(w *world, n int) (steps []action.Step) {
	for i := range n {
		steps = append(steps, w.flat(100+i, func(s *action.Step) {
			s.Platform = []action.Property{{Name: action.PropertyToolchain, Value: "t"}, {Name: action.PropertyToolchainSpec, Value: fmt.Sprint(i)}}
		}))
	}
	return steps
}

// More than may be on its way waits until the leader's log has some of it.
func TestStepsWaitForThoseOnTheirWay(t *testing.T) {
	w := newWorld(t, opened(1))
	o := w.init.origin
	o.Tick(w.now)
	var steps []action.Step
	for i := range 3 * maxOnWay / (512 << 10) {
		steps = append(steps, w.flat(i, func(s *action.Step) { s.Argv = append(s.Argv, strings.Repeat("x", 512<<10)) }))
	}
	if _, out, err := o.Add(w.now, steps); err != nil || len(out.Replies) > 0 {
		t.Fatalf("before there is a leader: %v, %v", out.Replies, err)
	}
	e := Epoch{Number: 1, Leader: "peer1"}
	adds := func(out OriginOutput) (all []Add, followed bool) {
		for _, r := range out.Replies {
			switch m := r.Msg.(type) {
			case Add:
				all = append(all, m)
			case Follow:
				followed = true
			}
		}
		return all, followed
	}
	sent, followed := adds(o.Receive(w.now, e, Hello{Initiator: "peer0"}))
	if len(sent) == 0 || len(sent) == len(steps) || followed {
		t.Fatalf("%d of %d are sent at once, followed %v", len(sent), len(steps), followed)
	}
	index := uint64(0)
	for n := 0; !followed; n++ {
		index++
		var more []Add
		out := o.Receive(w.now, e, Append{First: index, Ops: []Op{{Kind: OpAdded, Step: sent[n].First, Steps: sent[n].Steps}}})
		more, followed = adds(out)
		sent = append(sent, more...)
	}
	if len(sent) != len(steps) {
		t.Errorf("followed when %d of %d were sent", len(sent), len(steps))
	}
}

// What a leader says was added counts only if it was.
func TestALeaderAddsNothing(t *testing.T) {
	w := newWorld(t, opened(1))
	o := w.init.origin
	o.Tick(w.now)
	o.Add(w.now, []action.Step{w.flat(0, nil)})
	e := Epoch{Number: 1, Leader: "peer1"}
	o.Receive(w.now, e, Hello{Initiator: "peer0"})
	forged := w.flat(0, func(s *action.Step) { s.Argv = []string{"rm"} })
	for _, op := range []Op{{Kind: OpAdded, Steps: []action.Step{forged}}, {Kind: OpAdded, Step: -1, Steps: []action.Step{forged}}, {Kind: OpEnded}} {
		o := *o
		o.record, o.copy = NewRecord(o.opts.Plan), logCopy{}
		if out := o.Receive(w.now, e, Append{First: 1, Ops: []Op{op}}); out.TakeOver == nil {
			t.Errorf("op %d: the leader is relied on", op.Kind)
		}
	}
}

// The heir of a build that is shut has all that was added.
func TestAnHeirGoesOnWithWhatWasAdded(t *testing.T) {
	w := newWorld(t, opened(2))
	k := NewKeeper("peer2", Epoch{})
	e := Epoch{Number: 1, Leader: "peer1"}
	k.Receive(w.now, e, Hello{Initiator: "peer0", Plan: digestOf("plan")})
	log := []Op{{Kind: OpAdded, Steps: w.steps[:1]}, {Kind: OpAdded, Step: 1, Steps: w.steps[1:]}, {Kind: OpShut}, {Kind: OpHeir, Peer: "peer2"}}
	out := k.Receive(w.now, e, Append{First: 1, Ops: log})
	if out.Keep == nil || len(out.Keep.Added) != 2 {
		t.Fatalf("it is to keep %+v", out.Keep)
	}
	whole, err := w.plan.With(out.Keep.Added)
	if err != nil {
		t.Fatal(err)
	}
	if whole.Open || !whole.Modes.KeepGoing || whole.Graph.Len() != 2 || w.plan.Graph.Len() != 0 {
		t.Errorf("the plan of the rest: %+v", whole)
	}
	if left := Bequest(log, "peer0"); slices.ContainsFunc(left, func(o Op) bool { return o.Kind == OpAdded || o.Kind == OpShut }) {
		t.Errorf("left: %+v", left)
	}
	if _, err := NewLeader(LeaderOptions{
		Self: "peer2", Initiator: "peer2", Epoch: Epoch{Number: 1, Leader: "peer2"}, Plan: whole, Log: Bequest(log, "peer0"),
	}); err != nil {
		t.Error(err)
	}
}

// While it is open nobody goes on with a build but its initiator.
func TestAnOpenBuildHasNoHeir(t *testing.T) {
	w := newWorld(t, opened(2))
	w.until(limit, func() bool { return len(w.ledger.elections) > 0 })
	w.add(0, 2)
	w.pass(3 * time.Second)
	if heir := w.leader().leader.record.Heir; heir != "" {
		t.Fatalf("%s is the heir", heir)
	}
	w.spec.run = 5 * time.Second
	w.shut()
	w.until(time.Second, func() bool { return w.leader() == nil || w.leader().leader.record.Heir != "" })
	w.finish()
}

func TestTheLogOfStepsIsNotSentAllAtOnce(t *testing.T) {
	l := &Leader{}
	for i := range 40 {
		l.loads = append(l.loads, load{index: uint64(10 * (i + 1)), bytes: (i + 1) << 20})
	}
	for index, want := range map[uint64]int{0: 0, 9: 0, 10: 1 << 20, 15: 1 << 20, 400: 40 << 20, 9999: 40 << 20} {
		if got := l.loadTo(index); got != want {
			t.Errorf("up to %d there are %d bytes, want %d", index, got, want)
		}
	}
	if m := (&member{logSent: 70}); l.laden(m) {
		t.Error("7 MiB are too much")
	}
	if m := (&member{logSent: 180, logAcked: 100}); !l.laden(m) {
		t.Error("8 MiB are not enough")
	}
}
