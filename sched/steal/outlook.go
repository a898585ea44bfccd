package steal

import (
	"cmp"
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/place"
)

const (
	// sourceBytes stands for the sources of a step, whose sizes a leader does
	// not know: they are with the initiator.
	sourceBytes = 64 << 10
	// tellingBytes are enough for the time that they took to tell of a bandwidth; of
	// a distant member, fewer are if they take several round trips.
	tellingBytes, tellingFar = 1 << 20, 64 << 10
	tellingTrips             = 3
)

// outlook is what is expected of a member, as of the last change of its hands.
type outlook struct {
	valid   bool
	changed time.Time // its hands, last
	// free is when each of its slots is, ascending; zero for those that are.
	free []time.Time
	// memory is what the steps in its hands need, in bytes.
	memory int64
	// rtt is the round trip to it; bandwidth is what was measured of that, in
	// bytes a second, 0 if nothing was.
	rtt       time.Duration
	bandwidth float64
	// Of the step that is looked at (Leader.localize): the bytes of its inputs
	// that are there.
	step  uint64
	local int64
}

// handsChanged says that what was expected of m is out of date.
func (l *Leader) handsChanged(m *member) {
	m.outlook.valid, m.outlook.changed = false, l.now
	m.seat.stale = true
}

// distance notes how far m is.
func (l *Leader) distance(m *member) {
	if m.outlook.rtt = l.known[m.id].RTT; m.id == l.opts.Self {
		m.outlook.rtt = 0
	}
}

// freeAt returns when each slot of m is free. A run that should be over by now
// makes it look again.
func (l *Leader) freeAt(m *member) []time.Time {
	o := &m.outlook
	if !o.valid || !m.idle() && len(o.free) > 0 && !o.free[0].After(l.now) {
		l.foresee(m)
	}
	return o.free
}

// foresee works out when the slots of m are free, what runs before what waits.
func (l *Leader) foresee(m *member) {
	o := &m.outlook
	o.valid, o.memory = true, 0
	o.free = slices.Grow(o.free[:0], m.join.Slots)
	for range m.join.Slots {
		o.free = append(o.free, time.Time{})
	}
	for _, s := range l.byBegin(m) {
		o.memory += l.step(s).Memory
		if len(o.free) == 0 {
			continue
		}
		expected := runTime(l.work(s), m.speed())
		if at := l.tasks[s].begunAt(m.id); !at.IsZero() {
			book(o.free, l.now.Add(left(expected, l.now.Sub(at))))
		} else {
			book(o.free, latest(o.free[0], l.tasks[s].givenAt.Add(m.arrives())).Add(expected))
		}
	}
}

// byBegin are the steps in m's hands, in the order in which they began, or are
// going to.
func (l *Leader) byBegin(m *member) []Step {
	steps := sortedSteps(m.hands)
	begun := func(s Step) time.Time {
		if at := l.tasks[s].begunAt(m.id); !at.IsZero() {
			return at
		}
		return l.now.Add(1) // after all that have
	}
	slices.SortStableFunc(steps, func(a, b Step) int {
		return cmp.Or(begun(a).Compare(begun(b)), l.tasks[a].givenAt.Compare(l.tasks[b].givenAt))
	})
	return steps
}

