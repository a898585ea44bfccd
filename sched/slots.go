package sched

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/buildnet/buildnet/sched/steal"
)

// whose build a job is of.
type whose uint8

const (
	ours whose = iota // it was asked for here, by this machine's user
	theirs
)

// slots are the node's, for the jobs of all builds together. Some of them may
// be lent to the builds of other members: how many changes while they run.
type slots struct {
	mu     sync.Mutex
	all    int
	lent   int // at most
	used   [theirs + 1]int
	queued []*queued // in the order in which they came
}

type queued struct {
	whose whose
	begin chan struct{} // closed when it has its slot
}

func newSlots(all int) *slots {
	all = max(all, 1)
	return &slots{all: all, lent: all}
}

// acquire waits for a slot.
func (s *slots) acquire(ctx context.Context, w whose) error {
	q := &queued{whose: w, begin: make(chan struct{})}
	s.mu.Lock()
	s.queued = append(s.queued, q)
	s.serve()
	s.mu.Unlock()
	select {
	case <-q.begin:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.queued, q); i >= 0 {
		s.queued = slices.Delete(s.queued, i, i+1)
	} else {
		s.used[w]-- // it got one meanwhile
	}
	s.serve()
	return ctx.Err()
}

func (s *slots) release(w whose) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used[w]--
	s.serve()
}

// lend bounds how many slots the jobs of other members' builds have. What runs
// beyond it goes on.
func (s *slots) lend(most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lent = min(max(most, 0), s.all)
	s.serve()
}

func (s *slots) lends() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lent
}

// share is how much of the node's slots others may have, 0 to 1.
func (s *slots) share() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return float64(s.lent) / float64(s.all)
}

// serve gives slots to those who have waited longest and may have one.
func (s *slots) serve() {
	s.queued = slices.DeleteFunc(s.queued, func(q *queued) bool {
		if s.used[ours]+s.used[theirs] >= s.all || q.whose == theirs && s.used[theirs] >= s.lent {
			return false
		}
		s.used[q.whose]++
		close(q.begin)
		return true
	})
}

// Lend gives the builds of other members so many of the node's slots from now
// on, 0 none. What they have begun goes on, unless Release ends it.
func (s *Service) Lend(slots int) {
	s.slots.lend(slots)
	s.eachForeign(func(p *party, h *steal.Hand) { p.doHand(h.Resize(time.Now(), s.slots.lends())) })
}

// Release ends what this node runs for builds of other members, and gives it
// back to their leaders.
func (s *Service) Release() {
	s.eachForeign(func(p *party, h *steal.Hand) { p.doHand(h.Release(time.Now())) })
}

// eachForeign calls f for the worker of each build that was not asked for here,
// in the goroutine that owns it.
func (s *Service) eachForeign(f func(p *party, h *steal.Hand)) {
	s.mu.Lock()
	parties := make([]*party, 0, len(s.parties))
	for _, p := range s.parties {
		parties = append(parties, p)
	}
	s.mu.Unlock()
	for _, p := range parties {
		p.box.post(func() {
			if p.hand != nil && p.whose() == theirs {
				f(p, p.hand)
			}
		})
	}
}

// whose build this is. What its node goes on with as the heir is another's still.
func (p *party) whose() whose {
	if p.origin != nil && !p.origin.foreign {
		return ours
	}
	return theirs
}

// slots is how many of the node's the build may have.
func (p *party) slots() int {
	if p.whose() == ours {
		return p.s.opts.Slots
	}
	return p.s.slots.lends()
}
