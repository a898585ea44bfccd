package steal

import (
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
)

// A worker has steps of which the log of the new leader says nothing yet: they are
// its own still when the initiator has told of them.
func TestWhatIsSaidOfAStepBeforeItComesIsKept(t *testing.T) {
	w := newWorld(t, opened(3))
	l, err := NewLeader(LeaderOptions{
		Self: "peer1", Initiator: "peer0", Epoch: Epoch{Number: 2, Leader: "peer1"}, Plan: w.plan, Predecessor: "peer3",
		Members: []peer.Member{{ID: "peer0"}, {ID: "peer1"}, {ID: "peer2"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	at := start
	l.Tick(at)
	for _, id := range []peer.ID{"peer0", "peer1", "peer2"} {
		l.Opened(at, id)
	}
	runs, made := digestOf("runs"), digestOf("made")
	entry := action.Entry{Action: made, Executor: "peer2", Result: action.Result{Outputs: []action.Output{{
		Path: "out0001", Kind: action.File, Digest: digestOf("output"),
	}}}}
	l.Receive(at, "peer2", Report{Step: 1, Action: made, Entry: &entry})
	l.Receive(at, "peer2", Join{Slots: 1, Running: []Running{{Step: 0, Action: runs}, {Step: 99, Action: runs}}})
	l.Receive(at, "peer2", Started{Step: 0})
	l.Receive(at, "peer0", Join{Slots: 1})
	l.Receive(at, "peer0", Want{Free: 2})
	l.Receive(at, "peer1", Join{Slots: 1})
	l.Receive(at, "peer1", Want{Free: 2})
	l.Receive(at, "peer0", Add{Steps: w.steps})
	out := l.Receive(at, "peer0", Follow{})
	if len(l.tasks) != 3 || len(out.Resolves) != 3 {
		t.Fatalf("%d steps, %d are resolved", len(l.tasks), len(out.Resolves))
	}
	at = at.Add(HearingTime + time.Millisecond)
	l.Tick(at)
	for _, r := range out.Resolves {
		name := map[Step]any{0: "runs", 1: "made", 2: "another"}[r.Step]
		l.Resolved(at, Resolved{Step: r.Step, Attempt: r.Attempt, Action: digestOf(name)})
	}
	expect(t, "the one that runs", l.tasks[0].phase, Assigned)
	expect(t, "who runs it", l.tasks[0].worker, peer.ID("peer2"))
	expect(t, "who began it", l.record.Steps[0].Began[0], peer.ID("peer2"))
	expect(t, "the one that is done", l.tasks[1].phase, Finished)
	expect(t, "the one that nobody has", l.tasks[2].phase, Assigned)
	expect(t, "what waits for no step", len(l.early), 1)
}

// What was said on a stream that broke counts no more.
func TestWhatIsSaidEarlyEndsWithItsStream(t *testing.T) {
	w := newWorld(t, opened(1))
	l, err := NewLeader(LeaderOptions{
		Self: "peer1", Initiator: "peer0", Epoch: Epoch{Number: 2, Leader: "peer1"}, Plan: w.plan,
		Members: []peer.Member{{ID: "peer0"}, {ID: "peer1"}, {ID: "peer2"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	l.Tick(start)
	l.Opened(start, "peer2")
	l.Receive(start, "peer2", Join{Slots: 1, Running: []Running{{Step: 0, Action: digestOf("x"), Started: true}}})
	expect(t, "what it said", len(l.early), 1)
	l.Closed(start, "peer2")
	l.Opened(start, "peer2")
	expect(t, "what it said on this stream", len(l.early), 0)
}
