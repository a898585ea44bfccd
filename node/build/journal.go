package build

import (
	"bytes"
	"context"
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
	// more is closed, and replaced, when there is more to read.
	more  chan struct{}
	ended bool
}

func newJournal(next func(event.Event)) *journal {
	return &journal{next: next, more: make(chan struct{})}
}

// told returns what the journal has beyond the first bytes, whether that is
// all, and what to wait for.
func (j *journal) told(from int) (lines []byte, all bool, more <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lines[from:len(j.lines):len(j.lines)], j.ended, j.more
}

// follow calls each with all lines, those to come included, until the build has
// ended.
func (j *journal) follow(ctx context.Context, each func(line []byte) error) error {
	for read := 0; ; {
		lines, all, more := j.told(read)
		read += len(lines)
		for l := range bytes.Lines(lines) {
			if err := each(bytes.TrimSuffix(l, []byte{'\n'})); err != nil {
				return err
			}
		}
		switch {
		case all && len(lines) == 0:
			return nil
		case all:
			continue
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// close says that nothing more comes.
func (j *journal) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ended = true
	close(j.more)
	j.more = make(chan struct{})
}

func (j *journal) add(e event.Event) {
	if event.Passing(e) {
		j.next(e)
		return
	}
	if line, err := event.Encode(e); err == nil {
		j.mu.Lock()
		if _, last := e.(event.BuildFinished); last || len(j.lines)+len(line) < maxJournal {
			j.lines = append(append(j.lines, line...), '\n')
			close(j.more)
			j.more = make(chan struct{})
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
