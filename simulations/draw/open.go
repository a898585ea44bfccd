package draw

import (
	"math/rand/v2"
	"time"

	"github.com/buildnet/buildnet/simulations/setting"
)

// openStream tells this use of a seed from the others: what else is drawn is the
// same for builds that are open and for others.
const openStream = 0x6f70656e

// open makes a build of each eighth seed or so one whose steps come over time: as
// the others are settled for which they wait, or whatever those do; in bursts, and
// after pauses in which nothing is left to do. Some are needed no more after a
// while.
func (d *drawer) open() {
	o := &drawer{rng: rand.New(rand.NewPCG(d.s.Seed, openStream))}
	if !o.one(8) {
		return
	}
	b := &d.s.Builds[o.rng.IntN(len(d.s.Builds))]
	b.Modes.KeepGoing = true
	b.Arrivals = setting.Flatten(b.Graph)
	waits, pauses := o.one(2), o.one(2)
	for i := range b.Arrivals {
		a := &b.Arrivals[i]
		if !waits {
			a.After = setting.None
		}
		switch {
		case pauses && o.one(12):
			a.Delay = o.between(time.Second, 4*time.Second)
		case !o.one(3):
			a.Delay = o.between(0, 200*time.Millisecond)
		}
		if o.one(12) {
			a.Dropped = o.between(time.Millisecond, time.Second)
		}
		d.s.Limit += a.Delay
	}
}
