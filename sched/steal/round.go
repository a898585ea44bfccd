package steal

import (
	"slices"
	"time"

	"github.com/buildnet/buildnet/sched/place"
)

const (
	// inTime is the part of the time that a step has by the levels of what is left
	// which it may take: steps do not move from slot to slot, so that the rest is
	// lost to waiting. 1 makes the worst of graphs whose steps wait for all of
	// another a tenth longer, 0.4 those of a few chains; between 0.6 and 0.9 it
	// makes no difference that could be measured.
	inTime = 0.75
	// asGood is how much longer than where it is done first a step may take to be
	// as good.
	asGood = 1.05
)

// round is one look at a queue: who could run its steps, and when.
type round struct {
	l    *Leader
	need need
	// able could run steps of the queue, free has use for more now.
	able, free []*member
	// host is the initiator, if it is able and not the only one.
	host   *member
	slots  int // of able
	left   int // steps of the queue, with the one that is looked at
	item   item
	offers []offer
	fathom fathom
	ranks
	weighing
}

// offer is what would become of a step on a member.
type offer struct {
	by     *member
	finish time.Duration
	place.Offer
}

func (l *Leader) newRound(n int) *round {
	r, last := &l.round, l.round
	*r = round{l: l, need: l.needs[n], able: last.able[:0], free: last.free[:0], offers: last.offers[:0], ranks: last.emptied()}
	l.rounds++
	l.power, l.fastest = 0, 0
	for _, m := range l.order {
		if m.join != nil {
			l.power += float64(m.join.Slots) * m.speed()
			l.fastest = max(l.fastest, m.bpu())
		}
	}
	r.able = l.entrusted(r.able, r.need)
	for _, m := range r.able {
		r.slots += m.join.Slots
		if l.seat(m).takes {
			r.free = append(r.free, m)
		}
		if m == l.initiator && len(r.able) > 1 {
			r.host = m
		}
	}
	return r
}

func (r *round) give(s Step, m *member) {
	l := r.l
	l.tasks[s].lacked = l.lacking(s, m)
	r.decide(s, m)
	l.repeats(s, m)
	l.give(s, m)
	l.settleAt(s, m)
	st := l.seat(m)
	if st.booked {
		book(st.slots, latest(st.slots[0], l.now).Add(runTime(l.work(s), st.speed)))
	}
	if !st.takes {
		r.free = slices.DeleteFunc(r.free, func(o *member) bool { return o == m })
	}
	r.gave(m)
}

// choose returns who is to have a step now; nil if that is somebody who is busy.
func (r *round) choose(s Step) *member {
	if m := r.atHome(s); m != nil {
		return m
	}
	if r.l.opts.Plan.Modes.Policy.Strategy != place.Smart {
		return r.simple(s)
	}
	if m := r.meant(s); m != nil {
		return m
	}
	return r.smart(s)
}

// meant is the member for which a step was called back, if that still has nothing
// better to do: what is thought of it here may be something else, and the step
// would go back to whoever had it.
func (r *round) meant(s Step) *member {
	m := r.l.tasks[s].meant
	if m == nil || !slices.Contains(r.free, m) || !m.idle() || !r.may(s, m) || !r.holds(s, m) {
		return nil
	}
	return m
}

// may reports whether m may have the step, which it is able to run.
func (r *round) may(s Step, m *member) bool {
	l := r.l
	t := &l.tasks[s]
	if l.record.Steps[s].Tries == MaxTries-1 && m.id != l.opts.Initiator && l.canInitiate(s) {
		return false // the last try is the initiator's
	}
	return len(t.avoid) == 0 || !slices.Contains(t.avoid, m.id) || !r.others(s) && !l.barEnds(s)
}

// others reports whether the step could be given to somebody on whom it did not
// go wrong yet. Who is given nothing for now does not count: that may be until
// this step is done.
func (r *round) others(s Step) bool {
	avoid := r.l.tasks[s].avoid
	return slices.ContainsFunc(r.able, func(m *member) bool { return !slices.Contains(avoid, m.id) })
}

