// Package pace spaces what would else be done once for each of many things that
// come one after the other: what comes alone is done at once, what comes soon
// after others waits for more. It reads the clock and waits; it starts nothing.
// Start reading at Pace.
package pace

import "time"

// Pace is how many turns there may be: one in each Every, and Burst more where
// there were none before (the generic cell rate algorithm of ITU-T I.371, which
// is a token bucket). Its zero value lets nobody wait. It has one user at a time.
type Pace struct {
	Every time.Duration
	Burst int
	next  time.Time // when a turn would be in its Every
}

// Rest is how long it is until the next turn may begin; 0 if it may.
func (p *Pace) Rest(now time.Time) time.Duration {
	return max(0, p.next.Add(-time.Duration(p.Burst)*p.Every).Sub(now))
}

// Begin notes that a turn begins.
func (p *Pace) Begin(now time.Time) {
	if p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(p.Every)
}

// Wait returns when the next turn may begin, which it then does; false says that
// stop was closed before.
func (p *Pace) Wait(stop <-chan struct{}) bool {
	now := time.Now()
	if rest := p.Rest(now); rest > 0 {
		t := time.NewTimer(rest)
		defer t.Stop()
		select {
		case <-stop:
			return false
		case now = <-t.C:
		}
	}
	p.Begin(now)
	return true
}
