package steal

import (
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
)

// ahead is a chain of two steps of which the first was executed and the second is
// being looked for, in a build of one machine.
func ahead(t *testing.T, cost float64) (r *paper, second Resolve) {
	w, _ := origin(chain(2))
	plan := w.makePlan()
	for i := range plan.Graph.Steps() {
		plan.Graph.Steps()[i].Cost = cost
	}
	r = &paper{t: t, now: start, given: map[peer.ID][]Step{}}
	var err error
	r.l, err = NewLeader(LeaderOptions{
		Self: "peer0", Initiator: "peer0", Epoch: Epoch{Number: 1, Leader: "peer0"}, Plan: plan, Members: []peer.Member{{ID: "peer0"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.do(r.l.Tick(r.now))
	r.do(r.l.Opened(r.now, "peer0"))
	r.hears("peer0", Join{Slots: 1, BPU: 2})
	r.hears("peer0", Want{Free: 2})
	first := r.l.Receive(r.now, "peer0", Follow{}).Resolves[0]
	if first.Patience != 0 {
		t.Errorf("a step that is made of nothing new waits for %v", first.Patience)
	}
	r.do(r.l.Resolved(r.now, Resolved{Step: 0, Attempt: first.Attempt, Action: garbageDone(0).Entry.Action}))
	done := garbageDone(0)
	done.Entry.Executor = "peer0"
	out := r.l.Receive(r.now, "peer0", Report{Step: 0, Action: done.Entry.Action, Entry: &done.Entry})
	if len(out.Resolves) != 1 {
		t.Fatalf("%d steps are looked for", len(out.Resolves))
	}
	return r, out.Resolves[0]
}

func TestWhatIsMadeOfSomethingNewIsShortOfPatience(t *testing.T) {
	for cost, want := range map[float64]time.Duration{3.2: 50 * time.Millisecond, 0.064: time.Millisecond, 0: 0} {
		_, second := ahead(t, cost)
		if second.Patience != want {
			t.Errorf("a step of %v BPU-seconds on 2 BPU waits for %v, want %v", cost, second.Patience, want)
		}
	}
}

func TestAResultThatComesLaterEndsTheExecution(t *testing.T) {
	r, second := ahead(t, 1)
	of := garbageDone(1).Entry
	r.do(r.l.Resolved(r.now, Resolved{Step: 1, Attempt: second.Attempt, Action: of.Action, Claimed: true}))
	r.starts("peer0")
	found := Resolved{Step: 1, Attempt: second.Attempt, Action: of.Action, Found: &of, Holders: []peer.ID{"peer9"}}
	other := found
	other.Action = digestOf("another")
	r.do(r.l.Resolved(r.now, other))
	if r.l.record.Steps[1].Done != nil {
		t.Fatal("the result of another action is taken")
	}
	r.do(r.l.Resolved(r.now, found))
	if d := r.l.record.Steps[1].Done; d == nil || d.How != Found || !r.told("peer0", Revoke{Step: 1}) {
		t.Errorf("the step has %+v", d)
	}
	ops := len(r.l.log)
	r.reports("peer0", 1, Failure{})
	r.do(r.l.Resolved(r.now, found))
	if len(r.l.log) != ops {
		t.Errorf("what was done is logged again: %+v", r.l.log[ops:])
	}
}

func TestAResultThatWasLostIsNotTakenLater(t *testing.T) {
	r, second := ahead(t, 1)
	of := garbageDone(1).Entry
	r.do(r.l.Resolved(r.now, Resolved{Step: 1, Attempt: second.Attempt, Action: of.Action, Claimed: true}))
	r.l.tasks[1].fresh = true
	r.do(r.l.Resolved(r.now, Resolved{Step: 1, Attempt: second.Attempt, Action: of.Action, Found: &of}))
	if r.l.record.Steps[1].Done != nil {
		t.Error("it is taken")
	}
}
