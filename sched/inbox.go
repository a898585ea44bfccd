package sched

import (
	"sync"
	"time"

	"github.com/buildnet/buildnet/sched/pace"
)

// maxInbox and maxInboxBytes bound what waits for the owner of a machine; whoever
// brings more waits, and so does what is behind it on its stream. One that is larger
// comes in alone.
const (
	maxInbox      = 1024
	maxInboxBytes = 64 << 20
)

// inbox is how others reach the owner of a machine where it takes all that has
// come at a time. What is in it when the owner goes is lost.
type inbox struct {
	filled chan struct{} // holds one token while there is something new

	mu     sync.Mutex
	room   sync.Cond // of mu
	items  []func()
	bytes  int      // of what they came as
	urgent pressing // whether something of it is
	closed bool
}

func newInbox() *inbox {
	b := &inbox{filled: make(chan struct{}, 1)}
	b.room.L = &b.mu
	return b
}

// pressing is what may not wait for more than its turn.
type pressing bool

// put waits until there is room for f, which came as so many bytes; false says that
// the owner is gone.
func (b *inbox) put(f func(), bytes int, urgent pressing) bool {
	b.mu.Lock()
	for !b.closed && len(b.items) > 0 && (len(b.items) >= maxInbox || b.bytes+bytes > maxInboxBytes) {
		b.room.Wait()
	}
	closed := b.closed
	wake := !closed && (len(b.items) == 0 || bool(urgent && !b.urgent))
	if !closed {
		b.items, b.bytes = append(b.items, f), b.bytes+bytes
		b.urgent = b.urgent || urgent
	}
	b.mu.Unlock()
	if wake {
		select {
		case b.filled <- struct{}{}:
		default:
		}
	}
	return !closed
}

// presses reports whether something in it is pressing.
func (b *inbox) presses() pressing {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.urgent
}

// take empties it, and tells whether something in it was pressing.
func (b *inbox) take() ([]func(), pressing) {
	b.mu.Lock()
	defer b.mu.Unlock()
	items, urgent := b.items, b.urgent
	b.items, b.bytes, b.urgent = nil, 0, false
	b.room.Broadcast()
	return items, urgent
}

func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed, b.items = true, nil
	b.room.Broadcast()
}

// turns are when an owner takes what is in its inbox.
type turns struct {
	pace  pace.Pace
	timer *time.Timer
	at    time.Time // when the timer ends; zero if it does not run
}

func newTurns(open bool) turns {
	t := turns{pace: pace.Pace{Every: turnEvery, Burst: turnBurst}, timer: time.NewTimer(time.Hour)}
	if open {
		t.pace.Every, t.pace.Burst = openEvery, openBurst
	}
	t.timer.Stop()
	return t
}

// due reports whether a turn may begin for what has come. If not it begins when
// the timer ends: for what does not press that is no sooner than turnEvery.
func (t *turns) due(now time.Time, urgent pressing) bool {
	rest := turnEvery
	if urgent {
		rest = t.pace.Rest(now)
	}
	if rest == 0 {
		return true
	}
	if at := now.Add(rest); t.at.IsZero() || at.Before(t.at) {
		t.at = at
		t.timer.Reset(rest)
	}
	return false
}

// begin notes that one begins.
func (t *turns) begin(now time.Time, urgent pressing) {
	if urgent {
		t.pace.Begin(now)
	}
	t.at = time.Time{}
	t.timer.Stop()
}

func (t *turns) stop() { t.timer.Stop() }
