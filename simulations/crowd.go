package simulations

import (
	"time"

	"github.com/buildnet/buildnet/dht/swarm"
	"github.com/buildnet/buildnet/mesh/peer"
)

// What a swarm is bounded by (dht/crowd.go).
const (
	window     = 16
	perHolder  = 2
	firstHedge = 500 * time.Millisecond
)

// crowd drives the swarm machine of one blob: see dht's.
type crowd struct {
	s       *search
	machine *swarm.Machine
	asking  map[swarm.Ask]int // numbers of asks
	number  int
	arrived []bool
	stored  int
	wake    time.Duration
	over    bool
}

// swarm brings the blob from several holders by chunks.
func (s *search) swarm(holders []int) {
	chunks := int((s.blob.size() + chunkBytes - 1) / chunkBytes)
	c := &crowd{
		s: s, asking: map[swarm.Ask]int{}, arrived: make([]bool, chunks),
		machine: swarm.New(swarm.Options{Chunks: chunks, Window: window, PerHolder: perHolder, FirstHedge: firstHedge}),
	}
	c.do(c.machine.Join(s.n.clock(), idsOf(holders)...))
}

func idsOf(places []int) []peer.ID {
	ids := make([]peer.ID, len(places))
	for i, place := range places {
		ids[i] = idOf(place)
	}
	return ids
}

// key names an ask whether it is a hedge or not.
func key(a swarm.Ask) swarm.Ask { return swarm.Ask{Peer: a.Peer, Chunk: a.Chunk} }

func (c *crowd) do(out swarm.Output) {
	if c.over {
		return
	}
	for _, a := range out.Cancels {
		delete(c.asking, key(a))
	}
	asks := append([]swarm.Ask(nil), out.Asks...)
	wake := out.Wake
	for _, a := range asks {
		c.ask(a)
	}
	switch c.machine.State() {
	case swarm.Done:
		c.over = true
		c.s.end(true)
	case swarm.Starved:
		c.s.more(func(found []int) {
			if len(found) == 0 {
				c.over = true
				c.s.end(false)
				return
			}
			c.do(c.machine.Join(c.s.n.clock(), idsOf(found)...))
		})
	default:
		c.sleep(wake)
	}
}

// sleep has the machine ticked when it wants to be.
func (c *crowd) sleep(until time.Time) {
	if until.IsZero() {
		return
	}
	n := c.s.n
	at := n.w.clock.now + until.Sub(n.clock())
	if c.wake > n.w.clock.now && c.wake <= at {
		return
	}
	c.wake = at
	n.later(at-n.w.clock.now, func() {
		if !c.over && c.wake == at {
			c.wake = 0
			c.do(c.machine.Tick(n.clock()))
		}
	})
}

// ask gets one chunk.
func (c *crowd) ask(a swarm.Ask) {
	c.number++
	number := c.number
	c.asking[key(a)] = number
	bytes := min(chunkBytes, c.s.blob.size()-int64(a.Chunk)*chunkBytes)
	c.s.read(placeOf(a.Peer), bytes, func(ok bool) {
		if c.over || c.asking[key(a)] != number {
			return
		}
		delete(c.asking, key(a))
		outcome := swarm.Failed
		if ok {
			outcome = swarm.Arrived
			c.arrived[a.Chunk] = true
		}
		c.do(c.machine.Report(c.s.n.clock(), a, outcome))
		c.store()
	})
}

// store takes the chunks that have come in order.
func (c *crowd) store() {
	before := c.stored
	for c.stored < len(c.arrived) && c.arrived[c.stored] {
		c.stored++
	}
	if c.stored > before && !c.over {
		c.do(c.machine.Consumed(c.s.n.clock(), c.stored))
	}
}
