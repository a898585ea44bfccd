package simulations

import (
	"maps"
	"slices"
	"time"

	"github.com/buildnet/buildnet/sched/claim"
	"github.com/buildnet/buildnet/store/digest"
)

// Times of package sched/registry.
const (
	laneBeat = 500 * time.Millisecond
	patience = 2 * time.Second
	coolOff  = 2 * time.Second
)

// heldKey names a claim of a node at another.
type heldKey struct {
	build  *build
	action digest.Digest
}

// lane is one stream of a node to an owner, with the claims on it: see
// sched/registry.
type lane struct {
	from, to *node
	toLife   int
	out, in  *pipe
	visit    *visit // at the owner, once the first question is there
	number   uint64
	owed     map[uint64]func(ok bool)
	claims   int // that are to be renewed
	heard    time.Duration
	renewed  time.Duration
	watched  bool
	broken   bool
}

// visit is the stream at its owner.
type visit struct {
	lane    *lane
	session claim.Session
	over    bool
}

// answering is a question at its owner.
type answering struct {
	visit  *visit
	number uint64
}

// laneTo returns the node's lane to an owner; a broken one, if the owner did
// not answer a moment ago.
func (n *node) laneTo(owner int) *lane {
	w := n.w
	if until, ok := n.cold[owner]; ok {
		if w.clock.now < until {
			return &lane{from: n, to: w.nodes[owner], broken: true}
		}
		delete(n.cold, owner)
	}
	if c := n.lanes[owner]; c != nil && !c.broken {
		return c
	}
	to := w.nodes[owner]
	c := &lane{from: n, to: to, toLife: to.life, owed: map[uint64]func(bool){}}
	c.out = newPipe(n, to, func() { c.end(false) })
	c.in = newPipe(to, n, nil)
	if n.lanes == nil {
		n.lanes = map[int]*lane{}
	}
	n.lanes[owner] = c
	return c
}

// ask has a question done at the owner. ended is called once, at the asker:
// after the answer, or not ok where the lane broke.
func (c *lane) ask(bytes int, do func(*answering), ended func(ok bool)) {
	if c.broken {
		ended(false)
		return
	}
	now := c.from.w.clock.now
	if len(c.owed) == 0 {
		c.heard = now
	}
	if c.number == 0 {
		c.out.shake(c.from.w.net.RTT(c.from.place, c.to.place))
	}
	c.number++
	number := c.number
	c.owed[number] = ended
	c.out.put(bytes, func() {
		if v := c.arrive(); v != nil {
			do(&answering{v, number})
		}
	})
	c.watch()
}

// arrive returns the lane's visit at the owner. A second lane of a node means
// that the first one is broken, and ends it.
func (c *lane) arrive() *visit {
	if c.visit == nil {
		if old := c.to.visits[c.from.place]; old != nil {
			old.end()
		}
		c.to.sessions++
		c.visit = &visit{lane: c, session: c.to.sessions}
		if c.to.visits == nil {
			c.to.visits = map[int]*visit{}
		}
		c.to.visits[c.from.place] = c.visit
	}
	if c.visit.over {
		return nil
	}
	c.to.claims.Renew(c.to.clock(), c.visit.session)
	return c.visit
}

// say answers a question; do is done at the asker before its end.
func (a *answering) say(bytes int, do func()) {
	c := a.visit.lane
	if a.visit.over {
		return
	}
	c.in.put(bytes, func() {
		if c.broken {
			return
		}
		c.heard = c.from.w.clock.now
		if ended, ok := c.owed[a.number]; ok {
			delete(c.owed, a.number)
			do()
			ended(true)
		}
	})
}

// watch looks for signs of life while something is owed, and renews claims.
func (c *lane) watch() {
	if c.watched || c.broken || len(c.owed) == 0 && c.claims == 0 {
		return
	}
	c.watched = true
	c.from.later(laneBeat, func() {
		c.watched = false
		if c.broken {
			return
		}
		now := c.from.w.clock.now
		if c.claims > 0 || len(c.owed) > 0 {
			c.beat(now)
		}
		if len(c.owed) > 0 && now-c.heard >= patience {
			c.end(true)
			return
		}
		c.watch()
	})
}

// beat is an empty frame and the one that comes back, in one: what they say is
// only that both ends live, and when is no matter within a second. A node that
// was dead when a question came has no end, although it may live again.
func (c *lane) beat(now time.Duration) {
	w := c.from.w
	if c.out.closed || !c.to.lives(c.toLife) || c.to.stalled || !w.Connected(c.from.place, c.to.place) {
		return
	}
	if len(c.owed) > 0 || now-c.renewed >= claim.RenewEvery {
		c.renewed, c.heard = now, now
		w.traffic.Messages[c.from.place]++
		w.traffic.MessageBytes[c.from.place] += frameBytes
		if c.visit != nil && !c.visit.over {
			c.to.claims.Renew(c.to.clock(), c.visit.session)
		}
	}
}

// end breaks the lane. One that gave no sign of life is passed over for a
// while.
func (c *lane) end(silent bool) {
	if c.broken {
		return
	}
	n := c.from
	c.broken = true
	c.out.close()
	if silent {
		if n.cold == nil {
			n.cold = map[int]time.Duration{}
		}
		n.cold[c.to.place] = n.w.clock.now + coolOff
	}
	for key, at := range n.held {
		if at == c {
			delete(n.held, key)
		}
	}
	if v := c.visit; v != nil && !v.over {
		newPipe(n, c.to, nil).put(endBytes, v.end)
	}
	owed := c.owed
	c.owed = nil
	for _, number := range slices.Sorted(maps.Keys(owed)) {
		owed[number](false)
	}
}

// end ends the stream at the owner, with the claims on it.
func (v *visit) end() {
	if v.over {
		return
	}
	v.over = true
	to := v.lane.to
	if !to.lives(v.lane.toLife) {
		return
	}
	if to.visits[v.lane.from.place] == v {
		delete(to.visits, v.lane.from.place)
	}
	v.lane.in.close()
	to.change(to.claims.Gone(to.clock(), v.session))
	// The other end hears that its stream was reset.
	newPipe(to, v.lane.from, nil).put(endBytes, func() { v.lane.end(false) })
}

// hold notes where a claim is, so that it is renewed and let go there.
func (c *lane) hold(key heldKey) {
	n := c.from
	before := n.held[key]
	if n.held == nil {
		n.held = map[heldKey]*lane{}
	}
	n.held[key] = c
	if before != c {
		c.claims++
		if before != nil {
			before.claims--
			before.release(key)
		}
	}
	c.watch()
}

// release tells an owner that a claim, or the wait for it, is over.
func (c *lane) release(key heldKey) {
	if c.broken {
		return
	}
	c.out.put(claimBytes, func() {
		if v := c.visit; v != nil && !v.over {
			c.to.releaseHere(key.action, claimantOf(v.session, key.build))
		}
	})
}
