package simulations

import (
	"slices"
	"time"

	"github.com/buildnet/buildnet/sched/steal"
)

// drainTime bounds how long a node that goes waits for the actions in its
// hands (node/run.go).
const drainTime = 10 * time.Second

// leave ends a node that says so: it takes no more work and gives back what it
// has not begun, finishes what it has, ends its streams in order, and tells
// the members.
func (n *node) leave() {
	if n.draining {
		return
	}
	n.draining = true
	for _, p := range slices.Clone(n.parties) {
		if p.hand != nil {
			p.doHand(p.hand.Drain(n.clock()))
		}
	}
	n.drained(n.w.clock.now + drainTime)
}

// drained goes on with leaving when nothing is in the node's hands, or when
// that takes too long.
func (n *node) drained(limit time.Duration) {
	busy := slices.ContainsFunc(n.parties, func(p *party) bool { return p.hand != nil && !p.hand.Idle() })
	if busy && n.w.clock.now < limit {
		n.later(steal.BeatEvery, func() { n.drained(limit) })
		return
	}
	for _, p := range n.parties {
		for _, st := range p.links {
			st.finishUp()
		}
	}
	for _, l := range n.leads {
		for _, place := range sortedKeys(l.links) {
			l.links[place].finishDown()
		}
	}
	n.stop("left")
}
