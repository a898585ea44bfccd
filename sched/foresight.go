package sched

import (
	"context"
	"sync"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// maxAhead directories are brought for steps that are not looked at yet, when
	// one of another is wanted that is not here.
	maxAhead = 64
	// maxAheadBytes of them: on a slow line, no more than a question costs.
	maxAheadBytes = 16 << 10
)

// ahead is what the steps of a plan read and their leader has to bring. Ready
// steps are looked at in about the order of the plan, each with a question of
// its own for the root of its sources; so what comes next is asked for with it.
type ahead struct {
	steps []action.Step
	gang  *gang

	mu    sync.Mutex
	asked map[digest.Digest]struct{} // roots; steps that read the same have one
}

func newAhead(steps []action.Step, g *gang) *ahead {
	return &ahead{steps: steps, gang: g, asked: map[digest.Digest]struct{}{}}
}

// after are the roots of the steps from s on that nobody has asked for; s itself
// is asked for by whoever wants it. Steps that were added have nobody behind them.
func (a *ahead) after(s steal.Step) []digest.Digest {
	a.mu.Lock()
	defer a.mu.Unlock()
	if int(s) >= len(a.steps) || !a.ask(a.steps[s].Inputs) {
		return nil
	}
	var ds []digest.Digest
	left := maxAheadBytes - a.steps[s].Inputs.Size()
	for i := int(s) + 1; i < len(a.steps) && len(ds) < maxAhead; i++ {
		d := a.steps[i].Inputs
		if _, asked := a.asked[d]; asked || d.IsZero() {
			continue
		}
		if left -= d.Size(); left < 0 {
			break
		}
		a.ask(d)
		ds = append(ds, d)
	}
	return ds
}

// ask notes that a root is asked for, and reports whether it was not before; a.mu is
// held.
func (a *ahead) ask(d digest.Digest) bool {
	_, asked := a.asked[d]
	a.asked[d] = struct{}{}
	return !asked
}

// bringAhead brings what the steps behind this one read, beside what it reads
// itself. What fails is asked for again when it is wanted.
func (h heldBy) bringAhead(ctx context.Context) {
	if h.ahead == nil || h.step < 0 {
		return
	}
	if ds := h.ahead.after(h.step); len(ds) > 0 {
		h.ahead.gang.Go(func() { _ = h.s.opts.Fetch(ctx, ds, h.holders) })
	}
}
