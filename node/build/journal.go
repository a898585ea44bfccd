package build

import (
	"encoding/json"
	"sync"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/store/history"
)

// maxJournal bounds what of a build's events is kept, in bytes: some 50,000
// steps. The summary is kept in any case.
const maxJournal = 16 << 20

// journal passes events on and keeps them as lines.
type journal struct {
	next func(event.Event)

	mu    sync.Mutex
	lines []byte
}

func newJournal(next func(event.Event)) *journal { return &journal{next: next} }

func (j *journal) add(e event.Event) {
	if event.Passing(e) {
		j.next(e)
		return
	}
	if line, err := event.Encode(e); err == nil {
		j.mu.Lock()
		if len(j.lines)+len(line) < maxJournal {
			j.lines = append(append(j.lines, line...), '\n')
		}
		j.mu.Unlock()
	}
	j.next(e)
}

// record writes the build down. A history that cannot be written does not
// fail a build.
func (r *run) record(f event.BuildFinished) {
	summary, err := json.Marshal(f)
	if err == nil {
		r.journal.mu.Lock()
		lines := append([]byte(nil), r.journal.lines...)
		r.journal.mu.Unlock()
		err = r.opts.History.Put(history.Record{
			ID: string(r.req.ID), Started: r.started, Root: r.req.Root, Summary: summary, Events: lines,
			Recording: r.recording(),
		})
	}
	if err != nil {
		r.opts.Log.Warn("build is missing in the history", "build", r.req.ID, "error", err)
	}
}
