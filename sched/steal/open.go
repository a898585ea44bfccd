package steal

import (
	"slices"
	"time"

	"github.com/buildnet/buildnet/sched/action"
)

// What follows is what the leader of an open build does beside. Its initiator adds
// steps, which go into the log before anything else is said of them; takes some
// back; and shuts the build, which may end from there on. A build in which nothing
// is left to do, but which may grow, rests: those who keep its log say as seldom
// that they live as a worker on whom nothing depends.

// Messages of an open build.
type (
	// Add adds steps to an open build, behind First others: the initiator says it.
	// A leader passes over those that it has, and over all if it lacks one before.
	Add struct {
		First Step
		Steps []action.Step
	}
	// Drop says that nobody needs a step any more: it is given up, unless it has a
	// result.
	Drop struct{ Step Step }
	// Shut says that nothing is added any more.
	Shut struct{}
)

func (Add) message()  {}
func (Drop) message() {}
func (Shut) message() {}

// Unneeded is why a step was given up that was dropped.
const Unneeded = "nobody needs it any more"

// opening is what the leader of an open build has beside.
type opening struct {
	// loads are the ops that carry steps, for the bytes that are on their way.
	loads []load
	// settledTo is how many steps from the first on have a result that is secured,
	// or were given up, at least.
	settledTo int
	// firstAt is when a step was added that the leader did not inherit.
	firstAt time.Time
	resting bool
	savings savings
	early   []early // of steps that have not come
}

// load is the bytes of the steps in a log, up to an op.
type load struct {
	index uint64
	bytes int
}

// manyAdded are so many steps at once that they are sorted with those that are
// ready, and not put in their places one by one.
const manyAdded = 32

// fewLeft are so few open steps that their levels are worked out anew when one is
// added; with more of them they are when a part of them has changed.
const fewLeft = 256

// mayGrow reports whether steps may come yet.
func (l *Leader) mayGrow() bool { return l.opts.Plan.Open && !l.record.Shut }

// add takes steps of the initiator. A leader that is told at last what it lacks
// waits to be followed from then on.
func (l *Leader) add(a Add) {
	have := len(l.tasks)
	known := have - int(a.First)
	if !l.mayGrow() || known < 0 || known >= len(a.Steps) {
		return
	}
	l.toldAt = l.now
	op, asked := Op{Kind: OpAdded, Step: Step(have), Steps: a.Steps[known:]}, len(l.specs)
	if !l.bears(op.Steps) || l.record.Apply(op) != nil {
		return // no initiator of ours says it
	}
	l.logAdded(op)
	l.grow(op.Steps, l.waited())
	for s := Step(have); int(s) < len(l.tasks); s++ {
		l.tasks[s].phase = Blocked.To(Ready)
		if len(op.Steps) <= manyAdded {
			l.ready = insert(l.ready, s, l.deps.reversed)
		} else {
			l.ready = append(l.ready, s)
		}
	}
	if len(op.Steps) > manyAdded {
		slices.SortFunc(l.ready, l.deps.reversed)
	}
	if len(l.tasks)-l.oldest() <= fewLeft {
		l.levels.Levels = nil
	}
	l.askMore(asked)
	l.takeEarly()
}

// logAdded logs steps that are in the record.
func (l *Leader) logAdded(op Op) {
	l.log = append(l.log, op)
	l.loads = append(l.loads, load{uint64(len(l.log)), l.record.bytes})
}

// patience is by how many BPU-seconds a step gains on those that come later, for
// each second that it waits for them to come: or else a step that is believed to
// take a little less than all others would be the last one, however long they
// keep coming. A client of 64 actions at once had some of them wait for as long as
// it had others. It is little, since what more work waits for is to go first.
const patience = 0.02

// waited is what steps that were there when the first ones were added have gained.
func (l *Leader) waited() float64 {
	if l.firstAt.IsZero() {
		l.firstAt = l.now
	}
	return patience * l.now.Sub(l.firstAt).Seconds()
}

// grow makes room for steps that are in the record.
func (l *Leader) grow(steps []action.Step, waited float64) {
	l.deps.grow(steps, waited)
	l.demand(steps)
	for range steps {
		l.tasks = append(l.tasks, task{phase: Blocked})
	}
}

// demand takes what steps need.
func (l *Leader) demand(steps []action.Step) {
	l.demands.add(steps)
	for len(l.queued) < len(l.needs) {
		l.queued, l.ableAt, l.neededAt = append(l.queued, nil), append(l.ableAt, time.Time{}), append(l.neededAt, l.now)
	}
}

// drop gives up what nobody needs.
func (l *Leader) drop(s Step) {
	if !l.opts.Plan.Open || !l.record.Steps[s].open() {
		return
	}
	l.withdraw(s, "")
	l.giveUp(s, Unneeded)
}

// shut notes that nothing is added any more. From here on another could go on with
// the build.
func (l *Leader) shut() {
	if l.mayGrow() {
		l.append(Op{Kind: OpShut})
		l.bequeath = l.bequeathable()
	}
}

// maxLoad bounds the bytes of steps that are on their way to one who keeps the
// log: what is queued for a peer is bounded.
const maxLoad = 8 << 20

// laden reports whether as much is on its way to m.
func (l *Leader) laden(m *member) bool {
	return len(l.loads) > 0 && l.loadTo(m.logSent)-l.loadTo(m.logAcked) >= maxLoad
}

// loadTo are the bytes of steps up to an op of the log.
func (l *Leader) loadTo(index uint64) int {
	at, exact := slices.BinarySearchFunc(l.loads, index, func(o load, index uint64) int {
		if o.index < index {
			return -1
		}
		return int(min(o.index-index, 1))
	})
	switch {
	case exact:
		return l.loads[at].bytes
	case at == 0:
		return 0
	default:
		return l.loads[at-1].bytes
	}
}

// oldest is the first step that may not be settled.
func (l *Leader) oldest() int {
	for l.settledTo < len(l.tasks) && l.record.Steps[l.settledTo].Settled() {
		l.settledTo++
	}
	return l.settledTo
}

// rest has an open build rest in which nothing is to be done, and all is where it
// has to be.
func (l *Leader) rest() {
	if l.resting || !l.mayGrow() || !l.following || !l.idle() {
		return
	}
	l.resting = true
	for _, id := range l.keepers() {
		if m := l.crew[id]; m.link == Up {
			l.send(id, Beat{Commit: l.commit, Calm: true})
		}
	}
}

func (l *Leader) idle() bool {
	return l.hearUntil.IsZero() && l.assigned+l.held+l.unsecured+len(l.ready)+len(l.resolving) == 0 &&
		l.commit == uint64(len(l.log)) && !slices.ContainsFunc(l.queued, func(q []Step) bool { return len(q) > 0 })
}

// stir ends the rest when there is something to log. On those who keep the log
// much depends from now on, and they are told so by what they are sent.
func (l *Leader) stir() {
	if !l.resting || l.mayGrow() && l.idle() {
		return
	}
	l.resting, l.levels.Levels = false, nil
	for _, id := range l.keepers() {
		l.crew[id].heard = l.now
	}
}
