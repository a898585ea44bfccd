package steal

import (
	"cmp"
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
)

// What follows keeps members busy that have nothing to do. Where a step would
// be done sooner on such a member than where it is, it is taken back if it has
// not begun, and else given to that member as well (Zaharia et al., Improving
// MapReduce Performance in Heterogeneous Environments, 2008, section 4: LATE;
// Ananthanarayanan et al., Reining in the Outliers in Map-Reduce Clusters using
// Mantri, 2010, section 5.2).

const (
	// lookEvery is how often it is looked for steps that are too slow.
	lookEvery = 20 * time.Millisecond
	// soon is how long it takes to find out what action a step is, unless another
	// build has it in hand.
	soon = 100 * time.Millisecond
	// leastGain is by how much a step must be done sooner elsewhere to be moved
	// there: less is within what nobody can tell. It is a fifth of the run as
	// well.
	leastGain = 50 * time.Millisecond
	// slack is what a run may take beside its command before it says something of
	// whoever runs it.
	slack = 200 * time.Millisecond
	// MaxWaste is the share of the work done so far that backups may come to
	// where nobody is slow for certain. overrun is what a backup may cost more
	// than was believed before it is ended.
	MaxWaste = 0.05
	overrun  = 1.25
	// BackupShare is how many slots of the crew there are for each backup at once.
	BackupShare = 10
	// LeastBackups there may be always.
	LeastBackups = 2
	// surelyLate is how many times its expected run a step has to have taken, all
	// by itself, for it to be a straggler whatever it was expected to take;
	// lateTogether is that where another one is as late on the same member; and
	// crawling is the pace at which a member is one that lags.
	surelyLate   = 4
	lateTogether = 2.5
	crawling     = 0.4
)

// burden is a step in somebody's hands, and how long it is believed to stay
// there.
type burden struct {
	step  Step
	on    *member
	work  float64
	left  time.Duration
	begun bool
	// coming is for how long its inputs have been on their way; 0 if it waits for a
	// slot.
	coming time.Duration
	// surely says that the member that runs it is slow, whatever the step is; apart
	// that others of its kind were over long before.
	surely, apart bool
}

// spare gives those who have nothing to do what others are too slow with.
func (l *Leader) spare() {
	if l.now.Before(l.lookAt) || l.assigned == 0 {
		return
	}
	l.lookAt = l.now.Add(lookEvery)
	l.endVain()
	if l.expects() || l.busy() {
		return
	}
	idle := l.idlers()
	if len(idle) == 0 {
		return
	}
	l.observe()
	l.rounds++
	best := l.bestOf(idle)
	for _, b := range l.burdens() {
		if l.hopeless(b, best) {
			continue
		}
		m := l.quickest(b, idle)
		if m == nil {
			continue
		}
		if !b.begun {
			l.recall(b, m)
		} else if l.mayBack(b, m) {
			l.giveBackup(b, m)
		}
		if m.room() <= 0 {
			idle = slices.DeleteFunc(idle, func(o *member) bool { return o == m })
		}
	}
}

// expects reports whether there is about to be work for those who have nothing.
// A step whose action another build makes is no such work: it may take minutes.
func (l *Leader) expects() bool {
	n := len(l.resolving)
	return n > 0 && l.now.Sub(l.tasks[l.resolving[n-1]].askedAt) < soon
}

// idlers are the members with a free slot for which nothing is queued.
func (l *Leader) idlers() []*member {
	var idle []*member
	for _, m := range l.order {
		if m.join == nil || !l.takes(m) || m.room() <= 0 || !l.admits(m) || l.trusts(m) != Trusted {
			continue
		}
		waits := slices.IndexFunc(l.queued, func(q []Step) bool {
			return len(q) > 0 && l.able(l.needs[l.needOf[q[0]]], m)
		})
		if waits < 0 {
			idle = append(idle, m)
		}
	}
	return idle
}

// burdens are the steps that one member has, those that take longest first.
func (l *Leader) burdens() []burden {
	var list []burden
	for _, m := range l.order {
		if m.join == nil || len(m.hands) == 0 {
			continue
		}
		list = append(list, l.burdensOf(m)...)
	}
	slices.SortStableFunc(list, func(a, b burden) int { return cmp.Compare(b.left, a.left) })
	return list
}

