package invocations

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/history"
)

// maxBehind events may wait for a follower who reads slower than they come.
const maxBehind = 4096

// List returns the newest n invocations without their events, those that go on among
// them; all if n is 0.
func (b *Book) List(n int) ([]history.Record, error) {
	all, err := b.opts.History.List(n)
	if err != nil {
		return nil, err
	}
	for _, i := range b.running() {
		f := i.summary()
		if f.Steps == 0 {
			continue
		}
		r, err := i.record(f)
		if err != nil {
			return nil, err
		}
		r.Events, r.Running = nil, true
		all = slices.DeleteFunc(all, func(o history.Record) bool { return o.ID == r.ID })
		all = append(all, r)
	}
	slices.SortStableFunc(all, func(a, b history.Record) int { return b.Started.Compare(a.Started) })
	if n > 0 && len(all) > n {
		all = all[:n]
	}
	return all, nil
}

// Get returns the build whose ID is, or alone begins with, id, or whose client calls
// it id. It returns store.ErrNotFound or history.ErrAmbiguous.
func (b *Book) Get(id string) (history.Record, error) {
	r, err := b.get(id)
	if errors.Is(err, store.ErrNotFound) && id != "" {
		if as, failed := b.get(IDOf(id)); failed == nil {
			return as, nil
		}
	}
	return r, err
}

func (b *Book) get(id string) (history.Record, error) {
	kept, err := b.opts.History.Get(id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return kept, err
	}
	i := b.find(id)
	switch {
	case i == nil:
		return kept, err
	case err == nil && kept.ID != i.id && kept.ID != id && i.id != id:
		return kept, fmt.Errorf("build %s: %w: %s and %s", id, history.ErrAmbiguous, kept.ID, i.id)
	case err == nil && kept.ID == id && i.id != id:
		return kept, nil
	}
	r, err := i.record(i.summary())
	r.Running = true
	i.log.Join(func(lines []byte) { r.Events = lines }) // the last event is not yet
	return r, err
}

// running are those that go on.
func (b *Book) running() []*Invocation {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]*Invocation, 0, len(b.open))
	for _, i := range b.open {
		all = append(all, i)
	}
	return slices.DeleteFunc(all, func(i *Invocation) bool { return !i.begun() })
}

// begun reports whether there is anything to show.
func (i *Invocation) begun() bool {
	select {
	case <-i.ready:
		return true
	default:
		return false
	}
}

// find returns the one that goes on whose ID is, or alone begins with, id; nil if
// there is none.
func (b *Book) find(id string) (found *Invocation) {
	several := false
	for _, i := range b.running() {
		switch {
		case i.id == id || i.key == id && id != "":
			return i
		case id != "" && strings.HasPrefix(i.id, id):
			found, several = i, found != nil
		}
	}
	if several {
		return nil
	}
	return found
}

// follower is who follows an invocation.
type follower struct {
	events chan event.Event // closed at the end
	last   event.Event      // set by then
}

// Running returns the ID of an invocation that goes on, for what a user calls it.
func (b *Book) Running(id string) (full string, ok bool) {
	i := b.find(id)
	if i == nil {
		return "", false
	}
	return i.id, true
}

// Follow tells of an invocation from its beginning to its end, or until ctx ends. Who
// is slower than it misses some. It returns store.ErrNotFound if it does not go on.
func (b *Book) Follow(ctx context.Context, id string, emit func(event.Event)) error {
	i := b.find(id)
	if i == nil {
		return fmt.Errorf("follow build %s: %w", id, store.ErrNotFound)
	}
	f := &follower{events: make(chan event.Event, maxBehind)}
	var past []byte
	var over bool
	i.log.Join(func(lines []byte) { past, over = lines, !i.join(f) })
	if over {
		return fmt.Errorf("follow build %s: it is over: %w", id, store.ErrNotFound)
	}
	defer i.part(f)
	for line := range bytes.Lines(past) {
		if e, err := event.Decode(bytes.TrimSuffix(line, []byte("\n"))); err == nil {
			emit(e)
		}
	}
	for {
		select {
		case e, more := <-f.events:
			if !more {
				emit(f.last)
				return nil
			}
			emit(e)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// join reports whether there is something to follow.
func (i *Invocation) join(f *follower) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.followers == nil {
		return false
	}
	i.followers[f] = true
	return true
}

func (i *Invocation) part(f *follower) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.followers, f)
}

// pass passes an event to all who follow. It is called by one at a time.
func (i *Invocation) pass(e event.Event) {
	i.mu.Lock()
	defer i.mu.Unlock()
	_, last := e.(event.BuildFinished)
	for f := range i.followers {
		if last {
			f.last = e
			close(f.events)
			continue
		}
		select {
		case f.events <- e:
		default: // it is slow
		}
	}
	if last {
		i.followers = nil
	}
}
