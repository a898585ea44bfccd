package invocation

import (
	"sync"

	"github.com/buildnet/buildnet/node/event"
)

// maxTold bounds what of an invocation's events is kept, in bytes: some 50,000
// commands. The summary is kept in any case.
const maxTold = 16 << 20

// told passes events on, one at a time, and keeps them as lines.
type told struct {
	next func(event.Event)

	// turn orders the calls of next, which writes to a client. Once ended it is not
	// called: its client may have another one's answer in its place by then.
	turn  sync.Mutex
	ended bool

	mu    sync.Mutex
	lines []byte
}

func (t *told) emit(e event.Event) {
	t.turn.Lock()
	defer t.turn.Unlock()
	if t.ended {
		return
	}
	if !event.Passing(e) {
		t.keep(e)
	}
	t.next(e)
}

// end passes the last event on.
func (t *told) end(last event.Event) {
	t.turn.Lock()
	defer t.turn.Unlock()
	t.ended = true
	t.next(last)
}

func (t *told) keep(e event.Event) {
	line, err := event.Encode(e)
	if err != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines)+len(line) < maxTold {
		t.lines = append(append(t.lines, line...), '\n')
	}
}

// all returns the lines, with the last one.
func (t *told) all(last event.Event) []byte {
	line, err := event.Encode(last)
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := append([]byte(nil), t.lines...)
	if err == nil {
		lines = append(append(lines, line...), '\n')
	}
	return lines
}
