package registry

import (
	"context"
	"sync"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/claim"
	"github.com/buildnet/buildnet/store/digest"
)

// request is a claim as it came.
type request struct {
	action    digest.Digest
	who       claim.Claimant
	initiator peer.ID
}

// reply is what a claim comes to: a result, the claim, or neither where the
// claimant has gone.
type reply struct {
	verdict verdict
	found   Found
}

// waiting is a claim that is answered later, once, by a call that must not
// block.
type waiting struct {
	req    request
	answer func(reply)
}

// here is the table of claims that this node keeps, for itself and for peers.
type here struct {
	known func(context.Context, digest.Digest, peer.ID) (Found, bool)
	// claimed holds one token when there may be leases that can end.
	claimed chan struct{}

	mu       sync.Mutex
	table    *claim.Table
	tickets  claim.Ticket
	sessions claim.Session
	waits    map[claim.Ticket]waiting
	news     uint64 // results that were published
}

func newHere(known func(context.Context, digest.Digest, peer.ID) (Found, bool)) *here {
	return &here{known: known, claimed: make(chan struct{}, 1), table: claim.NewTable(), waits: map[claim.Ticket]waiting{}}
}

// run ends leases in time. Where there are none it sleeps.
func (h *here) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.claimed:
		}
		tick := time.NewTimer(tickEvery)
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
			h.change(func(table *claim.Table) claim.Output { return table.Tick(time.Now()) })
			h.watch()
		}
	}
}

// watch keeps run going while there are claims.
func (h *here) watch() {
	h.mu.Lock()
	n := h.table.Len()
	h.mu.Unlock()
	if n == 0 {
		return
	}
	select {
	case h.claimed <- struct{}{}:
	default:
	}
}

// change does something to the table and answers those for whom it changed.
func (h *here) change(f func(*claim.Table) claim.Output) {
	h.mu.Lock()
	out := f(h.table)
	granted, dropped := h.take(out.Granted), h.take(out.Dropped)
	h.mu.Unlock()
	for _, w := range granted {
		w.answer(reply{verdict: verdictGranted})
	}
	for _, w := range dropped {
		w.answer(reply{verdict: verdictRefused})
	}
}

// take removes waits; h.mu is held.
func (h *here) take(tickets []claim.Ticket) []waiting {
	ws := make([]waiting, 0, len(tickets))
	for _, t := range tickets {
		ws = append(ws, h.waits[t])
		delete(h.waits, t)
	}
	return ws
}

// claim is the own node's. A claim by the same build waits for none.
func (h *here) claim(ctx context.Context, s Scope, a digest.Digest) (Found, bool, error) {
	who := s.claimant()
	answered := make(chan reply, 1)
	h.request(ctx, request{a, who, s.Initiator}, func(r reply) { answered <- r })
	select {
	case r := <-answered:
		if r.verdict == verdictRefused {
			return Found{}, false, context.Canceled // another call released it
		}
		return r.found, r.verdict == verdictFound, nil
	case <-ctx.Done():
		h.release(a, who)
		return Found{}, false, ctx.Err()
	}
}

// request looks for a result, claims, and looks again if one was published
// meanwhile; one that comes later wakes those who wait.
func (h *here) request(ctx context.Context, req request, answer func(reply)) {
	h.mu.Lock()
	news := h.news
	h.mu.Unlock()
	if f, ok := h.known(ctx, req.action, req.initiator); ok {
		answer(reply{verdictFound, f})
		h.settle(ctx, req)
		return
	}
	h.mu.Lock()
	h.tickets++
	ticket := h.tickets
	v := h.table.Claim(time.Now(), req.action, req.who, ticket)
	if v == claim.Waiting {
		h.waits[ticket] = waiting{req, answer}
	}
	again := h.news != news
	h.mu.Unlock()
	h.watch()
	if v == claim.Waiting {
		return
	}
	var f Found
	ok := false
	if again {
		f, ok = h.known(ctx, req.action, req.initiator)
	}
	if !ok {
		answer(reply{verdict: verdictGranted})
		return
	}
	answer(reply{verdictFound, f})
	if v == claim.Granted {
		h.yield(ctx, req)
	}
}

// settle ends a claim that the build has from an earlier try, when the result
// came by another way than being published: this node made it for somebody. A
// member that asks in the name of another's build ends that one's claim, which
// is of no use any more either.
func (h *here) settle(ctx context.Context, req request) {
	h.mu.Lock()
	claims := h.table.Claims(req.action, req.who.Build)
	h.mu.Unlock()
	if claims {
		h.yield(context.WithoutCancel(ctx), req) // others wait
	}
}

// yield ends a claim that was not needed. Those who waited for it look for
// themselves: not everybody may use every result.
func (h *here) yield(ctx context.Context, req request) {
	h.mu.Lock()
	again := h.take(h.table.Publish(req.action))
	h.mu.Unlock()
	for _, w := range again {
		h.request(ctx, w.req, w.answer)
	}
}

// publish answers those who wait for a result and may use it.
func (h *here) publish(ctx context.Context, f *Found, may func(*action.Entry, peer.ID) bool) {
	h.mu.Lock()
	h.news++
	waits := h.take(h.table.Publish(f.Entry.Action))
	h.mu.Unlock()
	for _, w := range waits {
		if may(&f.Entry, w.req.initiator) {
			w.answer(reply{verdictFound, *f})
			continue
		}
		h.request(ctx, w.req, w.answer)
	}
}

func (h *here) release(a digest.Digest, who claim.Claimant) {
	h.change(func(t *claim.Table) claim.Output { return t.Release(time.Now(), a, who) })
}

// open begins a session of a peer.
func (h *here) open() claim.Session {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sessions++
	return h.sessions
}

func (h *here) renew(id claim.Session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.table.Renew(time.Now(), id)
}

func (h *here) end(id claim.Session) {
	h.change(func(t *claim.Table) claim.Output { return t.Gone(time.Now(), id) })
}

// hints remember who has the outputs of results.
type hints struct {
	mu      sync.Mutex
	holders map[digest.Digest][]peer.ID
}

func newHints() *hints { return &hints{holders: map[digest.Digest][]peer.ID{}} }

func (h *hints) add(a digest.Digest, ids []peer.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.holders[a]; !ok && len(h.holders) >= maxHints {
		for other := range h.holders { // any: they are hints
			delete(h.holders, other)
			break
		}
	}
	h.holders[a] = merge(ids, h.holders[a])
}

// of returns who is said to have the outputs, the executor first.
func (h *hints) of(e *action.Entry) []peer.ID {
	h.mu.Lock()
	defer h.mu.Unlock()
	return merge([]peer.ID{e.Executor}, h.holders[e.Action])
}
