package steal

import "time"

// A step that has not begun is called back where another would be done with it
// sooner. It is for that member then, and no more are called back for a member
// than it has slots: or one that falls idle would have all of them fetched twice.

// recall asks for a step that has not begun, to give it to m: if it has meanwhile,
// it stays.
func (l *Leader) recall(b burden, m *member) {
	if !l.mayRecall(b) {
		return
	}
	t := &l.tasks[b.step]
	t.recalled, t.wasLate, t.meant = true, true, m
	m.meant++
	l.send(b.on.id, Recall{Step: b.step})
}

// room is how many steps would run on m at once, beside those that are called back
// for it.
func (m *member) room() int { return m.join.Slots - len(m.hands) - m.meant }

// unmean says that a step is called back for nobody any more.
func (t *task) unmean() {
	if t.meant != nil {
		t.meant.meant--
	}
	t.meant = nil
}

func (l *Leader) mayRecall(b burden) bool {
	return b.on.link == Up && l.now.Sub(l.tasks[b.step].givenAt) >= leastGain
}

// coming is how long the inputs of a step that was localized are believed to take
// to m.
func (l *Leader) coming(s Step, m *member) time.Duration {
	return max(l.seat(m).arrives, l.moving(l.tasks[s].inputBytes, m))
}

// anew is how long the inputs of a step that was localized take to m at least,
// since they have been on their way to another for long: as long, unless m lacks
// less of them, or its line is known to be faster by far. What is under way is not
// thrown away for what is only hoped of a line.
func (l *Leader) anew(b burden, m *member) time.Duration {
	bytes := l.tasks[b.step].inputBytes
	here := l.moving(bytes, m)
	if here == 0 {
		return 0
	}
	if m.outlook.bandwidth == 0 || b.on.outlook.bandwidth == 0 {
		return b.coming
	}
	there := l.moving(bytes, b.on)
	if there <= byFar*here {
		return b.coming
	}
	return time.Duration(float64(b.coming) * byFar * float64(here) / float64(there))
}
