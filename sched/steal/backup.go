package steal

import (
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
)

// A step that runs may be given to a second worker, its backup: the first
// result wins, and the other worker is told to leave it. What is here keeps
// who has it; whether it pays is decided in spare.go.

// has reports whether a member has the step, as its worker or as the backup.
func (t *task) has(id peer.ID) bool {
	return t.phase == Assigned && id != "" && (t.worker == id || t.backup == id)
}

// begunBy reports whether a member that has the step runs it.
func (t *task) begunBy(id peer.ID) bool {
	return t.phase == Assigned && !t.begunAt(id).IsZero()
}

// back gives a step that somebody has to a second worker.
func (l *Leader) back(s Step, m *member) {
	l.rely(m)
	t := &l.tasks[s]
	t.backup, t.givenAt = m.id, l.now
	m.hands[s] = struct{}{}
	l.handsChanged(m)
	l.backups++
}

// leave takes a step out of the hands of one of the two who have it, and reports
// whether it was so: the other one is its worker then.
func (l *Leader) leave(s Step, id peer.ID) bool {
	t := &l.tasks[s]
	if t.backup == "" || !t.has(id) {
		return false
	}
	if t.worker == id {
		t.worker, t.startedAt = t.backup, t.backedAt
	}
	delete(l.crew[id].hands, s)
	l.handsChanged(l.crew[id])
	l.unback(t)
	return true
}

func (l *Leader) unback(t *task) {
	if t.backup != "" {
		l.backups--
		l.atStake -= t.stake
	}
	t.backup, t.stake, t.trial, t.backedAt = "", 0, false, time.Time{}
}

// takeBack puts a step back that a member has no more, unless another has it as
// well.
func (l *Leader) takeBack(s Step, id peer.ID) {
	if !l.leave(s, id) {
		l.again(s)
	}
}

// emptyHands takes a step out of all hands.
func (l *Leader) emptyHands(s Step) {
	t := &l.tasks[s]
	for _, id := range [2]peer.ID{t.worker, t.backup} {
		if id != "" {
			delete(l.crew[id].hands, s)
			l.handsChanged(l.crew[id])
		}
	}
	l.unback(t)
	t.worker, t.startedAt, t.recalled = "", time.Time{}, false
}

// withdraw tells whoever has the step in its hands, but one, to leave it.
func (l *Leader) withdraw(s Step, but peer.ID) {
	t := &l.tasks[s]
	if t.phase != Assigned {
		return
	}
	for _, id := range [2]peer.ID{t.worker, t.backup} {
		if id != "" && id != but {
			l.revoke(id, s)
		}
	}
}
