package simulations

import (
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/claim"
	"github.com/buildnet/buildnet/simulations/trace"
	"github.com/buildnet/buildnet/simulations/workload"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// maxHolders are told of a result's outputs (sched/registry).
	maxHolders = 16
	// tickEvery is how exactly leases of claims end.
	tickEvery = time.Second
)

// known is a result that is known.
type known struct {
	entry   action.Entry
	holders []peer.ID
}

// request is a claim as it came; answer is called once.
type request struct {
	action digest.Digest
	who    claim.Claimant
	by     *leading
	answer func(reply)
}

// reply is what a claim comes to: a result, the claim, or neither where the
// claimant has gone.
type reply struct {
	granted bool
	found   *known
}

type waiting struct{ request }

// keep puts a result in the node's action cache, with who has its outputs.
func (n *node) keep(e action.Entry, holders []peer.ID) {
	if n.results == nil {
		n.results = map[digest.Digest]*known{}
	}
	k := n.results[e.Action]
	if k == nil {
		n.results[e.Action] = &known{entry: e, holders: merge([]peer.ID{e.Executor}, holders)}
		return
	}
	n.results[e.Action] = &known{entry: e, holders: merge(merge([]peer.ID{e.Executor}, holders), k.holders)}
}

// forgetHolders leaves the results of a node that ended without what it had in
// memory: who has their outputs, besides those who made them.
func (n *node) forgetHolders() {
	for a, k := range n.results {
		n.results[a] = &known{entry: k.entry, holders: []peer.ID{k.entry.Executor}}
	}
}

func merge(ids, more []peer.ID) []peer.ID {
	merged := slices.Clone(ids)
	for _, id := range more {
		if len(merged) < maxHolders && !slices.Contains(merged, id) {
			merged = append(merged, id)
		}
	}
	return merged
}

// request looks for a result, claims, and has it answered later if another
// build has the claim.
func (n *node) request(req request) {
	if k := n.results[req.action]; k != nil {
		req.answer(reply{found: k})
		if n.claims.Claims(req.action, req.who.Build) {
			n.published(k)
		}
		return
	}
	n.tickets++
	switch n.claims.Claim(n.clock(), req.action, req.who, n.tickets) {
	case claim.Waiting:
		if n.waits == nil {
			n.waits = map[claim.Ticket]waiting{}
		}
		n.waits[n.tickets] = waiting{req}
		n.watchClaims()
		if !req.by.over {
			e := req.by.of(trace.Waits)
			e.Peer, e.Digest = n.place, workload.Short(req.action)
			n.w.tell(e)
		}
	default:
		n.watchClaims()
		req.answer(reply{granted: true})
	}
}

// watchClaims ends leases in time while there are claims.
func (n *node) watchClaims() {
	if n.ticking || n.claims.Len() == 0 {
		return
	}
	n.ticking = true
	n.later(tickEvery, func() {
		n.ticking = false
		n.change(n.claims.Tick(n.clock()))
		n.watchClaims()
	})
}

// change answers those for whom the table changed.
func (n *node) change(out claim.Output) {
	granted, dropped := n.waiters(out.Granted), n.waiters(out.Dropped)
	for _, w := range granted {
		w.answer(reply{granted: true})
	}
	for _, w := range dropped {
		w.answer(reply{})
	}
}

func (n *node) waiters(tickets []claim.Ticket) []waiting {
	ws := make([]waiting, 0, len(tickets))
	for _, t := range tickets {
		ws = append(ws, n.waits[t])
		delete(n.waits, t)
	}
	return ws
}

// published keeps a result and answers those who wait for it.
func (n *node) published(k *known) {
	n.keep(k.entry, k.holders)
	for _, w := range n.waiters(n.claims.Publish(k.entry.Action)) {
		w.answer(reply{found: n.results[k.entry.Action]})
	}
}

// releaseHere ends what a claimant has of an action.
func (n *node) releaseHere(a digest.Digest, who claim.Claimant) {
	n.change(n.claims.Release(n.clock(), a, who))
}

// unclaim gives up a claim wherever it is.
func (n *node) unclaim(b *build, a digest.Digest) {
	n.letGo(b, a)
	n.releaseHere(a, claimantOf(claim.Own, b))
}

// letGo ends a claim away, if there is one.
func (n *node) letGo(b *build, a digest.Digest) {
	key := heldKey{b, a}
	if c, ok := n.held[key]; ok {
		delete(n.held, key)
		c.claims--
		c.release(key)
	}
}

// publish keeps the result of an execution and gives it to its owners, which
// ends the claim on its action.
func (n *node) publish(b *build, e action.Entry, holders []int, done func()) {
	k := &known{entry: e}
	for _, h := range holders {
		k.holders = append(k.holders, idOf(h))
	}
	n.published(k)
	left, over := 1, false
	finish := func() {
		if left--; left == 0 && !over {
			over = true
			n.letGo(b, e.Action)
			done()
		}
	}
	if !b.spec.Modes.Local {
		for _, owner := range n.ownersOf(e.Action) {
			if owner == n.place {
				n.tellPublished(b, e.Action)
				continue
			}
			left++
			n.offer(b, owner, k, finish)
		}
		if at := n.held[heldKey{b, e.Action}]; at != nil && !slices.Contains(n.ownersOf(e.Action), at.to.place) {
			left++
			n.offer(b, at.to.place, k, finish) // an owner once, where others wait
		}
		n.record(k, holders)
	}
	if left > 1 {
		n.later(offerTime, func() {
			if !over {
				left = 1
				finish()
			}
		})
	}
	finish()
}

func (n *node) tellPublished(b *build, a digest.Digest) {
	e := b.of(trace.Published, n)
	e.Digest = workload.Short(a)
	n.w.tell(e)
}

// offer gives a result to an owner.
func (n *node) offer(b *build, owner int, k *known, done func()) {
	to := n.w.nodes[owner]
	answered := false
	n.laneTo(owner).ask(doneBytes, func(a *answering) {
		to.published(k)
		to.tellPublished(b, k.entry.Action)
		a.say(frameBytes, func() {})
	}, func(bool) {
		if !answered {
			answered = true
			done()
		}
	})
}

// lookup asks the owners of an action for its result.
func (n *node) lookup(b *build, a digest.Digest, done func(*known)) {
	if k := n.results[a]; k != nil || b.spec.Modes.Local {
		done(k)
		return
	}
	n.ask(a, without(n.ownersOf(a), n.place), lookupTime, done)
}

// ask looks a result up at some owners, all at once, and comes back with the
// first that is known, or nil when none is, or not in time.
func (n *node) ask(a digest.Digest, owners []int, limit time.Duration, done func(*known)) {
	left, over := len(owners), false
	end := func(k *known) {
		if !over {
			over = true
			done(k)
		}
	}
	if left == 0 {
		end(nil)
		return
	}
	for _, owner := range owners {
		to := n.w.nodes[owner]
		var found *known
		n.laneTo(owner).ask(frameBytes, func(an *answering) {
			k := to.results[a]
			an.say(frameBytes, func() { found = k })
		}, func(bool) {
			left--
			if found != nil || left == 0 {
				end(found)
			}
		})
	}
	n.later(limit, func() { end(nil) })
}

func without(places []int, place int) []int {
	return slices.DeleteFunc(slices.Clone(places), func(p int) bool { return p == place })
}

// frameBytes is a small question or answer on the wire.
const frameBytes = 100
