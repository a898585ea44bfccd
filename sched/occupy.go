package sched

import (
	"context"
	"sync"
	"time"

	"github.com/buildnet/buildnet/sched/steal"
)

// Occupancy is a slot of this node that a command has which no build runs.
type Occupancy struct {
	s    *Service
	turn *steal.Turn
	once sync.Once
}

// Occupy waits for one of this node's slots, for a command that the user of this
// machine runs outside of builds: the node's worker begins nothing in it, and the
// leaders whose builds it works for are told. Commands and steps of builds that
// were asked for here begin in the order in which they came; a command waits for
// no step of other members' builds, whatever slots those have (see steal.Slots).
//
// A command that a part of another one is, which waits for it, is run within that
// one's slot: or a make that has the only slot would wait for its compilers
// forever. within is nil if there is none, and may be released before. The error
// is ctx's, or ErrClosed.
func (s *Service) Occupy(ctx context.Context, within *Occupancy) (*Occupancy, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.life, func() { cancel(ErrClosed) })()
	var outer *steal.Turn
	if within != nil {
		outer = within.turn
	}
	t, err := s.slots.acquire(ctx, steal.Local, outer)
	if err != nil {
		return nil, context.Cause(ctx)
	}
	return &Occupancy{s: s, turn: t}, nil
}

// Release gives the slot back. It may be called several times.
func (o *Occupancy) Release() { o.once.Do(func() { o.s.slots.release(o.turn) }) }

// refit has each build know the slots that commands leave it.
func (s *Service) refit() {
	for {
		select {
		case <-s.life.Done():
			return
		case <-s.slots.changed:
			s.each(func(p *party, h *steal.Hand) { p.doHand(h.Resize(time.Now(), p.slots())) })
		}
	}
}
