package steal

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// wide is n steps that wait for nothing, and one that waits for all of them.
func wide(n int) [][]int {
	deps := make([][]int, n+1)
	for i := range n {
		deps[n] = append(deps[n], i)
	}
	return deps
}

func chain(n int) [][]int {
	deps := make([][]int, n)
	for i := 1; i < n; i++ {
		deps[i] = []int{i - 1}
	}
	return deps
}

// led is a mesh whose leader is not the initiator: peer1, then peer2 and peer3.
func led(deps [][]int) spec {
	return spec{seed: 7, peers: 5, slots: 2, deps: deps, candidates: []int{1, 2, 3, 4, 0}}
}

func (w *world) finish() {
	w.t.Helper()
	w.until(limit, func() bool { return w.ledger.over })
	w.ledger.verify()
	w.quiet()
}

func (w *world) untilAnnounced(n int) {
	w.t.Helper()
	w.until(limit, func() bool { return len(w.ledger.announced) >= n })
}

func (w *world) all() {
	w.t.Helper()
	if len(w.ledger.announced) != len(w.spec.deps) || w.ledger.outcome != Completed {
		w.fatalf("%d of %d steps announced, outcome %d", len(w.ledger.announced), len(w.spec.deps), w.ledger.outcome)
	}
}

func (w *world) lastElection() Event { return w.ledger.elections[len(w.ledger.elections)-1] }

func (w *world) noted(text string) bool {
	return slices.ContainsFunc(w.ledger.notes, func(n string) bool { return strings.Contains(n, text) })
}

func TestABuildIsSharedOut(t *testing.T) {
	w := newWorld(t, led(wide(60)))
	w.finish()
	w.all()
	for _, id := range w.ids {
		if w.ledger.by[id] == 0 {
			t.Errorf("%s ran nothing", id)
		}
	}
	for s, n := range w.ledger.executions {
		if n != 1 {
			t.Errorf("step %d was executed %d times", s, n)
		}
	}
	if e := w.lastElection(); e.Epoch != 1 || e.Peer != "peer1" || !slices.Equal(e.Peers, w.ids[2:4]) {
		t.Errorf("elected: %+v", e)
	}
}

func TestALoneNodeBuildsWithItself(t *testing.T) {
	w := newWorld(t, spec{peers: 1, slots: 2, deps: chain(5)})
	w.finish()
	w.all()
}

func TestLeaderDiesWithLeasesOut(t *testing.T) {
	w := newWorld(t, led(wide(60)))
	w.untilAnnounced(5)
	executed := map[Step]int{}
	for s := range w.ledger.announced {
		executed[s] = w.ledger.executions[s]
	}
	died := w.now
	w.kill(w.nodes["peer1"])
	w.until(2*time.Second, func() bool { return w.lastElection().Epoch == 2 })
	t.Logf("next epoch after %v", w.now.Sub(died))
	w.finish()
	w.all()
	if e := w.lastElection(); e.Peer != "peer2" {
		t.Errorf("elected %s, the first standby was peer2", e.Peer)
	}
	for s, n := range executed {
		if w.ledger.executions[s] != n {
			t.Errorf("step %d was announced, and executed again", s)
		}
	}
}

func TestRunningActionsOutliveTheirLeader(t *testing.T) {
	s := led(wide(4))
	s.run, s.workless = 4*time.Second, map[int]bool{1: true}
	w := newWorld(t, s)
	w.until(limit, func() bool { return len(w.ledger.executions) == 4 })
	w.kill(w.nodes["peer1"])
	w.finish()
	w.all()
	for s, n := range w.ledger.executions {
		if n != 1 {
			t.Errorf("step %d was executed %d times", s, n)
		}
	}
}

func TestLeaderAndFirstStandbyDieTogether(t *testing.T) {
	w := newWorld(t, led(wide(60)))
	w.untilAnnounced(5)
	w.kill(w.nodes["peer1"])
	w.kill(w.nodes["peer2"])
	w.finish()
	w.all()
	if e := w.lastElection(); e.Peer != "peer3" || e.Epoch < 2 {
		t.Errorf("elected %+v, not the second standby", e)
	}
}

