package experience

import (
	"math"
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/costs"
	"github.com/buildnet/buildnet/store/memory"
)

func TestALargerSourceTakesLonger(t *testing.T) {
	b := newBuild(costs.New(&memory.KV{}, &memory.KV{}), peer.Member{ID: "fast", Caps: peer.Capabilities{BPU: 2, Cores: 1, Slots: 1}})
	step := &action.Step{ID: "a.o", Argv: []string{"/usr/bin/cc", "-c", "a.c"}, Outputs: []string{"a.o"}}
	since := time.Now().Add(-time.Minute)
	list := &action.Step{ID: "a", Argv: step.Argv}
	other := &action.Step{ID: "a.o", Argv: []string{"/usr/bin/c++", "-c", "a.c"}, Outputs: step.Outputs}
	written := &action.Step{ID: "b.o", Argv: step.Argv, Outputs: []string{"b.d", "b.o"}}
	for i := range time.Duration(minRuns) {
		if work, ok := b.Sized(step, 1000); ok {
			t.Errorf("%d runs tell of %v", i, work)
		}
		took := (i + 1) * time.Second
		b.LearnSize(step, headerBytes*int64(i), "fast", &action.Result{Wall: took, CPU: took}, since)
		b.LearnSize(step, 1000, "fast", &action.Result{ExitCode: 1, Wall: time.Second, CPU: time.Second}, since)
		b.LearnSize(list, 1000, "fast", &action.Result{Wall: time.Second, CPU: time.Second}, since)
		b.LearnSize(step, 0, "fast", &action.Result{Wall: time.Second, CPU: time.Second}, since)
	}
	// Of the runs one had no source, and what failed does not count.
	b.LearnSize(step, headerBytes*minRuns, "fast", &action.Result{Wall: 5 * time.Second, CPU: 5 * time.Second}, since)
	for size, want := range map[int64]float64{headerBytes: 4, 9 * headerBytes: 20} {
		if work, ok := b.Sized(written, size); !ok || math.Abs(work-want) > 1e-6 {
			t.Errorf("%d bytes: %v, %v; want %v", size, work, ok, want)
		}
	}
	if work, ok := b.Sized(step, 0); ok {
		t.Errorf("a step without a source takes %v", work)
	}
	for _, s := range []*action.Step{list, other} {
		if work, ok := b.Sized(s, 10_000); ok {
			t.Errorf("%v takes %v, of which nothing was seen", s.Argv, work)
		}
	}
}
