package simulations

import (
	"math"
	"time"
)

// event is something that is going to happen.
type event struct {
	at  time.Duration
	seq uint64
	// on is where it happens, if that node still has the life that it had; nil
	// is the world itself.
	on   *node
	life int
	do   func()
}

const (
	// bucketWidth is the time that a bucket's events share, about a millisecond.
	bucketWidth = 20 // bits
	// buckets are the wheel's: what is due later than in four seconds is rare.
	buckets = 1 << 12
)

// clock is the events that are to come: a heap of those of this bucket of
// time, a wheel of the buckets after it, and a heap of what is beyond the
// wheel. Most events are some milliseconds away: in one heap of all they would
// be sifted through a million others that no cache holds (Varghese and Lauck,
// Hashed and Hierarchical Timing Wheels, 1987).
type clock struct {
	now    time.Duration
	seq    uint64
	bucket int64 // that of due
	due    pile
	wheel  [buckets][]event
	rolled int // events on the wheel
	beyond pile
}

func (c *clock) pending() int { return len(c.due) + c.rolled + len(c.beyond) }

func (c *clock) push(e event) {
	c.seq++
	e.seq, e.at = c.seq, max(e.at, c.now)
	switch at := int64(e.at) >> bucketWidth; {
	case at <= c.bucket:
		c.due.push(e)
	case at < c.bucket+buckets:
		c.wheel[at%buckets] = append(c.wheel[at%buckets], e)
		c.rolled++
	default:
		c.beyond.push(e)
	}
}

// pop takes the first of the pending events, of which there is one.
func (c *clock) pop() event {
	if len(c.due) == 0 {
		c.turn()
	}
	return c.due.pop()
}

// first returns when the first of the pending events is due.
func (c *clock) first() time.Duration {
	if len(c.due) == 0 {
		c.turn()
	}
	return c.due[0].at
}

// turn goes on to the next bucket in which something happens.
func (c *clock) turn() {
	next := int64(math.MaxInt64)
	if len(c.beyond) > 0 {
		next = int64(c.beyond[0].at) >> bucketWidth
	}
	for at := c.bucket + 1; c.rolled > 0 && at < min(next, c.bucket+buckets); at++ {
		if len(c.wheel[at%buckets]) > 0 {
			next = at
		}
	}
	c.bucket = next
	slot := &c.wheel[next%buckets]
	for _, e := range *slot {
		c.due.push(e)
	}
	c.rolled -= len(*slot)
	clear(*slot)
	*slot = (*slot)[:0]
	for len(c.beyond) > 0 && int64(c.beyond[0].at)>>bucketWidth == next {
		c.due.push(c.beyond.pop())
	}
}

// pile is a heap of four branches: most events leave soon after they came,
// and a flat heap moves less for that.
type pile []event

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

func (p *pile) push(e event) {
	*p = append(*p, e)
	events := *p
	i := len(events) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !e.before(&events[up]) {
			break
		}
		events[i] = events[up]
		i = up
	}
	events[i] = e
}

func (p *pile) pop() event {
	events := *p
	first := events[0]
	last := len(events) - 1
	e := events[last]
	events[last] = event{}
	*p = events[:last]
	if last > 0 {
		p.sink(e)
	}
	return first
}

// sink puts e where the first event was.
func (p pile) sink(e event) {
	i, n := 0, len(p)
	for {
		least := 4*i + 1
		if least >= n {
			break
		}
		for k := least + 1; k < min(4*i+5, n); k++ {
			if p[k].before(&p[least]) {
				least = k
			}
		}
		if !p[least].before(&e) {
			break
		}
		p[i] = p[least]
		i = least
	}
	p[i] = e
}

// at has the world do something at a time.
func (w *World) at(t time.Duration, do func()) { w.clock.push(event{at: t, do: do}) }

// after has the world do something after a while.
func (w *World) after(d time.Duration, do func()) { w.at(w.clock.now+d, do) }

// between draws a duration.
func (w *World) between(least, most time.Duration) time.Duration {
	if most <= least {
		return least
	}
	return least + time.Duration(w.chance.Int64N(int64(most-least)+1))
}
