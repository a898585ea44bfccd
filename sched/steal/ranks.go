package steal

import (
	"math"
	"slices"
	"time"
)

// A crew of hundreds is not looked through for each step. What is asked of a
// member is when a slot is free there and how fast it is, so that of those who
// are about as fast only the first one counts.

const (
	// allCount is how many members are looked at one by one.
	allCount = 24
	// paces are the parts of an octave in which members are about as fast.
	paces = 8
)

// ranks is a crew in the order in which a round looks at it. What is given and
// what is booked makes members later and never sooner, so that it stays true
// during the round.
type ranks struct {
	sorted bool
	// soon are those of the free ones who could begin with a step as soon as it
	// arrives. Of the others nobody could with less than worth bytes to read.
	soon  []*member
	worth float64
	front []point
	// ableBy and soonBy are classes of the able ones and of soon, once they are
	// classed: see ableClassed and soonClassed.
	ableBy, soonBy           classes
	ableClassed, soonClassed bool
	few                      []*member
}

// emptied are ranks that take over the lists of earlier ones.
func (r *ranks) emptied() ranks {
	return ranks{soon: r.soon[:0], front: r.front[:0], few: r.few[:0], ableBy: r.ableBy[:0], soonBy: r.soonBy[:0]}
}

type classes []class

// class is members that are about as fast, with whoever could begin first at the
// beginning.
type class struct {
	pace    int
	members []*member
}

// point is the soonest begin at a speed.
type point struct {
	delay time.Duration
	speed float64
}

// expect keeps a slot for a step that is about to be queued.
func (r *round) expect(s Step) {
	if m := r.choose(s); m != nil {
		r.reserve(m, r.look(r.of(s), m, r.l.localize(s)).finish)
	}
}

// takers are who could begin with a step by the time that its inputs are there.
func (r *round) takers(s Step, inputs int64) []*member {
	r.sort()
	switch {
	case float64(inputs) >= r.worth:
		return r.free
	case len(r.soon) <= allCount || !r.of(s).plain:
		return r.soon
	case !r.soonClassed:
		r.soonBy, r.soonClassed = r.classify(r.soonBy, r.soon, false), true
	}
	return r.shortlist(s, r.soonBy, r.soon)
}

// sort finds out who is free soon.
func (r *round) sort() {
	if r.sorted {
		return
	}
	r.sorted, r.worth = true, math.Inf(1)
	for _, m := range r.free {
		if r.wait(m) <= m.seat.arrives {
			r.soon = append(r.soon, m)
		} else {
			r.worth = min(r.worth, r.worthOf(m))
		}
	}
}

// worthOf are the bytes that take as long to m as until it has a slot.
func (r *round) worthOf(m *member) float64 {
	return (r.wait(m) - m.outlook.rtt).Seconds() * m.bandwidth()
}

// gave takes into account that m has one step more.
func (r *round) gave(m *member) {
	r.front = r.front[:0]
	if r.sorted && (r.wait(m) > m.seat.arrives || !m.seat.takes) {
		r.soon = slices.DeleteFunc(r.soon, func(o *member) bool { return o == m })
		r.soonBy = r.without(r.soonBy, m)
		r.worth = min(r.worth, r.worthOf(m))
	}
	r.rebook(m)
}

// rebook takes into account that a slot of m is free later.
func (r *round) rebook(m *member) {
	for _, of := range []classes{r.ableBy, r.soonBy} {
		for _, c := range of {
			if c.members[0] == m {
				r.lead(c.members)
			}
		}
	}
}

// hopeful reports whether somebody who is free may have a step done in time, as
// far as can be told without a look at each.
func (r *round) hopeful(s Step) bool {
	r.sort()
	if len(r.soon) == 0 {
		return false
	}
	if len(r.front) == 0 {
		for _, m := range r.soon {
			r.advance(point{r.begins(m), m.seat.speed})
		}
	}
	work, until := r.of(s).work, r.l.until(s)
	return slices.ContainsFunc(r.front, func(p point) bool { return p.delay+runTime(work, p.speed) <= until })
}

