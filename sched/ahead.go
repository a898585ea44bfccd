package sched

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/claim"
	"github.com/buildnet/buildnet/sched/registry"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store/digest"
)

// asking is a claim on its way.
type asking struct {
	step  steal.Step
	end   context.CancelCauseFunc
	ended bool          // it was told to end, or its action's claim is released
	over  chan struct{} // closed when nothing of it is left
}

// errWithdrawn ends a claim that is released before it is answered.
var errWithdrawn = errors.New("the claim was released")

// claim waits while another build has the claim, but no longer than an
// execution may take: one that is renewed for ever holds up nobody for ever. An
// execution that may begin before all is answered is told at once, and once more
// only if its result is found; keep is called before.
func (l *leading) claim(ctx context.Context, out *steal.Resolved, timeout, patience time.Duration, keep func()) (tell bool) {
	a := out.Action
	waiting, cancel := context.WithTimeout(ctx, timeout+claimSlack)
	defer cancel()
	claiming, end := context.WithCancelCause(waiting)
	defer end(nil)
	asked := &asking{step: out.Step, end: end, over: make(chan struct{})}
	defer l.answered(a, asked)
	for _, before := range l.asks(a, asked) {
		<-before.over
	}
	begun := false
	l.claimed(out.Step, a)
	f, known, err := l.s.opts.Results.Claim(claiming, l.scope, a, registry.Early{Start: l.start(a, patience), Begin: func() {
		keep()
		begun = true
		early := *out
		early.Claimed = true
		l.resolved(early)
	}})
	switch {
	case err != nil && ctx.Err() == nil && waiting.Err() != nil:
		l.unclaimed(a) // it is executed without a claim
	case err != nil && begun:
	case err != nil:
		l.unclaimed(a)
		out.Failure = &steal.Failure{Kind: steal.Broken, Text: err.Error()}
	case known:
		l.unclaimed(a)
		out.Found, out.Holders = &f.Entry, f.Holders
	case !l.wants(a):
		// The step has become another action meanwhile.
		l.s.opts.Results.Release(l.scope, a)
	default:
		out.Claimed = !begun
	}
	return !begun || known
}

func (l *leading) resolved(r steal.Resolved) {
	l.inbox.put(func() { l.do(l.machine.Resolved(time.Now(), r)) }, 0, true)
}

// start is when an execution may begin that has so much patience.
func (l *leading) start(a digest.Digest, patience time.Duration) claim.Start {
	s := l.s
	if patience <= 0 {
		return claim.Answered
	}
	v := claim.View{
		Self: s.opts.Self, Members: s.alive,
		RTT: func(id peer.ID) time.Duration { return s.opts.Estimate(s.opts.Self, id) },
	}
	return v.Start(s.opts.Results.Owners(l.scope, a), patience)
}

// asks notes a claim on its way, and returns those that have to be over before it
// is: an older one of the step, and those that are released. What such a one is
// answered later would be taken for the answer to this one.
func (l *leading) asks(a digest.Digest, c *asking) (before []*asking) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range l.asking[a] {
		if o.step == c.step {
			o.withdraw()
		}
		if o.ended {
			before = append(before, o)
		}
	}
	l.asking[a] = append(l.asking[a], c)
	return before
}

func (c *asking) withdraw() {
	c.ended = true
	c.end(errWithdrawn)
}

func (l *leading) answered(a digest.Digest, c *asking) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asking[a] = slices.DeleteFunc(l.asking[a], func(o *asking) bool { return o == c }); len(l.asking[a]) == 0 {
		delete(l.asking, a)
	}
	close(c.over)
}

// made ends what is asked beside an execution that is over, and returns what is to
// be waited for before its result is published.
func (l *leading) made(a digest.Digest) []*asking {
	l.mu.Lock()
	defer l.mu.Unlock()
	waits := slices.Clone(l.asking[a])
	for _, c := range waits {
		c.ended = true
		c.end(registry.ErrMade)
	}
	return waits
}