func (l *Leader) burdensOf(m *member) []burden {
	var list []burden
	total, hasRoom := time.Duration(0), l.hasRoom(m)
	far := hasRoom && l.way(m) >= distant
	for _, s := range sortedSteps(m.hands) {
		t := &l.tasks[s]
		work, measured := l.expect(s)
		if work <= 0 {
			continue
		}
		b := burden{step: s, on: m, work: work}
		expected := runTime(work, m.bpu()*min(m.paceOf(), 1))
		if at := t.begunAt(m.id); !at.IsZero() {
			elapsed := l.now.Sub(at)
			b.begun = true
			b.left = left(expected, elapsed)
			b.surely = measured && l.straggles(m, runTime(work, m.bpu()), elapsed)
			b.apart = !measured && l.apart(s, m, elapsed)
		} else {
			b.left = runTime(work, m.speed())
			if hasRoom {
				b.coming = l.now.Sub(t.givenAt)
			}
			if late := b.coming - m.arrives(); far && late > 0 && !t.wasLate {
				b.left += late
			}
		}
		total += b.left
		if t.backup == "" && !t.recalled {
			list = append(list, b)
		}
	}
	for i := range list {
		b := &list[i]
		if !b.begun && len(m.hands) > m.join.Slots {
			b.left += (total - b.left) / time.Duration(max(m.join.Slots, 1))
		}
		b.left += l.home(b.step, m)
	}
	return list
}

// straggles reports whether a run is late because of the member that it is on.
func (l *Leader) straggles(m *member, expected, elapsed time.Duration) bool {
	beyond := func(times float64) bool { return elapsed > time.Duration(times*float64(expected))+slack }
	return beyond(surelyLate) || beyond(lateTogether) && m.late > 1 || beyond(lateBy) && m.paceOf() < crawling
}

// begunAt is when a member that has the step began to run it; zero if it did
// not.
func (t *task) begunAt(id peer.ID) time.Time {
	switch id {
	case t.worker:
		return t.startedAt
	case t.backup:
		return t.backedAt
	default:
		return time.Time{}
	}
}

// hadSince is since when a member has the step, or runs it.
func (t *task) hadSince(id peer.ID) time.Time {
	if at := t.begunAt(id); !at.IsZero() && at.Before(t.givenAt) {
		return at
	}
	return t.givenAt
}

// bestOf is a point that none of the members is better than.
func (l *Leader) bestOf(members []*member) point {
	best := point{delay: longest}
	for _, m := range members {
		st := l.seat(m)
		best.delay, best.speed = min(best.delay, st.arrives), max(best.speed, st.speed)
	}
	return best
}

// hopeless reports whether nothing comes of a look at who could take over a
// step, as far as can be told without one: members that are idle are no better
// than best.
func (l *Leader) hopeless(b burden, best point) bool {
	t := &l.tasks[b.step]
	switch {
	case !l.looked(b.step):
		return false
	case !b.gains(best.delay + runTime(b.work, best.speed)):
		return true
	case !b.begun:
		return !l.mayRecall(b)
	case flawBackups:
		return false
	}
	elapsed := l.now.Sub(t.begunAt(b.on.id))
	least := elapsed.Seconds() * b.on.bpu()
	if b.apart {
		least = b.work
	}
	return !l.backs(b) || !b.surely && !l.affords(least)
}

// looked reports whether a look at a step leaves nothing behind of how things
// are now.
func (l *Leader) looked(s Step) bool { return l.step(s).Memory == 0 && l.tasks[s].shares != nil }

// gains reports whether a step is done much sooner if it takes so long from now.
func (b *burden) gains(took time.Duration) bool { return b.left-took >= max(leastGain, took/5) }

// quickest is the idle member that would be done with a step first, if that is
// much sooner than whoever has it.
func (l *Leader) quickest(b burden, idle []*member) *member {
	looked := l.looked(b.step)
	if looked {
		l.localize(b.step)
	}
	var best *member
	var soonest time.Duration
	for _, m := range idle {
		if m == b.on || !looked && !l.suits(b.step, m) {
			continue
		}
		if !looked {
			l.localize(b.step)
		}
		took := l.taking(b.step, m, b.work)
		if b.coming > 0 {
			took += max(0, l.anew(b, m)-l.coming(b.step, m))
		}
		if !b.gains(took) || best != nil && took >= soonest || looked && !l.suits(b.step, m) {
			continue
		}
		best, soonest = m, took
	}
	return best
}

