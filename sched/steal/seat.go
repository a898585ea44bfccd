package steal

import (
	"time"

	"github.com/buildnet/buildnet/sched/place"
)

// seat is a member as a round sees it: what would be the same at each step that
// the round looks at is worked out once. It says nothing that could not be asked
// of the member. Within a round only what is given to it changes that, and then
// it is stale (see handsChanged).
type seat struct {
	round uint64 // of which it is
	stale bool
	// takes is what Leader.takes says; counts is for round.counts.
	takes, counts bool
	speed         float64
	arrives       time.Duration
	// pace is the class of the speed paced.
	pace  int
	paced float64
	// wait is how long it is until a slot is free, if that was asked for: it is
	// waited then. If it is booked, slots are when each is, with what was looked at
	// and is kept for them.
	waited, booked bool
	wait           time.Duration
	slots          []time.Time
	gate

	// What would become of the step of a look here: see place.Offer. pays is of the
	// look weighed.
	look, weighed             uint64
	run, move, arrive, finish time.Duration
	pays                      bool
}

// gate is what it depends on whether it pays to send steps to a member, and how
// long they take back.
type gate struct {
	known             bool
	way, tail, homing time.Duration
	bandwidth         float64
	// owed are the bytes that are on their way from it; made are those that the
	// steps in its hands are going to make.
	owed, made float64
	// unproven says that it has a step by which it is to be seen what its line is
	// like; unmeasured that none arrived there yet.
	unproven, unmeasured bool
}

// item is a step as a round sees it.
type item struct {
	step          Step
	known         bool
	work, outputs float64
	plain         bool // whoever is able may have it
}

// seat is that of m in the round that goes on.
func (l *Leader) seat(m *member) *seat {
	if m.seat.round != l.rounds || m.seat.stale {
		l.sit(m)
	}
	return &m.seat
}

func (l *Leader) sit(m *member) {
	st := &m.seat
	if st.round != l.rounds {
		st.round, st.booked = l.rounds, false
	}
	st.stale, st.waited, st.known, st.look, st.weighed = false, false, false, 0, 0
	st.speed, st.arrives = m.speed(), m.arrives()
	st.takes = l.takes(m)
	st.counts = !m.idle() || st.takes || l.now.Sub(m.outlook.changed) < BeatEvery
}

// gateOf is the gate of m in the round that goes on.
func (l *Leader) gateOf(m *member) *gate {
	g := &l.seat(m).gate
	if !g.known {
		*g = gate{
			known: true, way: l.way(m), tail: m.line.tail, homing: m.line.homing, bandwidth: m.bandwidth(),
			owed: float64(m.line.owed), unproven: l.waitsFor(m), unmeasured: m.arrival == 0,
		}
		if len(m.hands) > 0 {
			g.made = float64(len(m.hands)) * l.exp.bytes
		}
	}
	return g
}

// back is how long outputs take to the initiator, which is another member.
func (g *gate) back(outputs float64) time.Duration {
	return max(g.homing, g.way+seconds((g.owed+outputs+g.made)/g.bandwidth))
}

// of is the step as the round sees it.
func (r *round) of(s Step) *item {
	if it := &r.item; !it.known || it.step != s {
		*it = item{step: s, known: true, work: r.l.work(s), outputs: r.l.outputs(s), plain: r.l.undemanding(s)}
	}
	return &r.item
}

// wait is how long it is until a step that is given to m now could have a slot.
func (r *round) wait(m *member) time.Duration {
	st := r.l.seat(m)
	if !st.waited {
		st.waited, st.wait = true, r.start(m).Sub(r.l.now)
	}
	return st.wait
}

// start is when that is.
func (r *round) start(m *member) time.Time {
	if st := r.l.seat(m); st.booked {
		return st.slots[0]
	}
	return r.l.freeAt(m)[0]
}

// look is the seat of m with what would become of a step on it that was localized:
// inputs are the bytes that it reads.
func (r *round) look(it *item, m *member, inputs int64) *seat {
	l := r.l
	st := l.seat(m)
	if st.look == l.looks {
		return st
	}
	if !st.waited {
		r.wait(m)
	}
	st.look = l.looks
	st.run, st.move = runTime(it.work, st.speed), l.moving(inputs, m)
	st.arrive = max(st.move, st.arrives)
	st.finish = max(st.wait, st.arrive, 0) + max(st.run, 0)
	return st
}

// offer is what place has to know of that.
func (m *member) offer() place.Offer {
	st := &m.seat
	return place.Offer{
		Wait: max(0, st.wait), Run: st.run, Move: st.move, Arrive: st.arrive,
		RTT: m.outlook.rtt, Busy: len(m.hands), Slots: m.join.Slots,
	}
}
