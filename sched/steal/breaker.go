package steal

import (
	"fmt"
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
)

const (
	// strikeWindow is how long a strike counts, and how long a suspicion keeps work
	// from a member: what it is may not become clear without that member.
	strikeWindow = 30 * time.Second
	// maxStrikes put a member into quarantine.
	maxStrikes = 3
	// firstQuarantine doubles with each in a row.
	firstQuarantine = 2 * time.Second
	maxQuarantine   = time.Minute
	// shortBar is how long a step waits at most for another member than that on
	// which it went wrong: as long as a try may be put off anyway.
	shortBar = maxBackoff
)

// Trust is what a leader gives a member to do.
//
//	Trusted -> Barred <-> Tried -> Trusted
type Trust uint8

const (
	// Trusted members are given what they want.
	Trusted Trust = iota + 1
	// Barred members are given nothing for a while.
	Barred
	// Tried members are given one step at a time, until one succeeds.
	Tried
)

var trusts = map[Trust][]Trust{Trusted: {Barred}, Barred: {Tried}, Tried: {Barred, Trusted}}

// To returns u if t may become u, and panics if not: it is never a peer's word
// alone.
func (t Trust) To(u Trust) Trust {
	if !slices.Contains(trusts[t], u) {
		panic(fmt.Sprintf("steal: %v cannot become %v", t, u))
	}
	return u
}

// String returns the trust in lower case.
func (t Trust) String() string {
	names := [...]string{"unset", "trusted", "barred", "tried"}
	if int(t) >= len(names) {
		return "unknown"
	}
	return names[t]
}

// breaker is the circuit breaker between a leader and one member (Nygard,
// Release It!, 2nd edition, section 5.2). A failure around a step is a suspicion
// first. It is a strike against the member when another had the step done, and
// nothing when the step failed elsewhere, too.
type breaker struct {
	trust   Trust
	strikes []time.Time
	// pending are suspicions of which it is not clear yet what they are.
	pending []suspicion
	until   time.Time // of being Barred
	term    time.Duration
	barred  time.Time // when it was, last
}

// suspicion is that a member, and not the step, is why the step went wrong on it.
type suspicion struct {
	of Step
	at time.Time
}

// doubts is how many suspicions there are that are not too old.
func (b *breaker) doubts(now time.Time) int {
	n := 0
	for _, p := range b.pending {
		if now.Sub(p.at) < strikeWindow {
			n++
		}
	}
	return n
}

// trusts returns how far m is trusted now.
func (l *Leader) trusts(m *member) Trust {
	b := &m.breaker
	switch {
	case b.trust == 0 && slices.Contains(l.record.Quarantined, m.id):
		b.trust = Tried // an earlier leader had reasons
	case b.trust == 0:
		b.trust = Trusted
	case b.trust == Barred && !l.now.Before(b.until):
		b.trust = b.trust.To(Tried)
	}
	return b.trust
}

// admits reports whether m is to be given something, where others could have it.
func (l *Leader) admits(m *member) bool {
	if m == l.initiator {
		return true // nobody would have the build otherwise
	}
	if l.record.Mode == Conservative && !l.standing(m) {
		return false
	}
	return l.trusts(m) != Barred && m.breaker.doubts(l.now) < maxStrikes
}

// entrusted are the members that could run steps of a need and are to be given
// some, in a list that is empty yet. If nobody who could is trusted, all are.
func (l *Leader) entrusted(list []*member, n need) []*member {
	passed := false
	for _, m := range l.order {
		if !l.able(n, m) {
			continue
		}
		if l.admits(m) {
			list = append(list, m)
		} else {
			passed = true
		}
	}
	if len(list) > 0 || !passed {
		return list
	}
	for _, m := range l.order {
		if l.able(n, m) {
			list = append(list, m)
		}
	}
	return list
}

// barEnds reports whether a step that went wrong on some is to wait for another
// that could run it and is given nothing for a short while. It is of no use to
// wait for suspicions to be decided: that may be by this very step.
func (l *Leader) barEnds(s Step) bool {
	return slices.ContainsFunc(l.order, func(m *member) bool {
		return l.able(l.needs[l.needOf[s]], m) && !slices.Contains(l.tasks[s].avoid, m.id) && l.trusts(m) == Barred &&
			m.breaker.until.Sub(l.now) <= shortBar && m.breaker.doubts(l.now) < maxStrikes
	})
}

