package router

import (
	"math/rand/v2"
	"time"

	"github.com/buildnet/buildnet/simulations/network"
)

const (
	// queueTime is how much may wait for a way that is busy, in time of its
	// bandwidth: what a home router holds. What comes beyond it is dropped.
	queueTime = 100 * time.Millisecond
	// queueBytes may always wait: a burst of a few packets passes the slowest
	// way.
	queueBytes = 32 << 10
	// minHold is how long a reordered packet is held back at least, so that
	// those behind it on a quick way overtake it.
	minHold = 5 * time.Millisecond
)

// shape says when what is sent one way arrives. It is pure. Packets keep their
// order but for those that are drawn to lose it: jitter on real ways comes from
// queues, which keep it too.
type shape struct {
	path   network.Path
	chance *rand.Rand
	free   time.Time // when all that was taken has been sent
	last   time.Time // when the last packet in order arrives
}

// arrivals are when the copies of a packet arrive: none, one or two.
type arrivals struct {
	at [2]time.Time
	n  int
}

func (a *arrivals) add(at time.Time) { a.at[a.n] = at; a.n++ }

// take sends a packet at now. The same chances are drawn for every packet, so
// that two runs with the same packets do the same to them.
func (s *shape) take(now time.Time, bytes int) (a arrivals) {
	lost, doubled, late := s.chance.Float64(), s.chance.Float64(), s.chance.Float64()
	jitter := time.Duration(s.chance.Float64() * float64(s.path.Jitter))
	sent, ok := s.send(now, bytes)
	if !ok || lost < s.path.Loss {
		return a
	}
	at := sent.Add(s.path.Latency + jitter)
	if late < s.path.Reordering {
		a.add(at.Add(max(s.path.Latency, minHold)))
		return a
	}
	if at.Before(s.last) {
		at = s.last
	}
	s.last = at
	a.add(at)
	if doubled < s.path.Duplication {
		a.add(at)
	}
	return a
}

// send puts a packet on the way once it is free; a full queue drops it.
func (s *shape) send(now time.Time, bytes int) (sent time.Time, ok bool) {
	if s.path.Bandwidth <= 0 {
		return now, true
	}
	if s.free.Before(now) {
		s.free = now
	}
	waiting := s.free.Sub(now).Seconds() * s.path.Bandwidth
	if waiting > max(queueBytes, queueTime.Seconds()*s.path.Bandwidth) {
		return time.Time{}, false
	}
	s.free = s.free.Add(time.Duration(float64(bytes) / s.path.Bandwidth * float64(time.Second)))
	return s.free, true
}
