package simulations

import (
	"context"
	"time"

	"github.com/buildnet/buildnet/simulations/setting"
)

// together is for how long one of several worlds goes on before the next.
const together = time.Millisecond

// RunTogether runs settings to their ends in worlds that know nothing of one
// another, a millisecond of each after the other. It is to tell what a large
// mesh costs by its size alone, in a memory that no cache holds, from what its
// size makes of the work.
func RunTogether(ctx context.Context, settings []*setting.Setting, options func(*setting.Setting) Options) ([]*Outcome, error) {
	worlds := make([]*World, len(settings))
	for i, s := range settings {
		w, err := New(s, options(s))
		if err != nil {
			return nil, err
		}
		worlds[i] = w
	}
	outcomes := make([]*Outcome, len(worlds))
	for end, open := together, len(worlds); open > 0 && ctx.Err() == nil; end += together {
		for i, w := range worlds {
			for outcomes[i] == nil && !w.done() && w.clock.first() < end {
				w.Step()
			}
			if outcomes[i] == nil && w.done() {
				w.settle()
				outcomes[i] = w.outcome(false)
				open--
			}
		}
	}
	for i, w := range worlds {
		if outcomes[i] == nil {
			outcomes[i] = w.outcome(true)
		}
	}
	return outcomes, nil
}
