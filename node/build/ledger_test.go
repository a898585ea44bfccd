package build

import (
	"fmt"
	"slices"
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

// written returns the texts of the ops that a build can be resumed with.
func written(t *testing.T, kv *memory.KV) (texts []string) {
	t.Helper()
	ops, err := logOf(kv, "b")
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range steal.Bequest(ops, "self") {
		texts = append(texts, op.Text)
	}
	return texts
}

// logged is a ledger that goes on with a build, and has written ops in parts of
// one each.
func logged(t *testing.T, kv *memory.KV, before *unfinished, graph string, ops ...steal.Op) *ledger {
	t.Helper()
	l := &ledger{kv: kv, self: peer.ID("self"), of: unfinished{ID: "b", Graph: graph}}
	if err := l.begin(before); err != nil {
		t.Fatal(err)
	}
	now := time.Unix(0, 0)
	l.checkpointed = now
	l.Logged([]steal.Op{{Kind: steal.OpStandbys}}, true)
	for _, op := range append([]steal.Op{{Kind: steal.OpMode}}, ops...) {
		if err := l.write(now); err != nil {
			t.Fatal(err)
		}
		l.Logged([]steal.Op{op}, false)
	}
	if err := l.write(now); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestOfTheLogsOfABuildThatIsLostTwiceOnlyTheLastOneCounts(t *testing.T) {
	kv := &memory.KV{}
	first := logged(t, kv, nil, "g", lost(0, 9)...)
	if got := written(t, kv); len(got) != 9 {
		t.Fatalf("the first log has %q", got)
	}
	again := logged(t, kv, &first.of, "g", lost(20, 1)...)
	if got := written(t, kv); !slices.Equal(got, []string{"20"}) {
		t.Errorf("the second log has %q", got)
	}
	// It died while it wrote the next checkpoint.
	next := &ledger{kv: kv, checkpoint: again.checkpoint + 1, part: 3}
	next.of = again.of
	if err := next.put(lost(30, 1)); err != nil {
		t.Fatal(err)
	}
	logged(t, kv, &again.of, "g", lost(40, 1)...)
	if got := written(t, kv); !slices.Equal(got, []string{"40"}) {
		t.Errorf("the third log has %q", got)
	}
	other := &ledger{kv: kv, of: unfinished{ID: "b", Graph: "of other sources"}}
	if err := other.begin(&again.of); err != nil {
		t.Fatal(err)
	}
	if got := written(t, kv); got != nil {
		t.Errorf("a build of other steps would be resumed with %q", got)
	}
}
