package steal

import "slices"

const (
	// maxAppendBytes bounds the ops of one Append, roughly.
	maxAppendBytes = 256 << 10
	// maxUnacked bounds the ops on the way to one who keeps the log.
	maxUnacked = 4096
	// muteAfter is how long one who keeps the log may acknowledge nothing of what it
	// was sent: what is announced would wait for it for ever.
	muteAfter = 2 * Lease
)

// acked notes how far a member keeps the log.
func (l *Leader) acked(m *member, index uint64) {
	if index > m.logSent || index <= m.logAcked {
		return
	}
	m.logAcked, m.ackedAt = index, l.now
	l.advance()
}

// dismiss has nobody keep the log who lives, and does not acknowledge it.
func (l *Leader) dismiss() {
	for _, id := range l.keepers() {
		m := l.crew[id]
		if id == l.opts.Initiator || m.link != Up || m.logSent == m.logAcked || l.now.Sub(m.ackedAt) < muteAfter {
			continue
		}
		m.mute = true
		l.disinherit(id)
		if slices.Contains(l.record.Standbys, id) {
			l.nameStandbys()
		}
	}
}

// advance finds how far the log is where it has to be: with the initiator, and
// with a standby if there is one. One is enough: whatever the initiator has
// announced it tells every new leader. An heir that is ready has to keep it as
// well: if the initiator is lost nobody else can tell.
func (l *Leader) advance() {
	initiator, ok := l.crew[l.opts.Initiator]
	if !ok {
		return
	}
	safe := initiator.logAcked
	if len(l.record.Standbys) > 0 {
		kept := uint64(0)
		for _, id := range l.record.Standbys {
			kept = max(kept, l.crew[id].logAcked)
		}
		safe = min(safe, kept)
	}
	if l.record.Ready {
		safe = min(safe, l.heirKeeps())
	}
	if safe <= l.commit {
		return
	}
	l.commit = safe
	l.confirmReports()
	if l.record.Ended && l.commit == uint64(len(l.log)) {
		l.end()
	}
}

func (l *Leader) confirmReports() {
	n := 0
	for ; n < len(l.confirm) && l.confirm[n].index <= l.commit; n++ {
		// Who is not there reports again when it is.
		if c := l.confirm[n]; l.crew[c.to].link == Up {
			l.send(c.to, c.report)
		}
	}
	l.confirm = slices.Delete(l.confirm, 0, n)
}

// ship sends the log, and how far it is safe, to those who keep it.
func (l *Leader) ship() {
	if l.ended {
		return
	}
	for _, id := range l.keepers() {
		l.shipTo(l.crew[id])
	}
}

func (l *Leader) shipTo(m *member) {
	if m.link != Up {
		return
	}
	if m.ackedAt.IsZero() || m.logSent > 0 && m.logSent == m.logAcked {
		m.ackedAt = l.now
	}
	for m.logSent < uint64(len(l.log)) && m.logSent-m.logAcked < maxUnacked && !l.laden(m) {
		ops := cut(l.log[m.logSent:])
		l.send(m.id, Append{First: m.logSent + 1, Ops: ops, Commit: l.commit})
		m.logSent += uint64(len(ops))
		m.commitSent = l.commit
	}
	if m.commitSent < l.commit {
		m.commitSent = l.commit
		l.send(m.id, Beat{Commit: l.commit})
	}
}

// cut returns as many ops from the front as one message carries.
func cut(ops []Op) []Op {
	size := 0
	for i := range ops {
		size += ops[i].size()
		if i > 0 && size > maxAppendBytes || i == maxUnacked {
			return ops[:i:i]
		}
	}
	return ops[:len(ops):len(ops)]
}
