package sched

import (
	"context"
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/claim"
	"github.com/buildnet/buildnet/sched/registry"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store/digest"
)

// beside is a claim that is waited for while its action is executed.
type beside struct {
	end  context.CancelCauseFunc
	over chan struct{}
}

// claim waits while another build has the claim, but no longer than an
// execution may take: one that is renewed for ever holds up nobody for ever. An
// execution that may begin before all is answered is told at once, and once more
// only if its result is found; keep is called before.
func (l *leading) claim(ctx context.Context, out *steal.Resolved, timeout, patience time.Duration, keep func()) (tell bool) {
	a := out.Action
	l.claimed(out.Step, a)
	waiting, cancel := context.WithTimeout(ctx, timeout+claimSlack)
	defer cancel()
	asking, end := context.WithCancelCause(waiting)
	defer end(nil)
	b, begun := &beside{end, make(chan struct{})}, false
	f, known, err := l.s.opts.Results.Claim(asking, l.scope, a, registry.Early{Start: l.start(a, patience), Begin: func() {
		keep()
		begun = true
		early := *out
		early.Claimed = true
		l.goesAhead(a, b)
		l.resolved(early)
	}})
	if begun {
		defer l.cameBehind(a, b)
	}
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

func (l *leading) goesAhead(a digest.Digest, b *beside) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.besides[a] = append(l.besides[a], b)
}

func (l *leading) cameBehind(a digest.Digest, b *beside) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.besides[a] = slices.DeleteFunc(l.besides[a], func(o *beside) bool { return o == b }); len(l.besides[a]) == 0 {
		delete(l.besides, a)
	}
	close(b.over)
}

// made ends what is asked beside an execution that is over, and returns what is to
// be waited for before its result is published.
func (l *leading) made(a digest.Digest) []*beside {
	l.mu.Lock()
	defer l.mu.Unlock()
	waits := slices.Clone(l.besides[a])
	for _, b := range waits {
		b.end(registry.ErrMade)
	}
	return waits
}