// book takes the slot that is free first, until a time.
func book(free []time.Time, until time.Time) {
	at := 0
	for ; at+1 < len(free) && free[at+1].Before(until); at++ {
		free[at] = free[at+1]
	}
	free[at] = until
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// work is what a step is believed to take, in BPU-seconds, or taken to.
func (l *Leader) work(s Step) float64 {
	if w, _ := l.expect(s); w > 0 {
		return w
	}
	return l.deps.cost[s]
}

// arrives is how long a step takes from its assignment until it could run on
// m, beside its bytes.
func (m *member) arrives() time.Duration {
	if m.arrival > 0 {
		return m.arrival
	}
	return unknownArrival + 2*m.outlook.rtt
}

// share is bytes of a step's inputs that a member has.
type share struct {
	of    *member
	bytes int64
}

// inputs are who has how much of what a step reads; nil before it was looked at.
type inputs struct {
	shares     []share
	inputBytes int64
	// lacked is what of it whoever has the step lacked.
	lacked int64
}

// localize notes at each member which bytes of the step's inputs it has, and
// returns how many there are.
func (l *Leader) localize(s Step) int64 {
	t := &l.tasks[s]
	if t.shares == nil {
		l.findShares(s)
	}
	l.looks++
	for _, sh := range t.shares {
		sh.of.outlook.step, sh.of.outlook.local = l.looks, sh.bytes
	}
	return t.inputBytes
}

// findShares finds out who has inputs of a step, and how many there are.
func (l *Leader) findShares(s Step) {
	t := &l.tasks[s]
	l.looks++
	t.inputBytes = sourceBytes
	add := func(id peer.ID, bytes int64) {
		m, ok := l.crew[id]
		if !ok {
			return
		}
		if m.outlook.step != l.looks {
			m.outlook.step, m.outlook.local = l.looks, 0
			t.shares = append(t.shares, share{of: m})
		}
		m.outlook.local += bytes
	}
	add(l.opts.Initiator, sourceBytes)
	if home, ok := l.homes[l.step(s).Package]; ok && home != l.opts.Initiator && l.partition() == place.Hybrid {
		add(home, sourceBytes)
	}
	for _, on := range l.deps.below[s] {
		r := &l.record.Steps[on]
		size := outputSize(r)
		if t.inputBytes += size; size == 0 || r.Done == nil {
			continue
		}
		if r.Secured && !slices.Contains(r.Done.Holders, l.opts.Initiator) {
			add(l.opts.Initiator, size)
		}
		for _, id := range r.Done.Holders {
			add(id, size)
		}
	}
	for i := range t.shares {
		t.shares[i].bytes = t.shares[i].of.outlook.local
	}
}

// moving is how long the bytes take that m lacks of a step that was localized.
func (l *Leader) moving(inputs int64, m *member) time.Duration {
	o := &m.outlook
	if o.step == l.looks {
		inputs -= o.local
	}
	if inputs <= 0 {
		return 0
	}
	return o.rtt + seconds(float64(inputs)/m.bandwidth())
}

// bandwidth is that to m, in bytes a second.
func (m *member) bandwidth() float64 {
	if m.outlook.bandwidth > 0 {
		return m.outlook.bandwidth
	}
	if m.outlook.rtt >= distant && m.line.homing > 0 {
		return unknownFar // so little came that it said nothing
	}
	return unknownBandwidth
}

// lacking is how many bytes m lacks of what a step reads.
func (l *Leader) lacking(s Step, m *member) int64 {
	bytes := l.localize(s)
	if m.outlook.step == l.looks {
		bytes -= m.outlook.local
	}
	return max(bytes, 0)
}

// measure takes how long the bytes of a step took to m.
func (l *Leader) measure(s Step, m *member, t Timings) {
	m.carried(l.tasks[s].lacked, t.Fetch)
}

// carried takes how long bytes took to m, or from there.
func (m *member) carried(bytes int64, took time.Duration) {
	if bytes >= tellingBytes && took > 0 {
		m.carries(float64(bytes) / took.Seconds())
	}
}

// homed takes how long outputs took from m to the initiator: of a distant member
// fewer bytes tell of its line, since their number is known.
func (m *member) homed(bytes int64, took time.Duration) {
	o := &m.outlook
	if o.rtt < distant || bytes < tellingFar || took < tellingTrips*o.rtt {
		m.carried(bytes, took)
		return
	}
	carried := float64(bytes) / (took - o.rtt).Seconds()
	if o.bandwidth = max(o.bandwidth, carried); carried < o.bandwidth { // what else was on the line counts less
		m.carries(carried)
	}
}

// carries takes one more bandwidth into the moving mean.
func (m *member) carries(measured float64) {
	o := &m.outlook
	if o.bandwidth == 0 {
		o.bandwidth = measured
		return
	}
	o.bandwidth += learning * (measured - o.bandwidth)
}
