package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/store/history"
)

// maxJournal bounds what of a build's events is kept, in bytes: some 50,000
// steps. The summary is kept in any case.
const maxJournal = 16 << 20

// maxPassing bounds what waits of what is for watchers alone, in lines: whoever
// reads slower misses some.
const maxPassing = 256

// journal passes events on and keeps them as lines.
type journal struct {
	next func(event.Event)

	mu    sync.Mutex
	lines []byte
	// passing are the last lines that are not kept, of passed ones; there are none
	// while nobody follows.
	passing   [][]byte
	passed    uint64
	followers int
	// more is closed, and replaced, when there is more to read.
	more  chan struct{}
	ended bool
	// gone is what followers are told at the end of a build that another node
	// goes on with; nil where it has really ended.
	gone error
}

// errElsewhere says that a build that was followed goes on at another node.
var errElsewhere = errors.New("the build goes on elsewhere")

func newJournal(next func(event.Event)) *journal {
	return &journal{next: next, more: make(chan struct{})}
}

// mark is how far somebody has read.
type mark struct {
	bytes  int
	passed uint64
}

// told returns what the journal has beyond a mark, which it moves, whether that
// is all, and what to wait for.
func (j *journal) told(from *mark) (lines []byte, passing [][]byte, all bool, more <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	missed := min(j.passed-from.passed, uint64(len(j.passing)))
	passing = slices.Clone(j.passing[uint64(len(j.passing))-missed:])
	lines = j.lines[from.bytes:len(j.lines):len(j.lines)]
	*from = mark{bytes: len(j.lines), passed: j.passed}
	return lines, passing, j.ended, j.more
}

// enter counts a follower, and returns where it begins: at the first line, and
// with what passes from now on.
func (j *journal) enter() mark {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.followers++
	return mark{passed: j.passed}
}

func (j *journal) leave() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.followers--; j.followers == 0 {
		j.passing = nil
	}
}

// follow calls each with all lines, those to come included, until the build has
// ended, and with what passes meanwhile.
func (j *journal) follow(ctx context.Context, each func(line []byte) error) error {
	read := j.enter()
	defer j.leave()
	for {
		lines, passing, all, more := j.told(&read)
		for l := range bytes.Lines(lines) {
			if err := each(bytes.TrimSuffix(l, []byte{'\n'})); err != nil {
				return err
			}
		}
		for _, l := range passing {
			if err := each(l); err != nil {
				return err
			}
		}
		switch {
		case all && len(lines) == 0:
			return j.gone
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

// close says that nothing more comes, and with an error that the build goes on
// elsewhere.
func (j *journal) close(gone error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ended, j.gone = true, gone
	close(j.more)
	j.more = make(chan struct{})
}

func (j *journal) add(e event.Event) {
	if event.Passing(e) {
		j.pass(e)
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

// pass gives those who follow what is not kept.
func (j *journal) pass(e event.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.followers == 0 {
		return
	}
	line, err := event.Encode(e)
	if err != nil {
		return
	}
	j.passing = append(j.passing[max(0, len(j.passing)+1-maxPassing):], line)
	j.passed++
	close(j.more)
	j.more = make(chan struct{})
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
