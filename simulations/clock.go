package simulations

import "time"

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

// clock is the events that are to come, as a heap of four branches: most of
// them leave soon after they came, and a flat heap moves less for that.
type clock struct {
	now    time.Duration
	seq    uint64
	events []event
}

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

func (c *clock) push(e event) {
	c.seq++
	e.seq, e.at = c.seq, max(e.at, c.now)
	c.events = append(c.events, e)
	i := len(c.events) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !e.before(&c.events[up]) {
			break
		}
		c.events[i] = c.events[up]
		i = up
	}
	c.events[i] = e
}

func (c *clock) pop() event {
	first := c.events[0]
	last := len(c.events) - 1
	e := c.events[last]
	c.events[last] = event{}
	c.events = c.events[:last]
	if last > 0 {
		c.sink(e)
	}
	return first
}

// sink puts e where the first event was.
func (c *clock) sink(e event) {
	i, n := 0, len(c.events)
	for {
		least := 4*i + 1
		if least >= n {
			break
		}
		for k := least + 1; k < min(4*i+5, n); k++ {
			if c.events[k].before(&c.events[least]) {
				least = k
			}
		}
		if !c.events[least].before(&e) {
			break
		}
		c.events[i] = c.events[least]
		i = least
	}
	c.events[i] = e
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
