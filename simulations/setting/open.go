package setting

import (
	"fmt"
	"time"

	"github.com/buildnet/buildnet/simulations/workload"
)

// Arrival is how a step comes to an open build: when the one before it has come,
// and step After is settled, and Delay has passed since.
type Arrival struct {
	After int // None if it waits for nothing but its time
	Delay time.Duration
	// Dropped is how long after it has come nobody needs it any more; 0 is never.
	Dropped time.Duration
}

// None stands where an Arrival waits for no step.
const None = -1

// Flatten has the steps of a graph come over time, as somebody adds them who knows
// the whole: each after the last of those that it depends on, and with the rank
// that it has by what is believed of their costs. What they read of one another is
// part of their sources from there on.
func Flatten(g *workload.Graph) []Arrival {
	ranks := make([]float64, len(g.Steps))
	arrivals := make([]Arrival, len(g.Steps))
	for i := len(g.Steps) - 1; i >= 0; i-- {
		s := &g.Steps[i]
		arrivals[i].After = None
		for _, on := range s.Deps {
			ranks[on] = max(ranks[on], ranks[i]+s.Hint)
			arrivals[i].After = max(arrivals[i].After, on)
		}
		s.Deps, s.Rank = nil, ranks[i]
	}
	return arrivals
}

func (b *Build) validateArrivals() error {
	if b.Arrivals == nil {
		return nil
	}
	if len(b.Arrivals) != len(b.Graph.Steps) {
		return fmt.Errorf("%d of its %d steps arrive", len(b.Arrivals), len(b.Graph.Steps))
	}
	for i, a := range b.Arrivals {
		if a.After < None || a.After >= i || a.Delay < 0 || a.Dropped < 0 {
			return fmt.Errorf("step %d comes after step %d, by %v, and is dropped after %v", i, a.After, a.Delay, a.Dropped)
		}
		if len(b.Graph.Steps[i].Deps) > 0 {
			return fmt.Errorf("step %d depends on another; those of an open build are flat", i)
		}
	}
	return nil
}
