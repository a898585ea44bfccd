package steal

import (
	"math"
	"time"
)

// What follows has a build that may grow use those who are idle. Of what is left it
// sees a part, which its user has going at once, and by that alone the initiator
// would have each step sooner than one who has to be sent it: so it would work
// through all of it by itself, while the others have nothing to do. But where the
// initiator has enough to do until a step is back nothing is lost by sending it. What
// may be lost is at the end, or where all that comes next waits for what is away; and
// no more is risked than a part of what was gained before.

const (
	// riskOfFull is the part of the time for which the initiator had more to do than it
	// has slots that may be lost to find out who is of use: less than what a build may
	// take longer on a mesh.
	riskOfFull = 0.01
	// riskOfSaved is that of what was gained by sending steps.
	riskOfSaved = 0.25
)

// savings are what the leader of a build that may grow knows of what was gained by
// sending steps: times of all slots of the initiator.
type savings struct {
	at time.Time // up to when the initiator is watched
	plight
	free float64 // the part of its slots that are, where it waits
	// full is how long it had more to do than slots, waited how long it had less while
	// steps were away.
	full, waited time.Duration
	// charged is up to where waited was counted as lost.
	charged time.Duration
	// saved is what was gained, less what was lost.
	saved time.Duration
}

// plight is how the initiator is.
type plight uint8

const (
	unwatched plight = iota
	busy             // it has a step for each slot, or nothing is away
	full             // it has more steps than slots, or more wait for it
	waits            // it has slots free while steps are away
)

// reckon counts the time up to now by how the initiator was, and notes how it is.
func (l *Leader) reckon() {
	if !l.mayGrow() {
		return
	}
	v := &l.savings
	took := l.now.Sub(v.at)
	switch v.plight {
	case full:
		v.full += took
	case waits:
		v.waited += time.Duration(v.free * float64(took))
	}
	v.at = l.now
	v.plight, v.free = l.plight()
}

func (l *Leader) plight() (p plight, free float64) {
	home := l.initiator
	if home == nil || home.join == nil || home.join.Slots == 0 {
		return unwatched, 0
	}
	has, slots := len(home.hands), home.join.Slots
	more := len(l.ready) + len(l.resolving)
	for _, q := range l.queued {
		more += len(q)
	}
	switch {
	case has+more > slots:
		return full, 0
	case has+more < slots && l.assigned > has:
		return waits, float64(slots-has-more) / float64(slots)
	default:
		return busy, 0
	}
}

// saves takes what was gained, and lost, by a step that m has run elsewhere for so
// long.
func (l *Leader) saves(s Step, m *member, run time.Duration) {
	v, home, c := &l.savings, l.initiator, &l.tasks[s].choice
	if !l.mayGrow() || m == home || v.plight == unwatched || c.made == nil {
		return
	}
	l.reckon()
	took := runTime(min(run, l.now.Sub(c.at)).Seconds()*m.bpu(), home.speed())
	if v.plight != waits {
		v.saved += took / time.Duration(max(home.join.Slots, 1))
	}
	if c.made.Why != Ventured {
		return
	}
	late := l.now.Sub(c.at) - (c.made.Here - c.hereRun + took)
	lost := min(late, v.waited-max(c.waited, v.charged))
	if lost > 0 {
		v.saved -= lost
		v.charged = v.waited
	}
}

// risk is what may be lost by sending steps.
func (l *Leader) risk() time.Duration {
	v := &l.savings
	part := riskOfSaved
	if v.saved < 0 {
		part = 1
	}
	return leastGain + time.Duration(riskOfFull*float64(v.full)+part*float64(v.saved))
}

// venture is who is to have the step that is weighed although it does not pay by
// itself; nil if nobody is.
func (r *round) venture(takers []*member) *member {
	if r.home == nil || !r.l.mayGrow() || !r.enough() {
		return nil
	}
	var best *member
	soonest := time.Duration(math.MaxInt64)
	for _, m := range takers {
		if st := r.l.seat(m); m != r.home && st.look == r.l.looks && st.weighed == st.look {
			if there, ok := r.ventures(m, st); ok && there < soonest {
				best, soonest = m, there
			}
		}
	}
	return best
}

// enough reports whether the initiator has a step for each slot, and one more, or is
// about to.
func (r *round) enough() bool {
	l, st := r.l, r.l.seat(r.home)
	return r.wait(r.home) > 0 && (st.booked || len(r.home.hands) > r.home.join.Slots || len(l.ready)+len(l.resolving) > 0)
}

// ventures reports whether the step may be sent to m, which has been looked at, and
// when it would be home. One who has nothing to do gets it although it was late
// before, if it would not be with what is usual around a step: so it is seen whether
// it still is.
func (r *round) ventures(m *member, st *seat) (there time.Duration, ok bool) {
	g := r.l.gateOf(m)
	back := g.back(r.item.outputs)
	there = st.finish + g.tail + back
	risk := r.l.risk()
	needed := max(r.here, r.until)
	switch {
	case risk <= 0 || g.unproven || !r.fathomed(m, g, there):
		return there, false
	case there-needed <= risk:
		return there, r.useful(g, st, back)
	case len(m.hands) > 0 || m.line.owing > 0:
		return there, false
	}
	o := m.offer()
	o.Arrive = max(o.Move, unknownArrival+2*m.outlook.rtt)
	return there, o.Finish()+g.way-needed <= risk
}
