package simulations

import (
	"slices"
	"time"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/claim"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/trace"
	"github.com/buildnet/buildnet/simulations/workload"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// lookupTime bounds a look-up, secondTime how long a claim waits for what
	// the second and third owner know, offerTime how long an owner may take to
	// keep a result (sched/registry).
	lookupTime = 2 * time.Second
	secondTime = 500 * time.Millisecond
	offerTime  = 5 * time.Second
)

// resolve makes a step into an action, and looks whether it is known.
func (l *leading) resolve(r steal.Resolve) {
	n, w := l.n, l.n.w
	// The directories of the sources are read from the initiator.
	takes := n.span(w.setting.Overheads.Resolve) + w.net.RTT(n.place, l.b.spec.Initiator)
	n.later(takes, func() {
		if l.over {
			return
		}
		out := steal.Resolved{Step: r.Step, Attempt: r.Attempt}
		switch {
		case n.flaky():
			out.Failure = &steal.Failure{Kind: steal.Broken, Text: "a store that fails by chance"}
		case n.fails():
			out.Failure = &steal.Failure{Kind: steal.Broken, Text: "the disk failed"}
		}
		if out.Failure != nil {
			l.resolved(out)
			return
		}
		out.Action = l.assemble(r)
		switch {
		case l.b.graph.Steps()[r.Step].Sharing == action.Unshared:
			l.resolved(out)
		case r.Fresh:
			n.lookup(l.b, out.Action, func(f *known) {
				if f != nil {
					out.Known = &f.entry
				}
				l.resolved(out)
			})
		default:
			l.claim(out, r.Patience)
		}
	})
}

// assemble is the action of a step, which is in the own store from now on.
func (l *leading) assemble(r steal.Resolve) digest.Digest {
	w, s := l.n.w, l.b.step(r.Step)
	digests := make([]digest.Digest, 0, len(s.Deps))
	for _, on := range s.Deps {
		id := l.b.graph.Steps()[on].ID
		digests = append(digests, r.Results[id].Outputs[0].Digest)
	}
	a := s.Action(digests)
	if _, ok := w.actions[a]; !ok {
		made := &act{}
		if s.InputBytes > 0 {
			made.inputs = append(made.inputs, w.blob(s.Sources()))
		}
		for _, d := range digests {
			if d.Size() > 0 {
				made.inputs = append(made.inputs, w.blob(d))
			}
		}
		w.actions[a] = made
	}
	w.blob(a).add(l.n)
	return a
}

// act is what the world knows of an action.
type act struct {
	inputs     []*blob
	executions int
}

func (w *World) act(a digest.Digest) *act {
	known, ok := w.actions[a]
	if !ok {
		known = &act{}
		w.actions[a] = known
	}
	return known
}

func (l *leading) resolved(out steal.Resolved) { l.do(l.machine.Resolved(l.n.clock(), out)) }

// claim asks for an action while no other build has it. An execution that begins
// before all is answered hears of no more than a result.
func (l *leading) claim(out steal.Resolved, patience time.Duration) {
	n := l.n
	l.withdraw(func(c *asking) bool { return c.action == out.Action && c.step == out.Step })
	l.claimed(out.Step, out.Action)
	var a *asking
	over, begun := false, false
	begin := func() {
		begun = true
		early := out
		early.Claimed = true
		l.resolved(early)
	}
	end := func(f *known, ok bool) {
		over = true
		l.waiting = slices.DeleteFunc(l.waiting, func(o *asking) bool { return o == a })
		switch {
		case !ok:
			l.unclaimed(out.Action)
			if l.over || begun {
				return
			}
			out.Failure = &steal.Failure{Kind: steal.Broken, Text: "the claim was released"}
		case f != nil:
			l.unclaimed(out.Action)
			out.Found, out.Holders = &f.entry, f.holders
			e := l.of(trace.Found)
			e.Step, e.Peer, e.Digest = int(out.Step), placeOf(f.entry.Executor), workload.Short(out.Action)
			n.w.tell(e)
		case !l.wants(out.Action):
			n.unclaim(l.b, out.Action)
		default:
			out.Claimed = !begun
		}
		if !l.over && (!begun || f != nil) {
			l.resolved(out)
		}
	}
	// A claim is waited for as long as an execution may take, and no step of a
	// workload takes so long.
	if a = n.claim(l, out.Action, patience, begin, end); !over {
		a.step = out.Step
		a.withdrawn = func() {
			out.Failure = &steal.Failure{Kind: steal.Broken, Text: "the claim was released"}
			if !l.over && !begun {
				l.resolved(out)
			}
		}
		l.waiting = append(l.waiting, a)
	}
}

// withdraw ends what is asked. What a withdrawn claim is answered later would be
// taken for the answer to the next.
func (l *leading) withdraw(which func(*asking) bool) {
	var gone []*asking
	l.waiting = slices.DeleteFunc(l.waiting, func(c *asking) bool {
		if which(c) {
			gone = append(gone, c)
			return true
		}
		return false
	})
	for _, c := range gone {
		c.cancel()
		l.n.later(0, c.withdrawn)
	}
}

// claimed notes a claim at once, so that it is let go however the reign ends.
func (l *leading) claimed(s steal.Step, a digest.Digest) {
	before, ok := l.latest[s]
	_, held := l.claims[before]
	if ok && held && before != a {
		delete(l.claims, before)
		l.withdraw(func(c *asking) bool { return c.action == before })
		l.n.unclaim(l.b, before)
	}
	l.claims[a], l.latest[s] = s, a
}

// wants reports whether a claim is still of use.
func (l *leading) wants(a digest.Digest) bool {
	_, ok := l.claims[a]
	return ok
}

func (l *leading) unclaimed(a digest.Digest) bool {
	s, had := l.claims[a]
	delete(l.claims, a)
	if had && l.latest[s] == a {
		delete(l.latest, s)
	}
	return had
}

func (l *leading) release(a digest.Digest) {
	if l.unclaimed(a) {
		l.withdraw(func(c *asking) bool { return c.action == a })
		l.n.unclaim(l.b, a)
	}
}

// publish gives a result to the mesh. The initiator is named as a holder
// because it is bringing the outputs to itself.
func (l *leading) publish(e action.Entry) {
	l.made(e.Action)
	if l.publishing >= maxPublishing {
		l.unpublished = append(l.unpublished, e)
		return
	}
	l.publishing++
	holders := []int{placeOf(e.Executor)}
	if initiator := l.b.spec.Initiator; initiator != holders[0] {
		holders = append(holders, initiator)
	}
	l.n.publish(l.b, e, holders, func() {
		l.unclaimed(e.Action)
		l.publishing--
		if len(l.unpublished) > 0 {
			next := l.unpublished[0]
			l.unpublished = l.unpublished[1:]
			l.publish(next)
			return
		}
		l.letGo()
	})
}

// made ends what is asked beside an execution that is over.
func (l *leading) made(a digest.Digest) {
	l.waiting = slices.DeleteFunc(l.waiting, func(c *asking) bool {
		of := c.action == a
		if of {
			c.made()
		}
		return of
	})
}

// claimantOf is a build on a session.
func claimantOf(s claim.Session, b *build) claim.Claimant {
	return claim.Claimant{Session: s, Build: b.claimant(), Alone: b.spec.Modes.Local}
}
