package simulations

import (
	"slices"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/trace"
)

// command has what is run outside of builds ask for its slots in time.
func (w *World) command() {
	for i := range w.setting.Commands {
		c := &w.setting.Commands[i]
		w.at(c.At, func() {
			if n := w.nodes[c.Node]; n.alive {
				n.later(0, func() { n.command(i) })
			}
		})
	}
}

// command runs command i of the setting, in a slot of the node.
func (n *node) command(i int) {
	c, waits := &n.w.setting.Commands[i], true
	tell := func(k trace.Kind) {
		e := n.of(k)
		e.Value = int64(i)
		n.w.tell(e)
	}
	turn := &steal.Turn{Whose: steal.Local}
	leave := func() {
		tell(trace.CommandEnded)
		n.slots.Leave(turn)
		n.serve()
		n.refit()
	}
	turn.Begin = func() {
		waits = false
		tell(trace.CommandBegan)
		n.host.change(steal.Ours, 1)
		n.later(c.For, func() {
			n.host.change(steal.Ours, -1)
			leave()
		})
	}
	tell(trace.CommandCame)
	n.slots.Ask(turn)
	n.serve()
	n.refit()
	if c.Patience > 0 {
		n.later(c.Patience, func() {
			if waits {
				leave()
			}
		})
	}
}

// refit has each build know the slots that commands leave it.
func (n *node) refit() {
	for _, p := range slices.Clone(n.parties) {
		if p.hand != nil {
			p.doHand(p.hand.Resize(n.clock(), p.slots()))
		}
	}
}