func TestWorkerIsLost(t *testing.T) {
	w := newWorld(t, led(wide(60)))
	w.untilAnnounced(5)
	w.kill(w.nodes["peer4"])
	w.finish()
	w.all()
	if e := w.lastElection(); e.Epoch != 1 {
		t.Errorf("a lost worker cost an election: %+v", e)
	}
	if !w.noted("lost peer4") {
		t.Error("nobody was told")
	}
}

func TestAllAreLostButTheInitiator(t *testing.T) {
	w := newWorld(t, led(wide(40)))
	w.untilAnnounced(5)
	for _, id := range w.ids[1:] {
		w.kill(w.nodes[id])
	}
	w.finish()
	w.all()
	if e := w.lastElection(); e.Peer != "peer0" || len(e.Peers) != 0 {
		t.Errorf("elected %+v", e)
	}
}

func TestARestartedMemberWorksAgain(t *testing.T) {
	s := led(wide(120))
	s.run = 2 * time.Second
	w := newWorld(t, s)
	w.untilAnnounced(5)
	w.kill(w.nodes["peer4"])
	w.pass(3 * time.Second)
	before := w.ledger.by["peer4"]
	w.restart(w.nodes["peer4"])
	w.finish()
	w.all()
	if w.ledger.by["peer4"] == before {
		t.Error("it ran nothing in its second life")
	}
}

func TestAStepThatKillsItsWorkersIsGivenUp(t *testing.T) {
	s := led(wide(10))
	s.peers, s.candidates, s.kills, s.modes.KeepGoing = 8, nil, map[int]bool{3: true}, true
	w := newWorld(t, s)
	w.finish()
	if why := w.ledger.gaveUp[3]; !strings.Contains(why, "workers were lost") && w.ledger.announced[3] == nil {
		t.Errorf("step 3: %q", why)
	}
	if w.ledger.executions[3] > MaxLost {
		t.Errorf("it ran %d times", w.ledger.executions[3])
	}
	if w.ledger.gaveUp[3] != "" && w.ledger.announced[10] != nil {
		t.Error("what waits for it was announced")
	}
}

func TestAStepThatKillsItsWorkersIsGivenUpAlthoughTheirLeadersDieAsWell(t *testing.T) {
	s := led(wide(10))
	s.peers, s.kills, s.modes.KeepGoing = 12, map[int]bool{3: true}, true
	s.candidates, s.workless = []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0}, map[int]bool{0: true}
	w := newWorld(t, s)
	for died := 0; died < MaxLost && w.ledger.gaveUp[3] == "" && w.ledger.announced[3] == nil; died++ {
		w.until(limit, func() bool {
			return w.ledger.executions[3] > died || w.ledger.gaveUp[3] != "" || w.ledger.announced[3] != nil
		})
		w.pass(w.spec.run)
		if l := w.leader(); l != nil {
			w.killUnlessInitiator(l.on) // before it has missed the worker
		}
	}
	w.finish()
	if w.ledger.executions[3] > MaxLost {
		t.Errorf("it ran %d times", w.ledger.executions[3])
	}
}

func TestThePartsOfASplitMeshMeetAgain(t *testing.T) {
	w := newWorld(t, led(wide(120)))
	w.ledger.parted = true
	w.untilAnnounced(5)
	w.split("peer1", "peer2")
	w.until(3*time.Second, func() bool { return w.lastElection().Epoch > 1 })
	w.heal()
	w.finish()
	w.all()
}

func TestAResultThatIsNowhereIsMadeAgain(t *testing.T) {
	s := led(chain(4))
	s.loses = map[int]bool{1: true}
	w := newWorld(t, s)
	w.finish()
	w.all()
	if n := w.ledger.executions[1]; n != 2 {
		t.Errorf("it was executed %d times", n)
	}
	if !w.noted("to be made again") {
		t.Error("nobody was told")
	}
}

