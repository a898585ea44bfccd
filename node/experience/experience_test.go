package experience

import (
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/costs"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/memory"
)

func newBuild(book *costs.Book, members ...peer.Member) *Build {
	return New(book, func() []peer.Member { return members }, slog.New(slog.DiscardHandler))
}

func TestASlotHasItsShareOfTheCores(t *testing.T) {
	b := newBuild(costs.New(&memory.KV{}, &memory.KV{}),
		peer.Member{ID: "crowded", Caps: peer.Capabilities{BPU: 3, Cores: 2, Slots: 4}},
		peer.Member{ID: "roomy", Caps: peer.Capabilities{BPU: 3, Cores: 8, Slots: 4}})
	for id, want := range map[peer.ID]float64{"crowded": 1.5, "roomy": 3, "unknown": 1} {
		if got := b.Speed(id); got != want {
			t.Errorf("%s: %v BPU, want %v", id, got, want)
		}
	}
}

// TestTheNextBuildKnows has what one build learned known to the next: in work, of
// whatever machine it came.
func TestTheNextBuildKnows(t *testing.T) {
	own := &memory.KV{}
	first := newBuild(costs.New(own, &memory.KV{}), peer.Member{ID: "fast", Caps: peer.Capabilities{BPU: 4, Cores: 2, Slots: 2}})
	step := &action.Step{ID: "a.o", Argv: []string{"/usr/bin/cc", "-c", "a.c"}, Outputs: []string{"a.o"}}
	res := &action.Result{
		Wall: 2 * time.Second, CPU: 2 * time.Second, MaxRSS: 64 << 20,
		Outputs: []action.Output{{Path: "a.o", Kind: action.File, Digest: digest.Of(digest.BLAKE3, make([]byte, 1000))}},
	}
	k := costs.KindsOf(step)
	if _, known := first.Hints(k.Step); known {
		t.Error("something is known of a step that was never run")
	}
	first.Learn(step, "fast", res, time.Now().Add(-time.Minute))
	if kinds := first.Keep(); len(kinds) != 2 || kinds[0] != k.Step || kinds[1] != k.Rule {
		t.Errorf("tells of %v, want %v", kinds, k)
	}
	next := newBuild(costs.New(own, &memory.KV{}))
	for _, k := range []costs.Kind{k.Step, k.Rule} {
		h, known := next.Hints(k)
		if !known || math.Abs(h.Cost-8) > 1e-9 || h.Memory != 64<<20 || h.OutputBytes != 1000 {
			t.Errorf("%v: %+v, %v", k, h, known)
		}
	}
}
