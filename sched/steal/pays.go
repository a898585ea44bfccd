package steal

import (
	"time"

	"github.com/buildnet/buildnet/sched/place"
)

// What follows decides, step by step, whether it pays to send a step to another
// member than the initiator, which could run it as well: no build is to take
// longer with a mesh than without. What a step takes elsewhere is its turn
// there, the way of its inputs, its run, and what was measured of such steps
// around their runs: until they began, until they were reported, until the
// initiator had their outputs.

const (
	// leastUse is the part of what a slot of the initiator does that a slot
	// elsewhere, or the line to it, has to be good for to be of any use.
	leastUse = 0.05
	// underway is how many steps for each slot are on their way to a member, or
	// run there.
	underway = 2
	// handling is what it takes the initiator to send a step: its messages, its
	// inputs and its outputs.
	handling = time.Millisecond
	// distant members are given one step until that has come back: it is not
	// believed of them that their line is as good as one usually is.
	distant = 5 * time.Millisecond
	// fathoming is how many times the way to a distant member and back steps of a
	// kind that nobody has measured have to run before one is sent there: they may be
	// over sooner than it would be there.
	fathoming = 2
	// byFar is how many times as soon there as here a step has to be done that was
	// late on its way before.
	byFar = 3
	// Lines mend: a member to which nothing is sent because it would not pay is
	// given one step, as if nothing were known of it, after a pause that doubles.
	firstPause, maxPause = 2 * time.Second, 2 * time.Minute
)

// line is what was measured of a member beside the runs of its steps.
type line struct {
	// tail is from the end of a run until its report, homing from there until the
	// initiator has the outputs; 0 if it is not known.
	tail, homing time.Duration
	// owed are the bytes of outputs, of as many steps, that the initiator does not
	// have yet.
	owed  int64
	owing int
	// trial says that it is tried with one step. It was not to be before next; pause
	// is how long that was after the last time.
	trial bool
	next  time.Time
	pause time.Duration
}

// average takes one more time into a moving mean; 0 is none yet.
func average(mean *time.Duration, took time.Duration) {
	if took = max(took, 1); *mean > 0 {
		took = *mean + time.Duration(learning*float64(took-*mean))
	}
	*mean = took
}

// came takes how a step came back from m, which ran it for so long.
func (l *Leader) came(s Step, m *member, run time.Duration) {
	if at := l.tasks[s].begunAt(m.id); !at.IsZero() {
		average(&m.line.tail, l.now.Sub(at)-run)
	}
}

// owe notes that the initiator is to bring the outputs of a step to itself.
func (l *Leader) owe(s Step) {
	r := &l.record.Steps[s]
	l.exp.made(outputSize(r))
	m, ok := l.crew[r.Done.Peer]
	if !ok || r.Done.How != Executed || m.id == l.opts.Initiator {
		return
	}
	m.line.owed += outputSize(r)
	m.line.owing++
	l.tasks[s].debt = debt{m, l.now, m.line.owed}
}

// debt is outputs that the initiator does not have yet: with bytes before them on
// the same way.
type debt struct {
	by    *member // nil if there is none
	since time.Time
	bytes int64
}

// settled notes that it did, or will not.
func (l *Leader) settled(s Step, secured bool) {
	owed := l.tasks[s].debt
	if owed.by == nil {
		return
	}
	l.tasks[s].debt = debt{}
	m, took := owed.by, l.now.Sub(owed.since)
	m.line.owed -= outputSize(&l.record.Steps[s])
	m.line.owing--
	m.line.trial = false
	if secured && took > 0 {
		average(&m.line.homing, took)
		m.homed(owed.bytes, took)
	}
}

// weighing is the choice where to run the step that is looked at.
type weighing struct {
	step Step
	// home is the initiator, if it could run the step and somebody else could.
	home        *member
	here, until time.Duration
	hereRun     time.Duration // of here
	// other is the member with which the step would be home first but for that,
	// there is when. pays says that it pays to send it to anybody.
	other *member
	there time.Duration
	pays  bool
	tried *member // may have the step to find out
	// ventured gets it although it does not pay by itself.
	ventured *member
}

// weigh looks at what a step would come to on the initiator. It is needed until
// a time.
func (r *round) weigh(s Step, inputs int64, until time.Duration) {
	r.weighing = weighing{step: s, until: until}
	home := r.host
	it := r.of(s)
	if home == nil || !r.counts(home) || !it.plain && (!r.may(s, home) || !r.couldHold(s, home)) {
		return
	}
	st := r.look(it, home, inputs)
	r.home, r.here, r.hereRun = home, st.finish, st.run
}

// sends reports whether it pays to send the step to m: its outputs have to be
// here when they are needed, or when those of the initiator would be.
func (r *round) sends(m *member, st *seat) bool {
	if r.home == nil || m == r.home {
		return true
	}
	if st.weighed == st.look {
		return st.pays
	}
	g := r.l.gateOf(m)
	outputs := r.item.outputs
	back := g.back(outputs)
	there := st.finish + g.tail + back
	if r.other == nil || there < r.there {
		r.other, r.there = m, there
	}
	pays := r.inTime(there) && !g.unproven && r.fathomed(m, g, there) && (there <= r.here || r.useful(g, st, back))
	st.weighed, st.pays = st.look, pays
	r.pays = r.pays || pays
	return pays
}

