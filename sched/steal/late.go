package steal

// What was sent over a line and should be home by now, but has not even begun, waits
// for its inputs: the line is worse than it was believed to be. It is called back,
// whether anybody is idle or not, for what waits for it waits as well.

// callBack asks for what is late on its way to those who are far.
func (l *Leader) callBack() {
	if l.now.Before(l.lateAt) || l.assigned == 0 || l.initiator == nil {
		return
	}
	l.lateAt = l.now.Add(lookEvery)
	for _, m := range l.order {
		if m == l.initiator || m.join == nil || m.link != Up {
			continue
		}
		for _, s := range sortedSteps(m.hands) {
			if t := &l.tasks[s]; l.lacksInputs(m) && l.isLate(s, m) {
				m.arrived(l.now.Sub(t.givenAt)) // at the least
				l.handsChanged(m)
				t.recalled, t.wasLate = true, true
				l.send(m.id, Recall{Step: s})
			}
		}
	}
}

// isLate reports whether a step that m has not begun should be with the initiator by
// now, and would be much sooner if that ran it.
func (l *Leader) isLate(s Step, m *member) bool {
	t := &l.tasks[s]
	made := t.choice.made
	if made == nil || made.Peer != m.id || t.worker != m.id || t.backup != "" || t.recalled || t.wasLate || !t.startedAt.IsZero() ||
		l.now.Sub(t.choice.at) <= max(made.There, leastGain) {
		return false
	}
	work, home := l.work(s), l.initiator
	if home.join == nil || home.join.Slots == 0 {
		return false
	}
	there := left(m.arrives()+runTime(work, m.speed()), l.now.Sub(t.givenAt)) + l.home(s, m)
	here := max(0, l.freeAt(home)[0].Sub(l.now)) + runTime(work, home.speed())
	return there-here >= max(leastGain, here/5)
}

// lacksInputs reports whether m, which is distant, has a slot for what it has not
// begun.
func (l *Leader) lacksInputs(m *member) bool {
	return l.initiator != nil && l.way(m) >= distant && l.hasRoom(m)
}

// hasRoom reports whether m has a slot for what it has not begun: then its inputs
// are on their way.
func (l *Leader) hasRoom(m *member) bool {
	if len(m.hands) == 0 {
		return false
	}
	running := 0
	for s := range m.hands { // in any order
		if !l.tasks[s].begunAt(m.id).IsZero() {
			running++
		}
	}
	return running < m.join.Slots
}
