package steal

import (
	"slices"
	"time"

	"github.com/buildnet/buildnet/sched/place"
)

const (
	// Patience is how long a step waits for a member that could run it, once
	// none can.
	Patience = 5 * time.Second
	// LookTime is how long it waits for another than the initiator that has yet to say
	// which toolchains it has: a first look takes seconds, many times that on a busy
	// machine. The initiator is waited for as long as it lives.
	LookTime = time.Minute
)

// endHearing ends the hearing when all of the crew have been heard, or when it
// took too long. A leader that the initiator does not follow has no build.
func (l *Leader) endHearing() {
	hearing := !l.hearUntil.IsZero()
	late := hearing && !l.now.Before(l.hearUntil)
	switch {
	case !l.following:
		// One that is told of steps, more than a message has, is about to be followed.
		if (late || l.now.Sub(l.openedAt) >= FollowTime) && l.now.Sub(l.toldAt) >= HearingTime {
			l.abandon()
		}
	case hearing && (late || l.allHeard()):
		l.hearUntil = time.Time{}
	}
}

// allHeard reports whether nobody is left to be heard. The predecessor, whose
// silence is why this epoch began, is waited for no longer than its answer would
// take if it lived: a few times what the slowest of the others needed.
func (l *Leader) allHeard() bool {
	for _, m := range l.order {
		if m.link != Gone && m.join == nil && m.id != l.opts.Predecessor {
			return false
		}
	}
	before := l.crew[l.opts.Predecessor]
	return before == nil || before.link == Gone || before.join != nil ||
		l.now.Sub(l.openedAt) >= max(LeastHearing, 3*l.slowest)
}

// allJoined reports whether everybody who is called has joined or is lost.
func (l *Leader) allJoined() bool {
	return !slices.ContainsFunc(l.order, func(m *member) bool {
		return m.link != Gone && m.join == nil
	})
}

// able reports whether m could run steps of the need.
func (l *Leader) able(n need, m *member) bool {
	if m.join == nil || m.join.Slots == 0 || n.initiator && m.id != l.opts.Initiator {
		return false
	}
	if l.opts.Plan.Modes.Local && m.id != l.opts.Initiator {
		return false
	}
	if n.home && m.id != l.opts.Initiator && l.atHome(n) {
		return false
	}
	return n.lacks(m.join) == ""
}

// atHome reports whether the initiator takes steps of the need, or may: it has
// not joined yet.
func (l *Leader) atHome(n need) bool {
	home := l.initiator
	return home != nil && home.link != Gone && (home.join == nil || l.able(n, home))
}

// impossible says what no member has of that which a need asks for, or returns
// "" while one has it, or may yet come.
func (l *Leader) impossible(i int) string {
	n := l.needs[i]
	since := l.lackedSince(i)
	lack, slotless, looks := "", false, false
	for _, m := range l.order {
		if l.able(n, m) {
			l.ableAt[i] = l.now
			return ""
		}
		if m.occupied && !n.initiator {
			return ""
		}
		if l.mayHave(n, m) && (m.id == l.opts.Initiator || l.now.Sub(since) < LookTime) {
			looks = true
		}
		if m.join != nil && (!n.initiator || m.id == l.opts.Initiator) {
			if lacks := n.lacks(m.join); lack == "" || lacks != "" && m.id == l.opts.Initiator {
				lack = lacks
			}
			slotless = slotless || m.join.Slots == 0
		}
	}
	if lack == "" && slotless {
		lack = "a member that takes work"
	}
	neverWas := l.ableAt[i].IsZero() && l.allJoined()
	if lack == "" || looks || !neverWas && l.now.Sub(since) < Patience {
		return ""
	}
	if n.initiator {
		return "it runs on the initiator alone, which lacks " + lack
	}
	return "no peer can run this: needs " + lack + "; start a node that has it, or change the step's platform or tools"
}

// lackedSince is when somebody could last run steps of a need, or when they came if
// nobody ever could.
func (l *Leader) lackedSince(i int) time.Time {
	if at := l.ableAt[i]; !at.IsZero() {
		return at
	}
	return latest(l.openedAt, l.neededAt[i])
}