// holds reports whether the step fits into the memory of m, beside what is in
// its hands.
func (r *round) holds(s Step, m *member) bool {
	return r.l.roomy(s, m) || len(m.hands) == 0 && r.couldHold(s, m)
}

// undemanding reports whether whoever is free may have the step.
func (r *round) undemanding(s Step) bool {
	return r.of(s).plain || !slices.ContainsFunc(r.free, func(m *member) bool { return !r.may(s, m) || !r.holds(s, m) })
}

// couldHold reports whether m is to have the step when it has nothing else. One
// that needs more than anybody has is for whoever has most of those who take
// work: what it needs is only believed, and somebody has to run it.
func (r *round) couldHold(s Step, m *member) bool {
	needs, has := r.l.step(s).Memory, m.join.Memory
	return needs == 0 || has == 0 || needs <= has || !slices.ContainsFunc(r.able, func(o *member) bool {
		return o.join.Memory == 0 || o.join.Memory >= needs || o.join.Memory > has && r.counts(o)
	})
}

// counts reports whether m is to be reckoned with: somebody who has a free slot,
// and has not asked for work for a while, works for another build.
func (r *round) counts(m *member) bool { return r.l.seat(m).counts }

// smart gives a step to the best of those with which nothing is late, by its
// score. If that is nobody who is free, it is kept for whoever is done with it
// first.
func (r *round) smart(s Step) *member {
	l := r.l
	inputs := l.localize(s)
	takers := r.takers(s, inputs)
	if len(takers) == 0 {
		return nil
	}
	r.weigh(s, inputs, l.until(s))
	r.offers = r.offers[:0]
	it := r.of(s)
	for _, m := range takers {
		if !it.plain && (!r.may(s, m) || !r.holds(s, m)) {
			continue
		}
		// Earlier than its inputs ask for it is not given: much may change before a
		// slot is free, and what most work waits for must not wait behind it.
		st := r.look(it, m, inputs)
		if st.wait > st.arrive {
			continue
		}
		if r.sends(m, st) {
			r.offers = append(r.offers, offer{m, st.finish, m.offer()})
		} else if o, ok := r.tries(m); ok {
			r.offers = append(r.offers, offer{m, o.Finish(), o})
		}
	}
	if best := r.best(r.until); best != nil {
		return best
	}
	first, soonest := r.first(s, inputs)
	if best := r.best(time.Duration(asGood * float64(soonest))); best != nil || first == nil {
		return best
	}
	if r.ventured = r.venture(takers); r.ventured != nil {
		return r.ventured
	}
	r.reserve(first, soonest)
	return nil
}

// best is the offer with the highest score of those that finish within a time.
func (r *round) best(within time.Duration) *member {
	var against place.Measures
	for i := range r.offers {
		if o := &r.offers[i]; o.finish <= within {
			against.Add(o.Offer)
		}
	}
	weights := r.l.weights
	var best *member
	highest := -1.0
	for i := range r.offers {
		o := &r.offers[i]
		if o.finish > within {
			continue
		}
		if score := weights.Score(o.Offer, against); score > highest {
			best, highest = o.by, score
		}
	}
	return best
}

// first is who would be done first with a step, and how soon.
func (r *round) first(s Step, inputs int64) (*member, time.Duration) {
	var first *member
	var soonest time.Duration
	it := r.of(s)
	for _, m := range r.contenders(s) {
		if !r.counts(m) || !it.plain && (!r.may(s, m) || !r.couldHold(s, m)) {
			continue
		}
		st := r.look(it, m, inputs)
		// Where the step cannot be given nobody asks whether it pays to send it.
		if first != nil && st.finish >= soonest && len(r.offers) == 0 {
			continue
		}
		if r.sends(m, st) && (first == nil || st.finish < soonest) {
			first, soonest = m, st.finish
		}
	}
	return first, soonest
}

// reserve keeps a slot of m until a time from now.
func (r *round) reserve(m *member, until time.Duration) {
	st := r.l.seat(m)
	if !st.booked {
		st.booked, st.slots = true, append(st.slots[:0], r.l.freeAt(m)...)
	}
	book(st.slots, r.l.now.Add(until))
	st.waited, st.look = false, 0
	r.rebook(m)
}