// advance adds a point to the front, unless one there is as good in both.
func (r *round) advance(p point) {
	if slices.ContainsFunc(r.front, func(o point) bool { return o.delay <= p.delay && o.speed >= p.speed }) {
		return
	}
	r.front = slices.DeleteFunc(r.front, func(o point) bool { return o.delay >= p.delay && o.speed <= p.speed })
	r.front = append(r.front, p)
}

// contenders are who could be done first with a step: all who are able in a
// small crew, and in a large one the first of each class, and those who have
// inputs of it.
func (r *round) contenders(s Step) []*member {
	if len(r.able) <= allCount || !r.of(s).plain {
		return r.able
	}
	if !r.ableClassed {
		r.ableBy, r.ableClassed = r.classify(r.ableBy, r.able, true), true
	}
	return r.shortlist(s, r.ableBy, r.able)
}

// shortlist are the first of each class, and those who have inputs of a step.
func (r *round) shortlist(s Step, by classes, of []*member) []*member {
	r.few = r.few[:0]
	for _, c := range by {
		r.few = append(r.few, c.members[0])
	}
	for _, sh := range r.l.tasks[s].shares {
		if slices.Contains(of, sh.of) && !slices.Contains(r.few, sh.of) {
			r.few = append(r.few, sh.of)
		}
	}
	return r.few
}

// undemanding reports whether whoever is able may have the step.
func (l *Leader) undemanding(s Step) bool {
	return l.step(s).Memory == 0 && len(l.tasks[s].avoid) == 0 && l.record.Steps[s].Tries < MaxTries-1
}

// classify adds the members, or those of them who count, to classes of which
// there are none yet.
func (r *round) classify(by classes, members []*member, counting bool) classes {
	for _, m := range members {
		if counting && !r.counts(m) {
			continue
		}
		pace := r.pace(m)
		at := slices.IndexFunc(by, func(c class) bool { return c.pace == pace })
		if at < 0 {
			at = len(by)
			by = by.another(pace)
		}
		by[at].members = append(by[at].members, m)
	}
	for _, c := range by {
		r.lead(c.members)
	}
	return by
}

// another is by with one more class, which takes over the list of an earlier one.
func (by classes) another(pace int) classes {
	n := len(by)
	by = slices.Grow(by, 1)[:n+1]
	by[n] = class{pace, by[n].members[:0]}
	return by
}

// pace is the class of m.
func (r *round) pace(m *member) int {
	st := r.l.seat(m)
	if st.paced != st.speed {
		st.paced, st.pace = st.speed, paceClass(st.speed)
	}
	return st.pace
}

// begins is how soon m could begin with a step that it has to be sent.
func (r *round) begins(m *member) time.Duration { return max(r.wait(m), m.seat.arrives) }

func paceClass(speed float64) int {
	part, octave := math.Frexp(speed)
	return octave*paces + int((2*part-1)*paces)
}

// lead puts the member of a class that could begin first at its beginning; of
// several, the one with most room, then the nearest.
func (r *round) lead(class []*member) {
	first, soonest, load := 0, time.Duration(math.MaxInt64), 0.0
	for i, m := range class {
		at := r.begins(m)
		if at > soonest {
			continue
		}
		full := float64(len(m.hands)) / float64(m.join.Slots)
		if at < soonest || at == soonest && (full < load || full == load && m.outlook.rtt < class[first].outlook.rtt) {
			first, soonest, load = i, at, full
		}
	}
	class[0], class[first] = class[first], class[0]
}

func (r *round) without(by classes, m *member) classes {
	for i := range by {
		c := &by[i]
		at := slices.Index(c.members, m)
		if at < 0 {
			continue
		}
		if c.members = slices.Delete(c.members, at, at+1); len(c.members) == 0 {
			return slices.Delete(by, i, i+1)
		}
		r.lead(c.members)
		return by
	}
	return by
}