// tries reports whether m, to which it does not pay to send anything, is to be
// given the step to find out whether that is so still, and what it is offered
// as.
func (r *round) tries(m *member) (o place.Offer, ok bool) {
	n := &m.line
	if len(m.hands) > 0 || n.owing > 0 || r.l.now.Before(n.next) || r.tried != nil || r.l.tasks[r.step].wasLate {
		return o, false
	}
	if n.next.IsZero() {
		n.next = r.l.now.Add(firstPause)
		return o, false
	}
	o = m.offer()
	o.Arrive = max(o.Move, unknownArrival+2*m.outlook.rtt)
	if !r.inTime(o.Finish() + r.l.way(m)) {
		return o, false
	}
	r.tried = m
	return o, true
}

// fathomed reports whether enough is known of what the step that is weighed takes to
// send it so far: it, or others of its kind, were measured, or one runs for long. One
// that was late on its way stays, unless it is there sooner by far.
func (r *round) fathomed(m *member, g *gate, there time.Duration) bool {
	step := r.l.step(r.step)
	switch {
	case g.way < distant:
		return true
	case r.l.tasks[r.step].wasLate && byFar*there > r.here:
		return false
	case step.Cost > 0:
		return true
	}
	of := kind(step)
	if r.l.exp.kinds[of].median() > 0 {
		return true
	}
	if !r.fathom.known || r.fathom.kind != of {
		r.fathom = fathom{true, of, r.l.longestRun(of)}
	}
	return r.fathom.longest >= fathoming*(m.arrives()+g.way)
}

// fathom is how long a step of a kind runs by now, at most.
type fathom struct {
	known   bool
	kind    string
	longest time.Duration
}

func (l *Leader) longestRun(of string) time.Duration {
	longest := time.Duration(0)
	for _, m := range l.order {
		for s := range m.hands { // the most of them, in any order
			if at := l.tasks[s].begunAt(m.id); !at.IsZero() && kind(l.step(s)) == of {
				longest = max(longest, l.now.Sub(at))
			}
		}
	}
	return longest
}

func (r *round) inTime(there time.Duration) bool {
	return there <= r.until || there <= time.Duration(asGood*float64(r.here))
}

// there is how long it takes until the initiator has the outputs of a step that
// is given to m, and done there so soon.
func (l *Leader) there(s Step, m *member, finish time.Duration) time.Duration {
	return finish + m.line.tail + l.home(s, m)
}

// waitsFor reports whether m has a step by which it is to be seen what its line
// is like.
func (l *Leader) waitsFor(m *member) bool {
	unknown := m.line.trial || m.line.homing == 0 && l.way(m) >= distant
	return unknown && len(m.hands)+m.line.owing > 0
}

// useful reports whether to send steps like the one that is weighed through a
// gate is worth anything, if its outputs take so long back.
func (r *round) useful(g *gate, st *seat, back time.Duration) bool {
	if g.unmeasured {
		return true
	}
	most := time.Duration(float64(r.hereRun) / leastUse)
	around := st.arrive + g.tail + back
	moved := st.move + seconds(r.item.outputs/g.bandwidth)
	return r.hereRun >= handling && around <= underway*most && moved <= most
}

// decide notes where the step goes that was weighed.
func (r *round) decide(s Step, m *member) {
	c := choice{at: r.l.now}
	w := r.weighing
	r.weighing = weighing{}
	if w.home == nil || w.step != s || w.other == nil {
		r.l.tasks[s].choice = c
		return
	}
	work := r.l.work(s)
	c.made = &Choice{Why: Sent, Peer: m.id, Here: w.here, There: w.there, By: time.Duration(float64(w.until) / inTime)}
	c.hereRun, c.thereRun = runTime(work, w.home.speed()), runTime(work, w.other.speed())
	switch {
	case m == w.home && w.pays:
		c.made.Why, c.made.Peer = Shared, w.other.id
	case m == w.home:
		c.made.Why, c.made.Peer = Kept, w.other.id
	case m == w.tried:
		c.made.Why = Probed
		m.try(r.l.now)
		m.seat.stale = true
	case m == w.ventured:
		c.made.Why, c.waited = Ventured, r.l.savings.waited
	default:
		m.line.pause, m.line.next = 0, time.Time{}
	}
	if c.made.Peer == m.id {
		c.made.There, c.thereRun = r.l.there(s, m, r.look(r.of(s), m, r.l.tasks[s].inputBytes).finish), runTime(work, m.speed())
	}
	r.l.tasks[s].choice = c
}

// try forgets what was measured: the step that is sent now tells.
func (m *member) try(now time.Time) {
	n := &m.line
	n.pause = min(max(2*n.pause, firstPause), maxPause)
	n.trial, n.next = true, now.Add(n.pause)
	m.arrival, n.tail, n.homing = 0, 0, 0
}
