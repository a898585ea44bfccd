package simulations

import (
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/claim"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/trace"
	"github.com/buildnet/buildnet/simulations/workload"
	"github.com/buildnet/buildnet/store/digest"
)

// asking is one call of Registry.Claim: at home, then at the owners.
type asking struct {
	n      *node
	l      *leading
	action digest.Digest
	step   steal.Step
	over   bool
	end    func(f *known, ok bool)
	// withdrawn answers in place of end, where it is ended before.
	withdrawn func()
	// start is when the execution may begin; begin tells that, before the end.
	start claim.Start
	begin func()

	away   bool  // the own claim is granted
	at     *lane // where it waits to be answered
	owners []int // that are not asked yet
	// looked says that the other owners have answered, claimed that one has
	// given the claim or its result, or none did.
	looked, claimed bool
	found           *known
}

// claim returns a result, or claims the execution, waiting while another build
// has it. end is called once, maybe at once: with the result, or with nil for a
// claim, or not ok if it was released meanwhile. begin is called before if the
// execution may begin before all is answered.
func (n *node) claim(l *leading, a digest.Digest, patience time.Duration, begin func(), end func(f *known, ok bool)) *asking {
	c := &asking{n: n, l: l, action: a, begin: begin, end: end, start: n.startOf(a, patience)}
	n.request(request{action: a, who: claimantOf(claim.Own, l.b), by: l, answer: func(r reply) {
		switch {
		case c.over:
		case r.found != nil:
			n.letGo(l.b, a)
			c.finish(r.found, true)
		case !r.granted:
			c.finish(nil, false)
		default:
			c.goAway()
		}
	}})
	return c
}

func (c *asking) finish(f *known, ok bool) {
	if !c.over {
		c.over = true
		c.end(f, ok)
	}
}

// goAway claims at the first owner that answers, while it asks the others for
// the result.
func (c *asking) goAway() {
	n := c.n
	c.away = true
	if c.l.b.spec.Modes.Local {
		c.finish(nil, true)
		return
	}
	owners := n.ownersOf(c.action)
	if len(owners) == 0 || len(owners) == 1 && owners[0] == n.place {
		c.elsewhere(n.place)
		return
	}
	c.owners = owners
	if c.start == claim.AtOnce {
		c.goAhead()
	}
	n.ask(c.action, without(owners[1:], n.place), secondTime, func(k *known) {
		c.looked = true
		if k != nil && !c.over {
			c.drop()
			c.take(k)
			return
		}
		c.settle()
	})
	c.next()
}

// next claims at the next owner. The own claim is the claim where it is this
// node's turn.
func (c *asking) next() {
	if c.over {
		return
	}
	if len(c.owners) == 0 {
		c.gotClaim()
		return
	}
	owner := c.owners[0]
	c.owners = c.owners[1:]
	if owner == c.n.place {
		c.tell(owner)
		c.gotClaim()
		return
	}
	c.askAt(owner)
}

// gotClaim goes on when the claim is had, or nobody keeps one.
func (c *asking) gotClaim() {
	c.claimed = true
	if c.start == claim.Claimed {
		c.begin()
	}
	c.settle()
}

// goAhead begins beside the claim.
func (c *asking) goAhead() {
	e := c.l.of(trace.Ahead)
	e.Peer, e.Digest = c.owners[0], workload.Short(c.action)
	c.n.w.tell(e)
	c.begin()
}

func (c *asking) askAt(owner int) {
	n, to := c.n, c.n.w.nodes[owner]
	key := heldKey{c.l.b, c.action}
	lane := n.laneTo(owner)
	c.at = lane
	var got *reply
	lane.ask(claimBytes, func(a *answering) {
		to.request(request{action: c.action, who: claimantOf(a.visit.session, c.l.b), by: c.l, answer: func(r reply) {
			a.say(frameBytes, func() { got = &r })
		}})
	}, func(ok bool) {
		if c.over {
			return
		}
		c.at = nil
		switch {
		case got == nil || !ok:
			c.next()
		case got.found != nil:
			c.claimed, c.found = true, got.found
			c.settle()
		case got.granted:
			lane.hold(key)
			c.tell(owner)
			c.gotClaim()
		default:
			c.next()
		}
	})
}

// claimBytes is a claim on the wire.
const claimBytes = 180

func (c *asking) tell(owner int) {
	e := c.l.of(trace.Claimed)
	e.Peer, e.Digest = owner, workload.Short(c.action)
	c.n.w.tell(e)
}

// settle goes on when all that was asked has been answered.
func (c *asking) settle() {
	switch {
	case c.over || !c.looked || !c.claimed:
	case c.found != nil:
		c.take(c.found)
	default:
		c.elsewhere(c.n.place)
	}
}

// take ends the own claim on what turned out to be known, for the sake of
// those who wait here.
func (c *asking) take(k *known) {
	c.n.letGo(c.l.b, c.action)
	c.n.published(k)
	c.finish(k, true)
}

// elsewhere looks, where there is more than one cell, for a result that another
// one made.
func (c *asking) elsewhere(int) {
	c.n.foreign(c.action, func(k *known) {
		switch {
		case c.over:
		case k != nil:
			c.take(k)
		default:
			c.finish(nil, true)
		}
	})
}

// drop gives up what is asked for, or had, at an owner.
func (c *asking) drop() {
	if c.at != nil {
		c.at.release(heldKey{c.l.b, c.action})
		c.at = nil
	}
	c.n.letGo(c.l.b, c.action)
}

// made ends the wait for an action that was executed ahead of it. The result ends
// the claim wherever it is.
func (c *asking) made() {
	c.over = true
	if c.at != nil {
		c.at.hold(heldKey{c.l.b, c.action})
		c.at = nil
	}
}

// startOf is when an execution may begin.
func (n *node) startOf(a digest.Digest, patience time.Duration) claim.Start {
	if patience <= 0 {
		return claim.Answered
	}
	v := claim.View{
		Self: n.id, Members: n.members,
		RTT: func(id peer.ID) time.Duration { return n.w.net.RTT(n.place, placeOf(id)) },
	}
	places := n.ownersOf(a)
	owners := make([]peer.ID, len(places))
	for i, place := range places {
		owners[i] = idOf(place)
	}
	return v.Start(owners, patience)
}

// cancel ends the wait.
func (c *asking) cancel() {
	if c.over {
		return
	}
	c.over = true
	c.drop()
	c.n.releaseHere(c.action, claimantOf(claim.Own, c.l.b))
}
