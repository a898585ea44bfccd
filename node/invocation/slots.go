package invocation

import (
	"context"
	"slices"
	"sync"

	"github.com/buildnet/buildnet/sched"
)

// maxAbove bounds how many ancestors of a process are looked at.
const maxAbove = 64

// slots are those of this machine that clients have.
type slots struct {
	take func(ctx context.Context, within *sched.Occupancy) (*sched.Occupancy, error)

	mu   sync.Mutex
	held map[int][]*sched.Occupancy // by the process that asked
}

// occupy waits for a slot for what the process pid asks for. If one that it is run
// by has a slot, as that of a make which is a command itself, it is within that:
// the other waits for it.
func (s *slots) occupy(ctx context.Context, pid int) (release func(), err error) {
	o, err := s.take(ctx, s.above(pid))
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[pid] = append(s.held[pid], o)
	return func() { s.release(pid, o) }, nil
}

func (s *slots) release(pid int, o *sched.Occupancy) {
	o.Release()
	s.mu.Lock()
	defer s.mu.Unlock()
	if left := slices.DeleteFunc(s.held[pid], func(h *sched.Occupancy) bool { return h == o }); len(left) > 0 {
		s.held[pid] = left
	} else {
		delete(s.held, pid)
	}
}

// above returns a slot of whoever runs pid; nil if there is none.
func (s *slots) above(pid int) *sched.Occupancy {
	for range maxAbove {
		pid = parentOf(pid)
		if pid <= 1 {
			return nil
		}
		if o := s.of(pid); o != nil {
			return o
		}
	}
	return nil
}

func (s *slots) of(pid int) *sched.Occupancy {
	s.mu.Lock()
	defer s.mu.Unlock()
	if held := s.held[pid]; len(held) > 0 {
		return held[0]
	}
	return nil
}
