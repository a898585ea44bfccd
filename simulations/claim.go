package simulations

import (
	"slices"
	"time"

	"github.com/buildnet/buildnet/simulations/trace"
)

// releaseTime is how long what runs on a machine that is wholly claimed goes on
// before it is given back; in the real one it depends on why (node/yield).
const releaseTime = time.Second

// claim leaves a part of a node's slots to builds of others. A stalled node
// hears of it when it goes on.
func (w *World) claim(n *node, part float64) {
	n.later(0, func() {
		n.claimed = n.spec.Slots - int(part*float64(n.spec.Slots))
		e := n.of(trace.Lent)
		e.Value = int64(n.lends())
		w.tell(e)
		n.eachForeign(func(p *party) { p.doHand(p.hand.Resize(n.clock(), n.lends())) })
		n.serve()
		if n.lends() > 0 {
			return
		}
		n.later(releaseTime, func() {
			if n.lends() == 0 {
				n.eachForeign(func(p *party) { p.doHand(p.hand.Release(n.clock())) })
			}
		})
	})
}

// lends is how many slots builds of others may have.
func (n *node) lends() int { return n.spec.Slots - n.claimed }

func (n *node) eachForeign(do func(*party)) {
	for _, p := range slices.Clone(n.parties) {
		if p.hand != nil && p.foreign() {
			do(p)
		}
	}
}

// foreign builds were asked for elsewhere, also those that the node goes on with.
func (p *party) foreign() bool { return p.origin == nil || p.b.forebear != nil }

// slots is how many of the node's the build may have.
func (p *party) slots() int {
	if p.foreign() {
		return p.n.lends()
	}
	return p.n.spec.Slots
}

// may reports whether a job may have a slot that is free.
func (j *job) may() bool {
	n := j.p.n
	return !j.p.foreign() || n.claimed == 0 || n.lent < n.lends()
}

// hold takes a slot, or leaves it with -1.
func (j *job) hold(slots int) {
	j.holding = slots > 0
	if j.holding {
		j.lent = j.p.foreign()
	}
	j.p.n.slots += slots
	if j.lent {
		j.p.n.lent += slots
	}
}
