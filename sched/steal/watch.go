package steal

import "time"

const (
	// Rupture is how long a broken stream has to be opened again by its leader
	// before the leader is taken for dead.
	Rupture = 500 * time.Millisecond
	// stagger is how much longer than the one before each in line waits before
	// it takes over: the standbys in their order, then the initiator.
	stagger = 250 * time.Millisecond
)

// watch looks whether a leader lives.
type watch struct {
	lead   Epoch // zero before the first Hello
	up     bool
	heard  time.Time
	broken time.Time // when its stream broke, if it is not up
	ran    time.Time // when this was last asked or told
	rhythm rhythm
	// calm says that the leader speaks every CalmEvery: see Beat.
	calm bool
}

// follow watches another leader from now on.
func (w *watch) follow(now time.Time, e Epoch) {
	w.lead, w.heard, w.ran, w.rhythm, w.calm = e, now, now, rhythm{}, false
}

func (w *watch) opened(now time.Time) { w.up, w.heard, w.ran, w.calm = true, now, now, false }

func (w *watch) hear(now time.Time) {
	if !w.calm {
		w.rhythm.note(now, w.silence(now))
	}
	w.heard, w.ran = now, now
}

// heed takes what a message says of how soon the next one is to be expected.
func (w *watch) heed(msg Message) {
	calm := false
	switch msg := msg.(type) {
	case Tidings:
		return
	case Beat:
		calm = msg.Calm
	}
	if w.calm != calm {
		w.calm, w.rhythm = calm, rhythm{}
	}
}

// pace is how often who watches says that it lives.
func (w *watch) pace() time.Duration {
	if w.calm {
		return CalmEvery
	}
	return BeatEvery
}

func (w *watch) closed(now time.Time) {
	if w.up {
		w.up, w.broken = false, now
	}
}

// woke takes that the process stood still.
func (w *watch) woke(now, due time.Time) {
	late := overslept(now, due, w.ran)
	w.heard, w.broken, w.ran = w.heard.Add(late), w.broken.Add(late), now
}

// overslept is by how much a call that was due comes late, to a machine that was
// last called at a time: who did not run did not hear, and what was said meanwhile
// may not have been read yet. A beat is no matter.
func overslept(now, due, last time.Time) time.Duration {
	if due.Before(last) {
		due = last
	}
	if late := now.Sub(due); !due.IsZero() && late > BeatEvery {
		return late
	}
	return 0
}

func (w *watch) silence(now time.Time) time.Duration { return now.Sub(w.heard) }

// lost reports whether the leader is dead to one who waits so much longer than
// the first.
func (w *watch) lost(now time.Time, longer time.Duration) bool {
	return w.silence(now) >= w.rhythm.lease()+longer || !w.up && now.Sub(w.broken) >= Rupture+longer
}

// due is when lost reports so, unless more is heard.
func (w *watch) due(longer time.Duration) time.Time {
	silent := w.heard.Add(w.rhythm.lease() + longer)
	if w.up {
		return silent
	}
	return earlier(silent, w.broken.Add(Rupture+longer))
}

const (
	// leastLease is the Lease of a leader that beats to the millisecond.
	leastLease = 500 * time.Millisecond
	// leaseSlack is what a lease allows beyond twice the longest silence lately.
	leaseSlack = 300 * time.Millisecond
	// rhythmSpan is for how long a silence is remembered at least; it is
	// forgotten after twice that.
	rhythmSpan = 4 * time.Second
	// rhythmTime is how long a leader is listened to before it has a rhythm.
	rhythmTime = time.Second
)

// rhythm is how long a leader has been silent between two signs of life: on a
// quiet LAN a death shows after a fraction of the Lease, and a leader whose
// machine or line makes it stammer keeps all of it. In the spirit of Chen, Toueg
// and Aguilera, On the Quality of Service of Failure Detectors (2002), with the
// longest silence in place of an average: silences here come from cores that
// are taken, and those are anything but normally distributed.
type rhythm struct {
	began, since    time.Time // of all; of the longest of now
	longest, before time.Duration
	steady          bool // listened to for rhythmTime
}

func (r *rhythm) note(now time.Time, silence time.Duration) {
	if r.began.IsZero() {
		r.began, r.since = now, now
	}
	r.steady = r.steady || now.Sub(r.began) >= rhythmTime
	if now.Sub(r.since) >= rhythmSpan {
		r.since, r.before, r.longest = now, r.longest, 0
	}
	r.longest = max(r.longest, silence)
}

func (r *rhythm) lease() time.Duration {
	if !r.steady {
		return Lease
	}
	return min(max(2*max(r.longest, r.before)+leaseSlack, leastLease), Lease)
}

// earlier returns the earlier of two times.
func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