// repeats says that a step goes back to a member on which it went wrong, although
// others could run it: they are not to be given anything for long.
func (l *Leader) repeats(s Step, m *member) {
	if !slices.Contains(l.tasks[s].avoid, m.id) {
		return
	}
	for _, o := range l.order {
		if l.able(l.needs[l.needOf[s]], o) && !slices.Contains(l.tasks[s].avoid, o.id) && !l.admits(o) {
			l.append(Op{Kind: OpNote, Peer: m.id, Text: fmt.Sprintf(
				"%s goes to %s again, where it went wrong: %s, which could run it, is given nothing for now", l.step(s).ID, m.id.Short(), o.id.Short(),
			)})
			return
		}
	}
}

// taxed reports whether m has all that it is trusted with.
func (l *Leader) taxed(m *member) bool {
	return m != l.initiator && l.trusts(m) != Trusted && len(m.hands) > 0
}

// suspect notes that something around a step went wrong on a member.
func (l *Leader) suspect(s Step, id peer.ID) {
	m, ok := l.crew[id]
	if !ok || m.link == Gone || id == l.opts.Initiator {
		return
	}
	if l.trusts(m) == Tried {
		l.bar(m, "the step that it was tried with went wrong, too")
	}
	t := &l.tasks[s]
	if len(t.suspects) > 0 && !slices.Contains(t.suspects, id) {
		l.acquit(s) // it is the step
		return
	}
	if !slices.Contains(t.suspects, id) {
		t.suspects = append(t.suspects, id)
		m.breaker.pending = append(m.breaker.pending, suspicion{s, l.now})
	}
}

// acquit drops the suspicions that came of a step.
func (l *Leader) acquit(s Step) {
	t := &l.tasks[s]
	for _, id := range t.suspects {
		b := &l.crew[id].breaker
		b.pending = slices.DeleteFunc(b.pending, func(p suspicion) bool { return p.of == s })
	}
	t.suspects = nil
}

// judgeStep finds out what the suspicions were that came of a step which is done.
func (l *Leader) judgeStep(s Step, d *Done) {
	if m, ok := l.crew[d.Peer]; ok && d.How == Executed {
		l.blame(s, m)
		return
	}
	l.acquit(s)
}

// blame makes strikes of the suspicions that came of a step which another
// member has done.
func (l *Leader) blame(s Step, doneBy *member) {
	suspects := l.tasks[s].suspects
	l.acquit(s)
	for _, id := range suspects {
		if m := l.crew[id]; m != doneBy {
			l.strike(m)
		}
	}
	if l.trusts(doneBy) == Tried {
		doneBy.breaker.trust = doneBy.breaker.trust.To(Trusted)
		l.append(Op{Kind: OpTrusted, Peer: doneBy.id})
	}
}

func (l *Leader) strike(m *member) {
	b := &m.breaker
	b.strikes = slices.DeleteFunc(b.strikes, func(at time.Time) bool { return l.now.Sub(at) > strikeWindow })
	b.strikes = append(b.strikes, l.now)
	if len(b.strikes) >= maxStrikes && l.trusts(m) == Trusted {
		l.bar(m, fmt.Sprintf("%d steps went wrong on it that others could do", len(b.strikes)))
	}
}

// bar gives a member nothing for a while.
func (l *Leader) bar(m *member, why string) {
	b := &m.breaker
	if l.now.Sub(b.barred) > maxQuarantine+b.term {
		b.term = firstQuarantine / 2
	}
	b.trust, b.strikes = b.trust.To(Barred), nil
	b.term = min(2*b.term, maxQuarantine)
	b.barred, b.until = l.now, l.now.Add(l.spread(b.term))
	l.append(Op{Kind: OpQuarantined, Peer: m.id, Text: why})
}

// spread is d, or up to half of it longer: what failed together is not tried
// again together.
func (l *Leader) spread(d time.Duration) time.Duration {
	if l.opts.Chance == nil {
		return d
	}
	return d + time.Duration(float64(d)/2*l.opts.Chance())
}
