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
	// sourceBytes stands for the sources of a step, whose sizes a leader does
	// not know: they are with the initiator.
	sourceBytes = 64 << 10
)

// endHearing ends the hearing when all of the crew have been heard, or when it
// took too long. A leader that the initiator does not follow has no build.
func (l *Leader) endHearing() {
	hearing := !l.hearUntil.IsZero()
	late := hearing && !l.now.Before(l.hearUntil)
	switch {
	case !l.following:
		if late || l.now.Sub(l.openedAt) >= FollowTime {
			l.abandon()
		}
	case hearing && (late || l.allJoined()):
		l.hearUntil = time.Time{}
	}
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
	return n.lacks(m.join) == ""
}

// impossible says what no member has of that which a need asks for, or returns
// "" while one has it, or may yet come.
func (l *Leader) impossible(i int) string {
	n := l.needs[i]
	lack, slotless := "", false
	for _, m := range l.order {
		if l.able(n, m) {
			l.ableAt[i] = l.now
			return ""
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
	since := l.openedAt
	if at := l.ableAt[i]; !at.IsZero() {
		since = at
	}
	neverWas := l.ableAt[i].IsZero() && l.allJoined()
	if lack == "" || !neverWas && l.now.Sub(since) < Patience {
		return ""
	}
	if n.initiator {
		return "it runs on the initiator alone, which lacks " + lack
	}
	return "no peer can run this: needs " + lack + "; start a node that has it, or change the step's platform or tools"
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
	free, slots := l.takers(n)
	queue := slices.Clone(l.queued[n])
	for i, s := range queue {
		if len(free) == 0 || l.busy() {
			return
		}
		if len(queue)-i <= slots {
			free = slices.DeleteFunc(free, func(m *member) bool { return !m.idle() })
		}
		m := l.choose(s, free)
		if m == nil {
			continue
		}
		l.give(s, m)
		if !l.takes(m) {
			free = slices.DeleteFunc(free, func(o *member) bool { return o == m })
		}
	}
}

func (l *Leader) busy() bool {
	jobs := l.opts.Plan.Modes.Jobs
	return jobs > 0 && l.assigned+l.held+l.backups >= jobs
}

// takes reports whether m has use for one more step. Where running steps are
// bounded nobody hoards what another could run now.
func (l *Leader) takes(m *member) bool {
	return m.free() > 0 && !l.taxed(m) && (l.opts.Plan.Modes.Jobs == 0 || len(m.hands) < max(m.join.Slots, 1))
}

// takers returns who takes steps of a need, and how many of the last steps are
// to be kept for slots that are idle, or will be: to prepare on one what another
// could run sooner makes the end of a build long.
func (l *Leader) takers(n int) (free []*member, keep int) {
	ables := 0
	for _, m := range l.order {
		if !l.entrusts(l.needs[n], m) {
			continue
		}
		ables++
		keep += m.join.Slots
		if l.takes(m) {
			free = append(free, m)
		}
	}
	if ables < 2 {
		keep = 0
	}
	return free, keep
}

func (l *Leader) give(s Step, m *member) {
	l.assign(s, m)
	m.given++
	l.send(m.id, Assign{Step: s, Name: l.step(s).ID, Action: l.tasks[s].action, Holders: l.holders(s)})
}

// choose returns who of those with room suits the step best: somebody with an
// idle slot before somebody on whom it would wait. It is nobody if the step is
// to be run by others.
func (l *Leader) choose(s Step, free []*member) *member {
	var best *member
	var bestIdle bool
	var bestScore float64
	t := &l.tasks[s]
	fastest := l.fastest()
	last := l.record.Steps[s].Tries == MaxTries-1 && l.canInitiate(s)
	for _, m := range free {
		if last && m.id != l.opts.Initiator || slices.Contains(t.avoid, m.id) && l.othersAble(s) {
			continue
		}
		idle := m.idle()
		score := place.Score(l.suits(s, m, fastest))
		if best == nil || idle && !bestIdle || idle == bestIdle && score > bestScore {
			best, bestIdle, bestScore = m, idle, score
		}
	}
	return best
}

func (l *Leader) canInitiate(s Step) bool {
	return l.able(l.needs[l.needOf[s]], l.crew[l.opts.Initiator])
}

// othersAble reports whether the step could run where it did not go wrong yet.
func (l *Leader) othersAble(s Step) bool {
	return slices.ContainsFunc(l.order, func(m *member) bool {
		return !slices.Contains(l.tasks[s].avoid, m.id) && m.join != nil && m.join.Slots > 0 && l.able(l.needs[l.needOf[s]], m)
	})
}

// suits says how well m suits the step, in the terms of the score, where the
// fastest of the crew has so many BPU.
func (l *Leader) suits(s Step, m *member, fastest float64) place.Worker {
	w := place.Worker{
		BPU: m.speed(), FastestBPU: fastest, RTT: l.known[m.id].RTT,
		Busy: len(m.hands), Slots: m.join.Slots, InputBytes: sourceBytes,
	}
	if m.id == l.opts.Self {
		w.RTT = 0
	}
	if since := l.known[m.id].Since; !since.IsZero() {
		w.Known = l.now.Sub(since)
	}
	if m.id == l.opts.Initiator {
		w.LocalBytes = sourceBytes
	}
	for _, on := range l.deps.below[s] {
		r := &l.record.Steps[on]
		size := outputSize(r)
		w.InputBytes += size
		if m.id == l.opts.Initiator && r.Secured || r.Done != nil && slices.Contains(r.Done.Holders, m.id) {
			w.LocalBytes += size
		}
	}
	return w
}

func (l *Leader) fastest() float64 {
	fastest := 0.0
	for _, m := range l.order {
		if j := m.join; j != nil {
			fastest = max(fastest, j.BPU)
		}
	}
	return fastest
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