// suits reports whether a step could be moved to m.
func (l *Leader) suits(s Step, m *member) bool {
	return l.able(l.needs[l.needOf[s]], m) && !slices.Contains(l.tasks[s].avoid, m.id) && l.roomy(s, m)
}

// roomy reports whether a step fits into the memory of m, beside what is in its
// hands, as far as that is known.
func (l *Leader) roomy(s Step, m *member) bool {
	needs, has := l.step(s).Memory, m.join.Memory
	if needs == 0 || has == 0 {
		return true
	}
	l.freeAt(m)
	return m.outlook.memory+needs <= has
}

// mayBack reports whether a step that runs may be given to m as well.
func (l *Leader) mayBack(b burden, m *member) bool {
	return flawBackups || l.backs(b) && (b.surely || l.affords(l.stake(b, m)))
}

// backs reports whether a step that runs may be given to anybody else. One that
// cost a worker may be what did it.
func (l *Leader) backs(b burden) bool {
	r := &l.record.Steps[b.step]
	return l.record.Mode == Whole && r.Lost+l.doubtful(r) == 0 && l.declares() &&
		(l.backups < LeastBackups || l.backups < l.slots()/BackupShare)
}

// affords reports whether a backup may be in vain that comes to so much.
func (l *Leader) affords(stake float64) bool {
	return l.wasted+l.atStake+stake <= MaxWaste/overrun*l.exp.work
}

// stake is what is in vain, in BPU-seconds, whoever of the two is first. Of a trial it
// is what that takes: if it is first, the other run was in vain before.
func (l *Leader) stake(b burden, m *member) float64 {
	took := l.fresh(b.step, m, b.work)
	if b.apart {
		return took.Seconds() * m.bpu()
	}
	elapsed := l.now.Sub(l.tasks[b.step].begunAt(b.on.id))
	return max((elapsed+took).Seconds()*b.on.bpu(), min(took, b.left).Seconds()*m.bpu())
}

// declares reports whether what is logged now goes out now.
func (l *Leader) declares() bool {
	m := l.crew[l.opts.Initiator]
	return m.link == Up && m.logSent-m.logAcked < maxUnacked/2
}

func (l *Leader) slots() int {
	n := 0
	for _, m := range l.order {
		if m.join != nil {
			n += m.join.Slots
		}
	}
	return n
}

func (l *Leader) giveBackup(b burden, m *member) {
	t := &l.tasks[b.step]
	stake := l.stake(b, m)
	l.append(Op{Kind: OpBackup, Step: b.step, Peer: m.id})
	l.back(b.step, m)
	t.trial = b.apart
	if t.stake = stake; b.surely {
		t.stake = 0
	}
	l.atStake += t.stake
	m.given++
	l.send(m.id, Assign{Step: b.step, Name: l.step(b.step).ID, Action: t.action, Holders: l.holders(b.step)})
}

// endVain ends backups that have come to more than they were to cost.
func (l *Leader) endVain() {
	if l.backups == 0 || flawBackups {
		return
	}
	for i := range l.tasks {
		t, s := &l.tasks[i], Step(i)
		if t.backup == "" || t.stake == 0 {
			continue
		}
		spent := l.spent(t, t.backup)
		if !t.trial {
			spent = max(spent, l.spent(t, t.worker))
		}
		if m := l.crew[t.backup]; spent > overrun*t.stake && m.link == Up {
			l.wasted += l.spent(t, m.id)
			l.revoke(m.id, s)
			l.leave(s, m.id)
		}
	}
}

// spent is what a member has run of a step, in BPU-seconds.
func (l *Leader) spent(t *task, id peer.ID) float64 {
	at := t.begunAt(id)
	if at.IsZero() {
		return 0
	}
	return l.now.Sub(at).Seconds() * l.crew[id].bpu()
}

// raced counts what a backup came to when the first of the two is done, which ran for
// so long.
func (l *Leader) raced(s Step, winner *member, took time.Duration) {
	t := &l.tasks[s]
	if t.backup == "" {
		return
	}
	loser := t.worker
	if loser == winner.id {
		loser = t.backup
	}
	if t.trial && loser == t.worker {
		l.proves(t, took, winner, l.crew[loser])
		return
	}
	l.wasted += l.spent(t, loser)
}
