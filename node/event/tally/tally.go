// Package tally counts what came of the steps of a build, for its last event. It
// reads no clock and does no I/O but to tell of each step. Start reading at Tally.
package tally

import (
	"maps"
	"sync"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/event"
)

// maxReasons bounds the reasons that are told apart: some have names of files in
// them.
const maxReasons = 200

// otherReasons stands for all beyond them.
const otherReasons = "other reasons"

// Tally counts what came of the steps of a build. Every step is counted once,
// so that the counts add up whatever happens. All methods may be called
// concurrently.
type Tally struct {
	build string
	self  peer.ID
	emit  func(event.Event)

	mu      sync.Mutex
	counted map[string]bool // by name, of those that Step counts
	done    int
	closed  bool
	summary event.BuildFinished
}

// New counts the steps of a build on the node self, and tells of each.
func New(build string, self peer.ID, steps int, emit func(event.Event)) *Tally {
	return &Tally{
		build: build, self: self, emit: emit, counted: make(map[string]bool, steps),
		summary: event.BuildFinished{Build: build, Steps: steps, ByPeer: map[string]int{}},
	}
}

// Resume goes on counting where the summary of a build ends. What was not run is
// forgotten: it is asked for again, or not wanted any more.
func Resume(build string, self peer.ID, last event.BuildFinished, emit func(event.Event)) *Tally {
	t := New(build, self, 0, emit)
	last.Build, last.Steps, last.NotRun = build, last.Steps-last.NotRun, 0
	last.LocalReasons, last.ByPeer = maps.Clone(last.LocalReasons), maps.Clone(last.ByPeer)
	if last.ByPeer == nil {
		last.ByPeer = map[string]int{}
	}
	t.summary, t.done = last, last.Steps
	return t
}

// Step counts a step that is over and tells of it. ran says that its command
// was executed, saved is the run time of a result that was not. After Close it
// does nothing.
func (t *Tally) Step(e event.StepFinished, ran bool, saved time.Duration) {
	t.mu.Lock()
	if t.counted[e.Step] || t.closed {
		t.mu.Unlock()
		return
	}
	t.counted[e.Step] = true
	t.count(e, ran, saved)
}

// Once is Step for who counts no step twice: it remembers none.
func (t *Tally) Once(e event.StepFinished, ran bool, saved time.Duration) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return
	}
	t.count(e, ran, saved)
}

// count is called with mu held, and gives it up.
func (t *Tally) count(e event.StepFinished, ran bool, saved time.Duration) {
	t.done++
	s := &t.summary
	switch e.Status {
	case event.Executed:
		s.Executed++
	case event.CachedLocal:
		s.CachedLocal++
	case event.CachedMesh:
		s.CachedMesh++
	case event.Skipped:
		s.Skipped++
	case event.Failed:
		s.Failed++
	case event.NotRun:
		s.NotRun++
	}
	if ran {
		s.ByPeer[e.Peer]++
		if e.Peer == string(t.self) {
			s.RunLocal++
		} else {
			s.RunRemote++
		}
	}
	s.SavedMS += saved.Milliseconds()
	e.Build, e.Done, e.Steps = t.build, t.done, s.Steps
	t.mu.Unlock()
	t.emit(e)
}

// Local counts a step that ran on this node, and why.
func (t *Tally) Local(reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	if t.summary.LocalReasons == nil {
		t.summary.LocalReasons = map[string]int{}
	}
	if _, known := t.summary.LocalReasons[reason]; !known && len(t.summary.LocalReasons) >= maxReasons {
		reason = otherReasons
	}
	t.summary.LocalReasons[reason]++
}

// Note changes the summary in another way than by a step.
func (t *Tally) Note(change func(*event.BuildFinished)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.summary)
}

// Close returns the summary. Steps that nothing was heard of were not run.
func (t *Tally) Close() event.BuildFinished {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	return t.sum()
}

// Sum is Close of a build that goes on.
func (t *Tally) Sum() event.BuildFinished {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.sum()
	s.ByPeer, s.LocalReasons = maps.Clone(s.ByPeer), maps.Clone(s.LocalReasons)
	return s
}

func (t *Tally) sum() event.BuildFinished {
	s := t.summary
	s.NotRun += s.Steps - t.done
	s.Tier = tierOf(s)
	return s
}

func tierOf(s event.BuildFinished) event.Tier {
	switch s.Executed + s.Failed {
	case 0:
		return event.Restore
	case s.Steps:
		return event.Full
	default:
		return event.Incremental
	}
}

// Resize corrects the number of steps of a build whose plan has changed.
func (t *Tally) Resize(from, to int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.summary.Steps += to - from
}
