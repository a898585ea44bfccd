package steal

import (
	"cmp"
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/place"
)

// placing is what a leader keeps of where steps went, and are to go.
type placing struct {
	weights place.Weights
	homes   map[string]peer.ID // of packages
	turn    peer.ID            // who had the last step of a round
	levels  levels
	power   float64 // of the crew, in BPU
	fastest float64 // core of the crew, in BPU
	looks   uint64  // at steps, which outlooks are of
	rounds  uint64  // which seats are of
	round   round   // the last one, whose lists the next one takes over
	still   bool    // nothing has been said that gives anybody work
	// What steps wait for although members have room.
	memoryWait, ownerWait wait
}

// stays reports whether a message gives nobody anything to do, which is most of
// what is said: what little it changes is seen at the next Tick.
func stays(msg Message) bool {
	switch msg.(type) {
	case Ack, Beat, Started, Secured:
		return true
	default:
		return false
	}
}

// simple gives a step by one property of the members. Those with an idle slot
// come before those with whom it would wait; the last steps are for them alone:
// to prepare on one what another could run sooner makes the end of a build long.
func (r *round) simple(s Step) *member {
	last := len(r.able) > 1 && r.left <= r.slots
	var fit []*member
	idle := false
	for _, m := range r.free {
		if last && !m.idle() || idle && !m.idle() || !r.may(s, m) || !r.holds(s, m) {
			continue
		}
		if m.idle() && !idle {
			idle, fit = true, fit[:0]
		}
		fit = append(fit, m)
	}
	if len(fit) == 0 {
		return nil
	}
	if r.l.opts.Plan.Modes.Policy.Strategy == place.RoundRobin {
		return r.next(fit)
	}
	return slices.MinFunc(fit, r.order(s))
}

// next is who comes next in the round, by name.
func (r *round) next(fit []*member) *member {
	l := r.l
	at := slices.IndexFunc(fit, func(m *member) bool { return m.id > l.turn })
	m := fit[max(at, 0)]
	l.turn = m.id
	return m
}

// order compares members for a step by what the strategy looks at, then by how
// soon they would be done.
func (r *round) order(s Step) func(a, b *member) int {
	l := r.l
	inputs := l.localize(s)
	var by func(m *member) float64
	switch l.opts.Plan.Modes.Policy.Strategy {
	case place.LeastLoaded:
		by = func(m *member) float64 { return float64(len(m.hands)) / float64(max(m.join.Slots, 1)) }
	case place.Fastest:
		by = func(m *member) float64 { return -m.speed() }
	default: // place.Locality
		by = func(m *member) float64 { return float64(l.moving(inputs, m)) }
	}
	finish := func(m *member) time.Duration { return r.look(r.of(s), m, inputs).finish }
	return func(a, b *member) int {
		return cmp.Or(cmp.Compare(by(a), by(b)), cmp.Compare(finish(a), finish(b)))
	}
}

func (l *Leader) partition() place.Partition { return l.opts.Plan.Modes.Policy.Partition }

// atHome is the member that has the package of a step, if it is to have the
// step for that and has room.
func (r *round) atHome(s Step) *member {
	l := r.l
	if l.partition() != place.ByPackage {
		return nil
	}
	home := l.homes[l.step(s).Package]
	at := slices.IndexFunc(r.free, func(m *member) bool { return m.id == home })
	if at < 0 || !r.may(s, r.free[at]) || !r.holds(s, r.free[at]) {
		return nil
	}
	return r.free[at]
}

// settleAt notes who has a package: the first one for as long as it lives, or,
// where steps stay together only if that costs nothing, the last one.
func (l *Leader) settleAt(s Step, m *member) {
	name := l.step(s).Package
	if name == "" || l.partition() == place.ByFile {
		return
	}
	if home, ok := l.homes[name]; ok && l.partition() == place.ByPackage && l.crew[home].link != Gone {
		return
	}
	if l.homes == nil {
		l.homes = map[string]peer.ID{}
	}
	l.homes[name] = m.id
}
