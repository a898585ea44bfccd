package draw

import (
	"math/rand/v2"
	"time"

	"github.com/buildnet/buildnet/simulations/setting"
)

// commandStream tells this use of a seed from the others: see openStream.
const commandStream = 0x636f6d6d

// commands has the users of some machines run something beside their builds in each
// eighth seed or so: one after the other, or many at once, on one machine or all.
func (d *drawer) commands() {
	o := &drawer{rng: rand.New(rand.NewPCG(d.s.Seed, commandStream))}
	if !o.one(8) {
		return
	}
	one, bursts, longest := o.one(2), o.one(2), pick(o, 200*time.Millisecond, time.Second, 4*time.Second)
	node, at := d.s.Builds[0].Initiator, time.Duration(0)
	for range 1 + o.rng.IntN(24) {
		if !one {
			node = o.rng.IntN(len(d.s.Nodes))
		}
		if !bursts || o.one(6) {
			at += o.between(0, 600*time.Millisecond)
		}
		c := setting.Command{Node: node, At: at, For: o.between(time.Millisecond, longest)}
		if o.one(8) {
			c.Patience = o.between(time.Millisecond, time.Second)
		}
		d.s.Commands = append(d.s.Commands, c)
		d.s.Limit += c.For
	}
}
