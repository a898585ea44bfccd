package simulations

import (
	"time"

	"github.com/buildnet/buildnet/simulations/membership"
)

const (
	// reconnectEvery is how often members look for those that they lost
	// (mesh/serf.go), reconnects how many of them find one at a time.
	reconnectEvery = 5 * time.Second
	reconnects     = 4
	// joinLeast and joinMost are how long a node takes from its start to the
	// first member that it knew.
	joinLeast, joinMost = 100 * time.Millisecond, 500 * time.Millisecond
	// maxTold members are told by one that leaves.
	maxTold = 3
)

// hear tells a node something about another one, and has it passed on.
func (c *cell) hear(n, about *node, r membership.Rumour) {
	if n == about {
		if own := c.beliefs.Refute(n.member, r); own != membership.Unknown {
			c.spread(n, n, own)
			c.sweep(n, own)
		}
		return
	}
	before := c.beliefs.Of(n.member, about.member)
	if !c.beliefs.Hear(n.member, about.member, r) {
		return
	}
	if before.Good() != r.Good() {
		n.changed(about, r.Good())
	}
	c.spread(n, about, r)
}

// spread has a node pass on what it heard, round by round.
func (c *cell) spread(n, about *node, r membership.Rumour) {
	m := &c.w.setting.Membership
	n.w.traffic.Gossip[n.place] += m.ChangeBytes * float64(c.beliefs.Times())
	left := c.beliefs.Rounds(m)
	if left == 0 || len(c.nodes) < 2 {
		return
	}
	var round func()
	round = func() {
		for range m.Fanout {
			c.tell(n, c.nodes[c.beliefs.Pick(n.member, c.w.chance)], about, r)
		}
		if left--; left > 0 {
			n.later(m.Gossip, round)
		}
	}
	n.later(c.w.between(0, m.Gossip), round)
}

// rumourBytes is one rumour in a packet.
const rumourBytes = 120

// tell sends a rumour to a member: a packet, which may be lost, come twice or
// late. To one that knows already nothing happens.
func (c *cell) tell(n, to, about *node, r membership.Rumour) {
	if !to.alive || to != about && c.beliefs.Of(to.member, about.member) >= r {
		return
	}
	first, second, copies := c.w.net.Packet(c.w.clock.now, n.place, to.place, rumourBytes)
	hear := func() { c.hear(to, about, r) }
	if copies > 0 {
		to.later(first-c.w.clock.now, hear)
	}
	if copies > 1 {
		to.later(second-c.w.clock.now, hear)
	}
}

// appear is a node that has come, or come back: it knows nobody, and joins at
// a member that it can reach.
func (n *node) appear() {
	c := n.cell
	own := c.beliefs.Return(n.member)
	n.review()
	if len(c.nodes) > 1 {
		n.later(n.w.between(joinLeast, joinMost), func() { n.join(own) })
	}
}

func (n *node) join(own membership.Rumour) {
	c := n.cell
	contact := c.someone(func(m *node) bool {
		return m != n && m.alive && !m.stalled && !c.beliefs.Blank(m.member) && n.w.Connected(n.place, m.place)
	})
	if contact == nil {
		n.later(reconnectEvery, func() { n.join(own) })
		return
	}
	// What it learns at once is not told member by member.
	c.beliefs.Meet(n.member, contact.member)
	n.review()
	n.meet()
	c.hear(contact, n, own)
	c.spread(n, n, own)
	c.sweep(n, own)
}

// someone draws a node of the cell for which something holds, or returns nil.
func (c *cell) someone(fit func(*node) bool) *node {
	var found *node
	fits := 0
	for _, m := range c.nodes {
		if fit(m) {
			if fits++; c.w.chance.IntN(fits) == 0 {
				found = m
			}
		}
	}
	return found
}

// vanish is a node that can be reached no more: others declare it dead after a
// while. One that left told some of them.
func (n *node) vanish(left bool) {
	c := n.cell
	if !left {
		c.doubt(n)
		return
	}
	r := membership.Dead(c.beliefs.Of(n.member, n.member).Incarnation())
	for range maxTold {
		to := c.someone(func(m *node) bool { return m.alive && n.w.Connected(n.place, m.place) })
		if to == nil {
			return
		}
		to.later(n.w.net.RTT(n.place, to.place), func() { c.hear(to, n, r) })
	}
}

// doubt has a node declared dead, after a while, by every part of its cell
// that cannot reach it.
func (c *cell) doubt(n *node) {
	seen := map[uint64]bool{}
	for _, m := range c.nodes {
		if part := c.w.net.Part(m.place); m != n && m.alive && !seen[part] {
			seen[part] = true
			if n.silentTo(m) {
				c.doubtIn(n, part)
			}
		}
	}
}

