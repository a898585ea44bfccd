package sched

import (
	"context"
	"sync"
	"time"

	"github.com/buildnet/buildnet/sched/steal"
)

// slots are the node's: see steal.Slots.
type slots struct {
	mu      sync.Mutex
	machine *steal.Slots
	changed chan struct{} // holds one token when commands have come or gone
}

func newSlots(all int) *slots {
	return &slots{machine: steal.NewSlots(all), changed: make(chan struct{}, 1)}
}

// acquire waits for a slot, which release gives back.
func (s *slots) acquire(ctx context.Context, w steal.Whose, within *steal.Turn) (*steal.Turn, error) {
	began := make(chan struct{})
	t := &steal.Turn{Whose: w, Within: within, Begin: func() { close(began) }}
	s.do(w, func() { s.machine.Ask(t) })
	select {
	case <-began:
		return t, nil
	case <-ctx.Done():
		s.release(t) // it may have got one meanwhile
		return nil, ctx.Err()
	}
}

func (s *slots) release(t *steal.Turn) { s.do(t.Whose, func() { s.machine.Leave(t) }) }

// do changes something for w, and has those begin who may then.
func (s *slots) do(w steal.Whose, f func()) {
	s.mu.Lock()
	f()
	for _, t := range s.machine.Serve() {
		t.Begin()
	}
	s.mu.Unlock()
	if w != steal.Local {
		return
	}
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// lend bounds how many slots the jobs of other members' builds have. What runs
// beyond it goes on.
func (s *slots) lend(most int) { s.do(steal.Theirs, func() { s.machine.Lend(most) }) }

func (s *slots) lends() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.machine.Lends()
}

// of is how many slots the builds of w may count with.
func (s *slots) of(w steal.Whose) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.machine.For(w)
}

// Lend gives the builds of other members so many of the node's slots from now
// on, 0 none. What they have begun goes on, unless Release ends it.
func (s *Service) Lend(slots int) {
	s.slots.lend(slots)
	s.eachForeign(func(p *party, h *steal.Hand) { p.doHand(h.Resize(time.Now(), p.slots())) })
}

// Release ends what this node runs for builds of other members, and gives it
// back to their leaders.
func (s *Service) Release() {
	s.eachForeign(func(p *party, h *steal.Hand) { p.doHand(h.Release(time.Now())) })
}

// eachForeign calls f for the worker of each build that was not asked for here,
// in the goroutine that owns it.
func (s *Service) eachForeign(f func(p *party, h *steal.Hand)) {
	s.each(func(p *party, h *steal.Hand) {
		if p.whose() == steal.Theirs {
			f(p, h)
		}
	})
}

// each calls f for the worker of each build, in the goroutine that owns it.
func (s *Service) each(f func(p *party, h *steal.Hand)) {
	s.mu.Lock()
	parties := make([]*party, 0, len(s.parties))
	for _, p := range s.parties {
		parties = append(parties, p)
	}
	s.mu.Unlock()
	for _, p := range parties {
		p.box.post(func() {
			if p.hand != nil {
				f(p, p.hand)
			}
		})
	}
}

// whose build this is. What its node goes on with as the heir is another's still.
func (p *party) whose() steal.Whose {
	if p.origin != nil && !p.origin.foreign {
		return steal.Ours
	}
	return steal.Theirs
}

// slots is how many of the node's the build may have.
func (p *party) slots() int { return p.s.slots.of(p.whose()) }