func TestAFailureEndsTheBuild(t *testing.T) {
	s := led(chain(4))
	s.fails = map[int]bool{1: true}
	w := newWorld(t, s)
	w.finish()
	if d := w.ledger.announced[1]; d == nil || d.Entry.Result.OK() || w.ledger.announced[2] != nil {
		t.Errorf("announced: %v", w.ledger.announced)
	}
	if w.ledger.executions[1] != 1 {
		t.Errorf("a command that failed was tried %d times", w.ledger.executions[1])
	}
}

func TestKeepGoingBuildsWhatDoesNotDependOnAFailure(t *testing.T) {
	s := led([][]int{{}, {0}, {1}, {}, {3}, {4}})
	s.fails, s.modes.KeepGoing = map[int]bool{0: true}, true
	w := newWorld(t, s)
	w.finish()
	for i, want := range []bool{true, false, false, true, true, true} {
		if got := w.ledger.announced[Step(i)] != nil; got != want {
			t.Errorf("step %d announced: %v", i, got)
		}
	}
}

func TestJobsBoundsWhatRunsAnywhere(t *testing.T) {
	s := led(wide(30))
	s.modes.Jobs = 3
	w := newWorld(t, s)
	w.finish()
	w.all()
	if w.ledger.most != 3 {
		t.Errorf("%d ran at once", w.ledger.most)
	}
}

func TestACancelledBuild(t *testing.T) {
	w := newWorld(t, led(wide(60)))
	w.untilAnnounced(5)
	w.init.doOrigin(w.init.origin.Cancel(w.now))
	w.until(CancelTime+100*time.Millisecond, func() bool { return w.ledger.over })
	w.quiet()
	if w.ledger.outcome != Cancelled {
		t.Errorf("outcome %d", w.ledger.outcome)
	}
}

func TestStepsRunWhereTheyMay(t *testing.T) {
	s := led(wide(8))
	s.here, s.special = map[int]bool{1: true}, map[int]bool{2: true}
	w := newWorld(t, s)
	w.finish()
	w.all()
	if by := w.ledger.announced[1].Peer; by != w.init.id {
		t.Errorf("a step of the initiator ran on %s", by)
	}
	if by := w.ledger.announced[2].Peer; by != "peer4" {
		t.Errorf("a step that needs a toolchain ran on %s", by)
	}
}

func TestAStepThatNobodyCanRunSaysWhatItLacks(t *testing.T) {
	s := led(chain(3))
	s.special = map[int]bool{1: true}
	w := newWorld(t, s)
	w.kill(w.nodes["peer4"])
	w.finish()
	if why := w.ledger.gaveUp[1]; !strings.Contains(why, "no peer can run this: needs toolchain=special") {
		t.Errorf("why: %q", why)
	}
}

func TestLocalAsksNobody(t *testing.T) {
	s := led(wide(10))
	s.modes.Local = true
	w := newWorld(t, s)
	w.finish()
	w.all()
	if w.ledger.by[w.init.id] != 11 {
		t.Errorf("executions: %v", w.ledger.by)
	}
}

func TestKnownResultsAreNotExecutedUnlessForced(t *testing.T) {
	first := newWorld(t, led(wide(10)))
	first.finish()
	for _, forced := range []bool{false, true} {
		s := led(wide(10))
		s.modes.Force, s.careless = forced, map[int]bool{4: true}
		w := newWorld(t, s)
		w.mesh = first.mesh
		for id, n := range first.nodes {
			w.nodes[id].blobs = n.blobs
		}
		w.finish()
		w.all()
		if forced != (len(w.ledger.executions) == 11) || !forced && len(w.ledger.executions) != 0 {
			t.Errorf("forced %v: %d steps executed", forced, len(w.ledger.executions))
		}
		if w.ledger.announced[4].Differs != forced {
			t.Errorf("forced %v: differs is %v", forced, w.ledger.announced[4].Differs)
		}
	}
}

func TestALeaderThatDoesNotComeIsReplaced(t *testing.T) {
	w := newWorld(t, led(wide(10)))
	w.kill(w.nodes["peer1"])
	w.finish()
	w.all()
	if e := w.lastElection(); e.Peer != "peer2" || e.Epoch != 2 {
		t.Errorf("elected %+v", e)
	}
}
