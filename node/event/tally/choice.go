package tally

import (
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/sched/steal"
)

// NotWorthIt is why a step ran here that would have come later from another machine.
const NotWorthIt = "to send them did not pay"

// Choice is a choice as it is told; nil if there was none.
func Choice(c *steal.Choice) *event.Choice {
	if c == nil {
		return nil
	}
	return &event.Choice{
		Why: c.Why.String(), Peer: string(c.Peer), HereMS: c.Here.Milliseconds(), ThereMS: c.There.Milliseconds(),
		ByMS: c.By.Milliseconds(), CameMS: c.Came.Milliseconds(), RegretMS: c.Regret.Milliseconds(),
	}
}
