// Package told is what the user of a build was told of it, kept for the history.
// Start reading at Log.
package told

import (
	"bytes"
	"sync"
	"sync/atomic"

	"github.com/buildnet/buildnet/node/event"
)

// maxBytes bounds what of a build's events is kept: some 50,000 steps. The summary
// is kept in any case.
const maxBytes = 16 << 20

// cutShort is the last that is kept of a build beside its summary where not all is.
const cutShort = "more happened than is kept here: the summary counts all of it"

// Budget bounds what several logs keep together.
type Budget struct{ left atomic.Int64 }

// NewBudget returns a budget of so many bytes.
func NewBudget(bytes int64) *Budget {
	b := &Budget{}
	b.left.Store(bytes)
	return b
}

func (b *Budget) take(n int) bool {
	if b == nil || b.left.Add(int64(-n)) >= 0 {
		return true
	}
	b.give(n)
	return false
}

func (b *Budget) give(n int) {
	if b != nil {
		b.left.Add(int64(n))
	}
}

// Log passes events on, one at a time, and keeps them as lines. All methods may be
// called concurrently.
type Log struct {
	next   func(event.Event)
	budget *Budget // nil for none

	// turn orders the calls of next, which writes to a client. Once ended it is not
	// called: its client may have another one's answer in its place by then.
	turn  sync.Mutex
	ended bool

	mu    sync.Mutex
	lines []byte
	cut   bool // not all is kept
}

// New returns a log that passes events on to next, which is called by one at a time.
func New(next func(event.Event)) *Log { return &Log{next: next} }

// Resume returns a log like New that goes on where All of another one ended, and
// keeps no more than a budget of several has room for.
func Resume(next func(event.Event), all []byte, budget *Budget) *Log {
	t := &Log{next: next, budget: budget}
	lines := withoutLast(all) // the summary
	if bytes.Contains(lines[len(withoutLast(lines)):], []byte(cutShort)) {
		lines = withoutLast(lines)
	}
	if t.cut = !budget.take(len(lines)); !t.cut {
		t.lines = bytes.Clone(lines)
	}
	return t
}

func withoutLast(lines []byte) []byte {
	return lines[:bytes.LastIndexByte(bytes.TrimSuffix(lines, []byte("\n")), '\n')+1]
}

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

// Join calls f with the lines so far, while nothing is passed on.
func (t *Log) Join(f func(lines []byte)) {
	t.turn.Lock()
	defer t.turn.Unlock()
	t.mu.Lock()
	lines := t.soFar()
	t.mu.Unlock()
	f(lines)
}

// soFar is called with mu held.
func (t *Log) soFar() []byte {
	lines := bytes.Clone(t.lines)
	if t.cut {
		lines = appendLine(lines, event.Notice{Level: event.Warning, Text: cutShort})
	}
	return lines
}

// End passes the last event on.
func (t *Log) End(last event.Event) {
	t.turn.Lock()
	defer t.turn.Unlock()
	t.ended = true
	t.next(last)
}

// Release gives back to the budget what the log has taken of it. Nothing is kept
// from then on.
func (t *Log) Release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.budget.give(len(t.lines))
	t.lines, t.cut = nil, true
}

// Cut reports whether not all that happened is kept.
func (t *Log) Cut() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cut
}

func (t *Log) keep(e event.Event) {
	line, err := event.Encode(e)
	if err != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cut {
		return
	}
	if n := len(line) + 1; len(t.lines)+n >= maxBytes || !t.budget.take(n) {
		t.cut = true
		return
	}
	t.lines = append(append(t.lines, line...), '\n')
}

// All returns the lines, with the last one.
func (t *Log) All(last event.Event) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return appendLine(t.soFar(), last)
}

func appendLine(lines []byte, e event.Event) []byte {
	line, err := event.Encode(e)
	if err != nil {
		return lines
	}
	return append(append(lines, line...), '\n')
}
