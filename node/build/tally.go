package build

import (
	"sync"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/event"
)

// tally counts what came of the steps of a build. Every step is counted once,
// so that the counts add up whatever happens.
type tally struct {
	build string
	self  peer.ID
	emit  func(event.Event)

	mu      sync.Mutex
	counted map[string]bool
	summary event.BuildFinished
}

func newTally(build string, self peer.ID, steps int, emit func(event.Event)) *tally {
	return &tally{
		build: build, self: self, emit: emit, counted: make(map[string]bool, steps),
		summary: event.BuildFinished{Build: build, Steps: steps, ByPeer: map[string]int{}},
	}
}

// step counts a step that is over and tells of it. ran says that its command
// was executed, saved is the run time of a result that was not.
func (t *tally) step(e event.StepFinished, ran bool, saved time.Duration) {
	t.mu.Lock()
	if t.counted[e.Step] {
		t.mu.Unlock()
		return
	}
	t.counted[e.Step] = true
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
	e.Build, e.Done, e.Steps = t.build, len(t.counted), s.Steps
	t.mu.Unlock()
	t.emit(e)
}

// local counts a step that ran on this node, and why.
func (t *tally) local(reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.summary.LocalReasons == nil {
		t.summary.LocalReasons = map[string]int{}
	}
	t.summary.LocalReasons[reason]++
}

// note changes the summary in another way than by a step.
func (t *tally) note(change func(*event.BuildFinished)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.summary)
}

// close returns the summary. Steps that nothing was heard of were not run.
func (t *tally) close() event.BuildFinished {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.summary
	s.NotRun += s.Steps - len(t.counted)
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

// resize corrects the number of steps of a build whose plan has changed.
func (t *tally) resize(from, to int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.summary.Steps += to - from
}
