package steal

import "time"

// lane is one direction of a stream: nothing overtakes, nothing is lost while
// the stream stands. Between the sides of a split it waits.
type lane struct {
	waiting []func()
}

func (st *stream) carry(l *lane, deliver func()) {
	l.waiting = append(l.waiting, deliver)
	if len(l.waiting) == 1 {
		st.pump(l)
	}
}

func (st *stream) pump(l *lane) {
	w := st.to.w
	w.after(w.delay()/time.Duration(len(l.waiting)), func() {
		if st.dead || !st.of.on.alive || !st.to.alive {
			return
		}
		if w.reaches(st.of.on, st.to) {
			deliver := l.waiting[0]
			deliver()
			l.waiting = l.waiting[1:]
		}
		if len(l.waiting) > 0 {
			st.pump(l)
		}
	})
}