// assignQueue gives the queued steps of one need to those who want work, those
// that most work waits for first.
func (l *Leader) assignQueue(n int) {
	if len(l.queued[n]) == 0 {
		return
	}
	if lack := l.impossible(n); lack != "" {
		for _, s := range slices.Clone(l.queued[n]) {
			l.giveUp(s, lack)
		}
		return
	}
	r := l.newRound(n)
	if len(r.able) == 0 {
		l.waitsForOwner(n)
	}
	if len(r.free) == 0 {
		return
	}
	vain, demanding := 0, 0
	most := min(maxLook, max(leastLook, maxOffers/len(r.able)))
	scan := min(maxScan, maxScans/len(r.able))
	ahead := l.upcoming(n, most)
	for at := 0; at < len(l.queued[n]); {
		s := l.queued[n][at]
		if len(r.free) == 0 || vain >= most+scan || l.busy() {
			return
		}
		for len(ahead) > 0 && l.deps.order(ahead[0], s) < 0 {
			r.expect(ahead[0])
			ahead = ahead[1:]
		}
		if r.left = len(l.queued[n]) - at; vain >= most && !r.hopeful(s) {
			at, vain = at+1, vain+1
			continue
		}
		if m := r.choose(s); m != nil {
			r.give(s, m)
			continue
		}
		at++
		if r.undemanding(s) {
			vain++
			continue
		}
		if demanding == 0 {
			r.waitsForMemory(s)
		}
		if demanding += len(r.free); demanding > maxDemanding { // whoever may not have it is of use to those behind it
			return
		}
	}
}

// upcoming are the first steps that are about to be in a queue, in its order: who
// comes first must not be a matter of whose action was found out first.
func (l *Leader) upcoming(n, most int) []Step {
	if l.opts.Plan.Modes.Policy.Strategy != place.Smart {
		return nil
	}
	var steps []Step
	for _, s := range slices.Backward(l.resolving) {
		if l.now.Sub(l.tasks[s].askedAt) >= soon {
			break
		}
		if l.needOf[s] == n {
			steps = append(steps, s)
		}
	}
	slices.SortFunc(steps, l.deps.order)
	return steps[:min(len(steps), most)]
}

// Limits of the steps of a queue that are looked at in vain: they are kept for
// members that are busy, and so are those behind them. With a large crew there
// are fewer, so that a look costs the same.
const (
	maxLook, leastLook = 64, 4
	maxOffers          = 512
	// maxScan is how many more are looked at for those who are free, and of no use
	// to what comes before: fewer, too, with a large crew.
	maxScan, maxScans = 256, 4096
	// maxDemanding bounds the members that are looked at for steps which some of
	// them may not have: they have no memory for it, or it went wrong there.
	maxDemanding = 1 << 15
)

func (l *Leader) busy() bool {
	jobs := l.opts.Plan.Modes.Jobs
	return jobs > 0 && l.assigned+l.held+l.backups >= jobs
}

// takes reports whether m has use for one more step. Where running steps are
// bounded nobody hoards what another could run now.
func (l *Leader) takes(m *member) bool {
	return m.free() > 0 && !l.taxed(m) && (l.opts.Plan.Modes.Jobs == 0 || len(m.hands) < max(m.join.Slots, 1))
}

func (l *Leader) give(s Step, m *member) {
	l.assign(s, m)
	m.given++
	l.send(m.id, Assign{Step: s, Name: l.step(s).ID, Action: l.tasks[s].action, Holders: l.holders(s)})
}

func (l *Leader) canInitiate(s Step) bool {
	return l.able(l.needs[l.needOf[s]], l.initiator)
}

func outputSize(r *StepRecord) int64 {
	if r.Result == nil {
		return 0
	}
	size := int64(0)
	for i := range r.Result.Outputs {
		size += r.Result.Outputs[i].Digest.Size()
	}
	return size
}
