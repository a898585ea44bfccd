package build

import (
	"fmt"
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store/memory"
)

// lost are ops that tell one worker after the other lost.
func lost(from, n int) (ops []steal.Op) {
	for i := range n {
		ops = append(ops, steal.Op{Kind: steal.OpTried, Step: steal.Step(from + i), Text: fmt.Sprint(from + i)})
	}
	return ops
}

func TestALogIsReadBackAsFarAsItWasWritten(t *testing.T) {
	kv := &memory.KV{}
	l := &ledger{kv: kv, self: peer.ID("self"), of: unfinished{ID: "b"}, warn: func(err error) { t.Error(err) }}
	now := time.Unix(0, 0)
	check := func(what string, want int) {
		t.Helper()
		now = now.Add(writeEvery)
		if err := l.write(now); err != nil {
			t.Fatal(err)
		}
		ops, err := logOf(kv, "b")
		if left := steal.Bequest(ops, "self"); err != nil || len(left) != want || want > 0 && left[want-1].Text != fmt.Sprint(want-1) {
			t.Errorf("%s: %d ops, want %d: %v", what, len(left), want, err)
		}
	}
	begin := []steal.Op{{Kind: steal.OpStandbys}}
	l.Logged(nil, true)
	check("nothing", 0)
	l.Logged(append(lost(0, 3), begin...), false)
	check("a first checkpoint", 3)
	l.Logged(lost(3, 2), false)
	check("what came since", 5)
	l.Logged(lost(5, checkpointOps), false)
	check("another checkpoint", checkpointOps+5)
	l.Logged(lost(0, 2), true)
	check("the next log has not all yet", checkpointOps+5)
	l.Logged(begin, false)
	check("now it has", 2)
	now = now.Add(checkpointEvery)
	l.Logged(lost(2, 1), false)
	check("a checkpoint for its age", 3)
	if err := finished(kv, "b"); err != nil {
		t.Fatal(err)
	}
	left := 0
	if err := kv.Scan(nil, func(_, _ []byte) bool { left++; return true }); err != nil || left > 0 {
		t.Errorf("%d keys are left: %v", left, err)
	}
}
