package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/claim"
	"github.com/buildnet/buildnet/sched/schedpb"
	"github.com/buildnet/buildnet/store/digest"
)

// heldKey names a claim of this node at another.
type heldKey struct {
	build  claim.Build
	action digest.Digest
}

// ask looks a result up at some owners, all at once, and returns the first
// that is good.
func (r *Registry) ask(ctx context.Context, s Scope, a digest.Digest, from []peer.ID) (Found, bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		found Found
		ok    bool
	}
	answers := make(chan answer, len(from))
	for _, id := range from {
		go func() {
			f, err := r.askOne(ctx, s, a, id)
			answers <- answer{f, err == nil}
		}()
	}
	for range from {
		if got := <-answers; got.ok {
			return got.found, true
		}
	}
	return Found{}, false
}

var errAbsent = errors.New("it knows no result")

func (r *Registry) askOne(ctx context.Context, s Scope, a digest.Digest, id peer.ID) (Found, error) {
	got, err := r.lanes.call(ctx, id, &schedpb.Question{Body: &schedpb.Question_Lookup{Lookup: &schedpb.Lookup{
		Action: a.Binary(), Initiator: string(s.Initiator),
	}}}, atOnce)
	if err != nil {
		return Found{}, err
	}
	if got.GetVerdict() != uint32(verdictFound) {
		return Found{}, errAbsent
	}
	return r.accept(s, a, id, got)
}

// accept checks a result that a peer gave.
func (r *Registry) accept(s Scope, a digest.Digest, from peer.ID, got *schedpb.Answer) (Found, error) {
	f, err := foundOf(got.GetEntry(), got.GetHolders())
	switch {
	case err != nil:
	case f.Entry.Action != a:
		err = fmt.Errorf("%w: asked for %v, got the result of %v", errMalformed, a, f.Entry.Action)
	case !r.serves(&f.Entry, s.Initiator):
		return Found{}, errAbsent
	}
	if err != nil {
		r.accuse(from, err)
		return Found{}, err
	}
	return f, nil
}

// accuse tells whoever runs this node about a peer's bad results.
func (r *Registry) accuse(from peer.ID, err error) {
	if r.blame.due(from, time.Now()) {
		r.opts.Log.Warn("peer gave a bad result; it is ignored", "peer", from, "error", err)
	}
}

// claimAway claims at the first owner that answers, while it asks the others
// for the result: the first one may have come only now.
func (r *Registry) claimAway(ctx context.Context, s Scope, a digest.Digest) (Found, bool, error) {
	if s.Reach == Alone {
		return Found{}, false, nil
	}
	ids := r.opts.Owners(a, owners)
	if len(ids) == 0 || len(ids) == 1 && ids[0] == r.opts.Self {
		return Found{}, false, nil
	}
	racing, cancel := context.WithCancel(ctx)
	defer cancel()
	claimed := make(chan Found, 1)
	go func() { claimed <- r.claimAt(racing, s, a, ids) }()
	looking, stop := context.WithTimeout(racing, secondTime)
	defer stop()
	f, ok := r.ask(looking, s, a, without(ids, ids[0], r.opts.Self))
	if ok {
		cancel()
		<-claimed
		return f, true, nil
	}
	f = <-claimed
	return f, !f.Entry.Action.IsZero(), ctx.Err()
}

// claimAt goes through the owners until one answers. It returns a zero Found
// if the build is to execute.
func (r *Registry) claimAt(ctx context.Context, s Scope, a digest.Digest, ids []peer.ID) Found {
	for _, id := range ids {
		if id == r.opts.Self || ctx.Err() != nil {
			return Found{} // the own claim is the claim
		}
		f, err := r.claimOne(ctx, s, a, id)
		if err == nil {
			return f
		}
		r.opts.Log.Debug("no claim at an owner", "peer", id, "action", a, "error", err)
	}
	return Found{}
}

func (r *Registry) claimOne(ctx context.Context, s Scope, a digest.Digest, id peer.ID) (Found, error) {
	c, err := r.lanes.to(id)
	if err != nil {
		return Found{}, err
	}
	key := heldKey{s.Build, a}
	got, err := c.call(ctx, &schedpb.Question{Body: &schedpb.Question_Claim{Claim: &schedpb.Claim{
		Action: a.Binary(), Initiator: string(s.Initiator), Build: string(s.Build),
	}}}, atOnce)
	switch {
	case err != nil && ctx.Err() != nil:
		r.lanes.release(c, key)
		return Found{}, err
	case err != nil:
		return Found{}, err
	case got.GetVerdict() == uint32(verdictFound):
		return r.accept(s, a, id, got)
	case got.GetVerdict() == uint32(verdictGranted):
		r.lanes.hold(c, key)
		return Found{}, nil
	default:
		return Found{}, errAbsent
	}
}

// hold notes where a claim is, so that it is renewed and let go there.
func (l *lanes) hold(c *lane, key heldKey) {
	l.mu.Lock()
	before := l.held[key]
	l.held[key] = c
	l.mu.Unlock()
	if before != c {
		c.renews(1)
	}
	if before != nil && before != c {
		before.renews(-1)
	}
}

// letGo ends a claim away, if there is one; those who have been told the result
// have ended it themselves.
func (r *Registry) letGo(s Scope, a digest.Digest, told ...peer.ID) {
	key := heldKey{s.Build, a}
	r.lanes.mu.Lock()
	c, ok := r.lanes.held[key]
	delete(r.lanes.held, key)
	r.lanes.mu.Unlock()
	if ok {
		c.renews(-1)
		if !slices.Contains(told, c.to) {
			r.lanes.release(c, key)
		}
	}
}

// release tells an owner that a claim, or the wait for it, is over. If it does
// not get there the stream is broken, which ends the claim as well.
func (l *lanes) release(c *lane, key heldKey) {
	number, _, err := c.ask(&schedpb.Question{Body: &schedpb.Question_Release{Release: &schedpb.Release{
		Action: key.action.Binary(), Build: string(key.build),
	}}}, atOnce)
	if err == nil {
		c.drop(number)
	}
}

// offer gives a result to an owner.
func (r *Registry) offer(ctx context.Context, id peer.ID, f *Found, h haste) error {
	entry, err := f.Entry.Marshal()
	if err != nil {
		return fmt.Errorf("encode result of %v: %w", f.Entry.Action, err)
	}
	got, err := r.lanes.call(ctx, id, &schedpb.Question{Body: &schedpb.Question_Offer{Offer: &schedpb.Offer{
		Entry: entry, Holders: namesOf(merge(f.Holders, nil)),
	}}}, h)
	if err != nil {
		return err
	}
	if got.GetVerdict() != uint32(verdictTaken) {
		return fmt.Errorf("%s does not take the result of %v: %w", id, f.Entry.Action, action.ErrInvalid)
	}
	return nil
}

func without(ids []peer.ID, others ...peer.ID) []peer.ID {
	return slices.DeleteFunc(slices.Clone(ids), func(id peer.ID) bool { return slices.Contains(others, id) })
}