// silentTo reports whether another node cannot get an answer of this one.
func (n *node) silentTo(m *node) bool {
	return !n.alive || n.stalled || !n.w.Connected(n.place, m.place)
}

func (c *cell) doubtIn(n *node, part uint64) {
	m := &c.w.setting.Membership
	c.w.after(c.w.between(m.DetectLeast, m.DetectMost), func() {
		by := c.someone(func(o *node) bool {
			return o != n && o.alive && !o.stalled && c.w.net.Part(o.place) == part && n.silentTo(o)
		})
		if by == nil {
			return
		}
		if r := c.beliefs.Of(by.member, n.member); r.Good() {
			c.hear(by, n, membership.Dead(r.Incarnation()))
			c.sweep(n, membership.Dead(r.Incarnation()))
		}
	})
}

// sweep tells those who missed a rumour, which the exchange of full states
// does in time.
func (c *cell) sweep(about *node, r membership.Rumour) {
	every := membership.Exchange(&c.w.setting.Membership, len(c.nodes))
	c.w.after(c.w.between(0, time.Duration(every*float64(time.Second))), func() {
		for _, n := range c.nodes {
			if n.alive && n != about && c.beliefs.Of(n.member, about.member) < r && !c.beliefs.Blank(n.member) &&
				c.someone(func(m *node) bool {
					return m.alive && c.w.Connected(m.place, n.place) && c.beliefs.Of(m.member, about.member) >= r
				}) != nil {
				c.hear(n, about, r)
			}
		}
	})
}

// divided has the two sides of a split lose sight of one another.
func (w *World) divided() {
	for _, c := range w.cells {
		var sides []*node
		seen := map[uint64]bool{}
		for _, n := range c.nodes {
			if part := w.net.Part(n.place); n.alive && !seen[part] {
				seen[part] = true
				sides = append(sides, n)
			}
		}
		if len(sides) < 2 {
			continue
		}
		for _, n := range c.nodes {
			for _, m := range sides {
				if n.alive && n != m && n.silentTo(m) {
					c.doubtIn(n, w.net.Part(m.place))
				}
			}
		}
	}
}

// mend has those find one another again that lost sight.
func (c *cell) mend() {
	if c.mending {
		return
	}
	c.mending = true
	c.w.after(c.w.between(0, reconnectEvery), c.mendSome)
}

func (c *cell) mendSome() {
	c.mending = false
	found := false
	for range reconnects {
		a, b := c.strangers()
		if a == nil {
			break
		}
		found = true
		c.exchange(a, b)
	}
	if found {
		c.mending = true
		c.w.after(reconnectEvery, c.mendSome)
	}
}

// strangers draws two nodes that can reach each other, of which one believes
// that the other is dead.
func (c *cell) strangers() (a, b *node) {
	pairs := 0
	for _, about := range c.beliefs.Subjects() {
		y := c.nodes[about]
		if !y.alive || y.stalled {
			continue
		}
		for _, x := range c.nodes {
			if x == y || !x.alive || x.stalled || c.beliefs.Believes(x.member, about) || !c.w.Connected(x.place, y.place) {
				continue
			}
			if pairs++; c.w.chance.IntN(pairs) == 0 {
				a, b = x, y
			}
		}
	}
	return a, b
}

// exchange is a push and pull of full states: the good news is believed, of
// the bad the one whom it concerns hears, and refutes it if it lives.
func (c *cell) exchange(a, b *node) {
	gossip := c.w.setting.Membership.Gossip
	pass := func(to, about *node, r membership.Rumour) {
		switch {
		case r == membership.Unknown:
		case r.Good() || about.silentTo(to):
			to.later(gossip, func() { c.hear(to, about, r) })
		default:
			about.later(2*gossip, func() { c.hear(about, about, r) })
		}
	}
	c.beliefs.Differ(a.member, b.member, func(about int, ofA, ofB membership.Rumour) {
		switch who := c.nodes[about]; {
		case who == a && ofB > ofA || who == b && ofA > ofB:
			// It hears what the other one believed of it.
			pass(who, who, max(ofA, ofB))
		case ofA > ofB:
			pass(b, who, ofA)
		default:
			pass(a, who, ofB)
		}
	})
}

// account adds up what the node's membership sent in this life.
func (n *node) account() {
	since := max(n.up, 0)
	seconds := (n.w.clock.now - since).Seconds()
	n.w.traffic.Gossip[n.place] += seconds * membership.Bytes(&n.w.setting.Membership, len(n.cell.nodes))
}

// account adds up what is left at the end.
func (w *World) account() {
	for _, n := range w.nodes {
		if n.alive {
			n.account()
		}
	}
}
