package build

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/sched/steal"
)

const (
	// sayEvery is how often it is said how far steps are that do not say it.
	sayEvery = time.Second
	// maxSaid bounds the steps of which it is said at once: those that run
	// longest.
	maxSaid = 256
	// mostAged is what a step is said to have done at most by its age alone.
	mostAged = 99
)

// watched are the running steps of a build, for those who watch it.
type watched struct {
	build string
	emit  func(event.Event)

	mu      sync.Mutex
	running map[string]*underWay
}

// underWay is a step that runs.
type underWay struct {
	step, peer string
	since      time.Time
	expected   time.Duration // 0 if not known
	told       bool          // it says itself how far it is
	said       int           // per cent
}

func newWatched(build string, emit func(event.Event)) *watched {
	return &watched{build: build, emit: emit, running: map[string]*underWay{}}
}

func (w *watched) began(step string, by peer.ID, expected time.Duration, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running[step] = &underWay{step: step, peer: string(by), since: now, expected: expected}
}

func (w *watched) ended(step string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.running, step)
}

// told passes on what a step says of itself. One that runs twice counts where it
// began last.
func (w *watched) told(step string, by peer.ID, percent int, now time.Time) {
	w.mu.Lock()
	u, runs := w.running[step]
	if runs = runs && u.peer == string(by); runs {
		u.told = true
	}
	w.mu.Unlock()
	if runs {
		w.emit(w.progress(u, percent, event.Told, now))
	}
}

func (w *watched) progress(u *underWay, percent int, by event.Measure, now time.Time) event.Event {
	return event.TaskProgress{
		Build: w.build, Step: u.step, Peer: u.peer, Percent: percent, By: by,
		ElapsedMS: now.Sub(u.since).Milliseconds(), ExpectedMS: u.expected.Milliseconds(),
	}
}

// run says how far the others are, until ctx ends.
func (w *watched) run(ctx context.Context) {
	tick := time.NewTicker(sayEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			for _, e := range w.aged(now) {
				w.emit(e)
			}
		case <-ctx.Done():
			return
		}
	}
}

// aged says of steps that say nothing how much of their time is over, those that
// run longest first.
func (w *watched) aged(now time.Time) (events []event.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	silent := make([]*underWay, 0, len(w.running))
	for _, u := range w.running {
		if !u.told && u.expected > 0 && now.Sub(u.since) >= sayEvery {
			silent = append(silent, u)
		}
	}
	slices.SortFunc(silent, func(a, b *underWay) int {
		return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.step, b.step))
	})
	for _, u := range silent[:min(len(silent), maxSaid)] {
		percent := min(mostAged, int(100*now.Sub(u.since).Seconds()/u.expected.Seconds()))
		if percent != u.said {
			u.said = percent
			events = append(events, w.progress(u, percent, event.Aged, now))
		}
	}
	return events
}

// Watched implements sched.Observer.
func (o *observer) Watched(e *steal.Event) {
	build, by := string(o.run.req.ID), string(e.Peer)
	switch e.Kind {
	case steal.Placed:
		o.run.emit(event.TaskAssignment{Build: build, Step: string(o.step(e.Step).ID), Peer: by})
	case steal.Advanced:
		o.watched.told(string(o.step(e.Step).ID), e.Peer, e.Percent, time.Now())
	case steal.Made:
		o.run.emit(event.TaskComplete{
			Build: build, Step: string(o.step(e.Step).ID), Peer: by, OK: e.Done.Entry.Result.OK(), RunMS: e.Done.Timings.Run.Milliseconds(),
		})
		o.watched.ended(string(o.step(e.Step).ID))
	case steal.Undone:
		o.undone(e.Step, e.Peer, e.Text)
		o.run.emit(event.TaskComplete{Build: build, Step: string(o.step(e.Step).ID), Peer: by, Error: e.Text})
	case steal.Stated:
		o.run.emit(o.status(build, by, e.Status))
	case steal.Bequeathed:
		o.bequeathed(e.Peer)
	}
}

func (o *observer) status(build, by string, s *steal.Status) event.Event {
	w := event.WorkerStatus{
		Build: build, Peer: by, Slots: s.Slots, Busy: s.Busy, Waiting: s.Waiting, Running: []string{}, Memory: s.Memory, Share: s.Share,
	}
	for _, step := range s.Running {
		w.Running = append(w.Running, string(o.step(step).ID))
	}
	return w
}
