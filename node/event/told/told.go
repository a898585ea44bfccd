// Package told is what the user of a build was told of it, kept for the history.
// Start reading at Log.
package told

import (
	"sync"

	"github.com/buildnet/buildnet/node/event"
)

// maxBytes bounds what of a build's events is kept: some 50,000 steps. The summary
// is kept in any case.
const maxBytes = 16 << 20

// Log passes events on, one at a time, and keeps them as lines. All methods may be
// called concurrently.
type Log struct {
	next func(event.Event)

	// turn orders the calls of next, which writes to a client. Once ended it is not
	// called: its client may have another one's answer in its place by then.
	turn  sync.Mutex
	ended bool

	mu    sync.Mutex
	lines []byte
}

// New returns a log that passes events on to next, which is called by one at a time.
func New(next func(event.Event)) *Log { return &Log{next: next} }

// Emit passes an event on.
func (t *Log) Emit(e event.Event) {
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

// End passes the last event on.
func (t *Log) End(last event.Event) {
	t.turn.Lock()
	defer t.turn.Unlock()
	t.ended = true
	t.next(last)
}

func (t *Log) keep(e event.Event) {
	line, err := event.Encode(e)
	if err != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines)+len(line) < maxBytes {
		t.lines = append(append(t.lines, line...), '\n')
	}
}

// All returns the lines, with the last one.
func (t *Log) All(last event.Event) []byte {
	line, err := event.Encode(last)
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := append([]byte(nil), t.lines...)
	if err == nil {
		lines = append(append(lines, line...), '\n')
	}
	return lines
}
