package simulations

import (
	"slices"
	"time"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/trace"
)

// releaseTime is how long what runs on a machine that is wholly claimed goes on
// before it is given back; in the real one it depends on why (node/yield).
const releaseTime = time.Second

// claim leaves a part of a node's slots to builds of others. A stalled node
// hears of it when it goes on.
func (w *World) claim(n *node, part float64) {
	n.later(0, func() {
		n.slots.Lend(int(part * float64(n.spec.Slots)))
		e := n.of(trace.Lent)
		e.Value = int64(n.slots.Lends())
		w.tell(e)
		n.eachForeign(func(p *party) { p.doHand(p.hand.Resize(n.clock(), p.slots())) })
		n.serve()
		if n.slots.Lends() > 0 {
			return
		}
		n.later(releaseTime, func() {
			if n.slots.Lends() == 0 {
				n.eachForeign(func(p *party) { p.doHand(p.hand.Release(n.clock())) })
			}
		})
	})
}

func (n *node) eachForeign(do func(*party)) {
	for _, p := range slices.Clone(n.parties) {
		if p.hand != nil && p.whose() == steal.Theirs {
			do(p)
		}
	}
}

// whose build it is. What was asked for elsewhere is another's, also where the node
// goes on with it.
func (p *party) whose() steal.Whose {
	if p.origin == nil || p.b.forebear != nil {
		return steal.Theirs
	}
	return steal.Ours
}

// slots is how many of the node's the build may have.
func (p *party) slots() int { return p.n.slots.For(p.whose()) }
