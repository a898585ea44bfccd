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
	i := newInquiry()
	defer i.drop()
	for _, id := range from {
		r.lookAt(i, s, a, id)
	}
	for {
		told, open := i.take()
		for _, got := range told {
			if f, err := r.heard(s, a, got); err == nil {
				return f, true
			}
		}
		if open == 0 {
			return Found{}, false
		}
		select {
		case <-ctx.Done():
			return Found{}, false
		case <-i.news:
		}
	}
}

// lookAt asks an owner for a result. One that cannot be asked knows none.
func (r *Registry) lookAt(i *inquiry, s Scope, a digest.Digest, id peer.ID) {
	_, _ = r.lanes.ask(id, &schedpb.Question{Body: &schedpb.Question_Lookup{Lookup: &schedpb.Lookup{
		Action: a.Binary(), Initiator: string(s.Initiator),
	}}}, atOnce, i)
}

var errAbsent = errors.New("it knows no result")

// heard is the result that an owner was asked for.
func (r *Registry) heard(s Scope, a digest.Digest, got result) (Found, error) {
	switch {
	case got.err != nil:
		return Found{}, got.err
	case got.answer.GetVerdict() != uint32(verdictFound):
		return Found{}, errAbsent
	default:
		return r.accept(s, a, got.lane.to, got.answer)
	}
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
func (r *Registry) claimAway(ctx context.Context, s Scope, a digest.Digest, e Early) (Found, bool, error) {
	ids := r.Owners(s, a)
	if len(ids) == 0 || len(ids) == 1 && ids[0] == r.opts.Self {
		return Found{}, false, nil
	}
	c := &claiming{r: r, s: s, a: a, owners: ids, inquiry: newInquiry()}
	c.inquiry.grants = e.Start == claim.Claimed
	defer c.inquiry.drop()
	e.begin(claim.AtOnce)
	c.next()
	for _, id := range without(ids, ids[0], r.opts.Self) {
		r.lookAt(c.inquiry, s, a, id)
	}
	looked := time.NewTimer(secondTime)
	defer looked.Stop()
	for late, begun := false, false; ; {
		f, known, open := c.look()
		if known {
			c.leave()
			return f, true, nil
		}
		if !begun && !c.claims() {
			begun = true
			e.begin(claim.Claimed)
		}
		if open == 0 || late && !c.claims() {
			return Found{}, false, ctx.Err()
		}
		select {
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), ErrMade) {
				c.keep()
			} else {
				c.leave()
			}
			return Found{}, false, ctx.Err()
		case <-looked.C:
			late = true
			c.inquiry.awaitGrant()
		case <-c.inquiry.news:
		}
	}
}

// claiming is a claim on its way from owner to owner, until one answers. Where
// none does the build is to execute, and at this node the own claim is the claim.
type claiming struct {
	r       *Registry
	s       Scope
	a       digest.Digest
	owners  []peer.ID // that are not asked yet
	inquiry *inquiry
	at      asked // where the claim is asked for; zero if it is not
}

func (c *claiming) claims() bool { return c.at != asked{} }

// next asks the next owner that can be asked.
func (c *claiming) next() {
	c.at = asked{}
	for len(c.owners) > 0 && !c.claims() {
		id := c.owners[0]
		if c.owners = c.owners[1:]; id == c.r.opts.Self {
			c.owners = nil
			return
		}
		at, err := c.r.lanes.ask(id, &schedpb.Question{Body: &schedpb.Question_Claim{Claim: &schedpb.Claim{
			Action: c.a.Binary(), Initiator: string(c.s.Initiator), Build: string(c.s.Build),
		}}}, atOnce, c.inquiry)
		if err != nil {
			c.unclaimed(id, err)
			continue
		}
		c.at = at
	}
}

func (c *claiming) unclaimed(at peer.ID, err error) {
	c.r.opts.Log.Debug("no claim at an owner", "peer", at, "action", c.a, "error", err)
}

// look takes what has come, and what comes meanwhile, and returns the result if it
// is known, and how many answers are owed.
func (c *claiming) look() (f Found, known bool, open int) {
	for {
		told, open := c.inquiry.take()
		if len(told) == 0 {
			return Found{}, false, open
		}
		for _, got := range told {
			f, err := c.r.heard(c.s, c.a, got)
			of := got.asked == c.at
			if of {
				c.at = asked{}
			}
			switch {
			case err == nil:
				return f, true, 0
			case !of:
			case got.answer.GetVerdict() == uint32(verdictGranted):
				c.r.lanes.hold(got.lane, heldKey{c.s.Build, c.a})
			default:
				c.unclaimed(got.lane.to, err)
				c.next()
			}
		}
	}
}

// leave gives up a claim that may be granted yet.
func (c *claiming) leave() {
	if c.claims() {
		c.r.lanes.release(c.at.lane, heldKey{c.s.Build, c.a})
	}
}

// keep leaves a claim that may be granted yet to Publish.
func (c *claiming) keep() {
	if c.claims() {
		c.r.lanes.hold(c.at.lane, heldKey{c.s.Build, c.a})
	}
}

// hold notes where a claim is, so that it is renewed and let go there. One at an
// owner before that is of no use any more; it would last as long as the stream.
func (l *lanes) hold(c *lane, key heldKey) {
	l.mu.Lock()
	before := l.held[key]
	l.held[key] = c
	l.mu.Unlock()
	if before == c {
		return
	}
	c.renews(1)
	if before != nil {
		before.renews(-1)
		l.release(before, key)
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

// release tells an owner that a claim, or the wait for it, is over. If that does
// not get there the stream ends, and with it the claim.
func (l *lanes) release(c *lane, key heldKey) {
	_, err := c.ask(&schedpb.Question{Body: &schedpb.Question_Release{Release: &schedpb.Release{
		Action: key.action.Binary(), Build: string(key.build),
	}}}, atOnce, nil)
	if errors.Is(err, errBusy) {
		c.giveUp(err)
	}
}

// offer gives a result to an owner.
func (r *Registry) offer(ctx context.Context, id peer.ID, f *Found, h haste) error {
	body, err := offerOf(f)
	if err != nil {
		return err
	}
	got, err := r.lanes.call(ctx, id, &schedpb.Question{Body: body}, h)
	if err != nil {
		return err
	}
	return taken(id, f, got)
}

func offerOf(f *Found) (*schedpb.Question_Offer, error) {
	entry, err := f.Entry.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode result of %v: %w", f.Entry.Action, err)
	}
	return &schedpb.Question_Offer{Offer: &schedpb.Offer{Entry: entry, Holders: namesOf(merge(f.Holders, nil))}}, nil
}

func taken(by peer.ID, f *Found, got *schedpb.Answer) error {
	if got.GetVerdict() != uint32(verdictTaken) {
		return fmt.Errorf("%s does not take the result of %v: %w", by, f.Entry.Action, action.ErrInvalid)
	}
	return nil
}

func without(ids []peer.ID, others ...peer.ID) []peer.ID {
	return slices.DeleteFunc(slices.Clone(ids), func(id peer.ID) bool { return slices.Contains(others, id) })
}
