// Package costs keeps what runs of actions took, per kind of action: time,
// memory, output, and whether they succeeded. What this node's builds have seen
// and what other members tell are kept apart, and the first counts more. The
// estimator (Estimate, Run, Kind) is pure; Book keeps it. Start reading at Book.
package costs

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/internal/aged"
)

// Limits of what is kept: beyond them what was written longest ago goes. A kind
// takes some 100 bytes.
var (
	ownLimits   = aged.Limits{Keys: 200_000, Bytes: 64 << 20}
	heardLimits = aged.Limits{Keys: 200_000, Bytes: 64 << 20}
)

// maxUnwritten kinds that were learned of wait to be written: all steps of a build
// are of few rules.
const maxUnwritten = 512

// Book is a node's knowledge. All methods may be called concurrently.
type Book struct {
	own, heard *aged.Shelf
	// write orders updates, over their I/O: each reads what it changes.
	write sync.Mutex

	mu        sync.Mutex
	unwritten map[Kind]Estimate // of own
}

// New returns the book that own and heard hold; losing some of it does no harm.
// It reads nothing.
func New(own, heard store.KV) *Book {
	return &Book{own: aged.New(own, ownLimits), heard: aged.New(heard, heardLimits), unwritten: map[Kind]Estimate{}}
}

// Learn takes in a run of a step of these kinds, which a build of this node has
// seen. It is known at once, and written with others: see Flush.
func (b *Book) Learn(k Kinds, r Run, now time.Time) error {
	b.write.Lock()
	defer b.write.Unlock()
	for _, kind := range []Kind{k.Step, k.Rule} {
		old, err := b.readOwn(kind)
		if err != nil {
			return fmt.Errorf("learn cost of kind %v: %w", kind, err)
		}
		if b.learned(kind, old.After(r, now)) < maxUnwritten {
			continue
		}
		if err := b.flush(); err != nil {
			return err
		}
	}
	return nil
}

// learned notes what is to be written, and returns how much that is.
func (b *Book) learned(k Kind, e Estimate) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unwritten[k] = e
	return len(b.unwritten)
}

// Flush writes what was learned. Who learns calls it at the end: what is not
// written when the process ends is lost.
func (b *Book) Flush() error {
	b.write.Lock()
	defer b.write.Unlock()
	return b.flush()
}

// flush is Flush for who holds write. What cannot be written is forgotten.
func (b *Book) flush() (err error) {
	b.mu.Lock()
	all := maps.Clone(b.unwritten)
	b.mu.Unlock()
	for kind, e := range all {
		if failed := b.own.Put(kind[:], e.encode()); failed != nil {
			err = fmt.Errorf("keep cost of kind %v: %w", kind, failed)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.unwritten) // nobody learns meanwhile
	return err
}

// readOwn is read for what this node's builds have seen.
func (b *Book) readOwn(k Kind) (Estimate, error) {
	b.mu.Lock()
	e, ok := b.unwritten[k]
	b.mu.Unlock()
	if ok {
		return e, nil
	}
	return read(b.own, k)
}

// Hear takes in what a member tells of a kind.
func (b *Book) Hear(k Kind, told Estimate, now time.Time) error {
	b.write.Lock()
	defer b.write.Unlock()
	old, err := read(b.heard, k)
	if err == nil {
		err = b.heard.Put(k[:], old.Hear(told, now).encode())
	}
	if err != nil {
		return fmt.Errorf("keep what is told of kind %v: %w", k, err)
	}
	return nil
}

// Own returns what this node's builds have seen of a kind; without any
// successful run it is nothing.
func (b *Book) Own(k Kind) (Estimate, bool) {
	e, err := b.readOwn(k)
	return e, err == nil && e.Runs > 0
}

// Known returns what is known of a kind here, from whomever; without any
// successful run it is nothing.
func (b *Book) Known(k Kind) (Estimate, bool) {
	own, err := b.readOwn(k)
	if err != nil || own.Runs >= trusted {
		return own, err == nil
	}
	heard, err := read(b.heard, k)
	if err != nil {
		return Estimate{}, false
	}
	e := own.Over(heard)
	return e, e.Runs > 0
}

// read returns the zero Estimate where there is none, or one that cannot be
// read: it was written by another version, and goes.
func read(s *aged.Shelf, k Kind) (Estimate, error) {
	value, err := s.Get(k[:])
	if errors.Is(err, store.ErrNotFound) {
		return Estimate{}, nil
	}
	if err != nil {
		return Estimate{}, err
	}
	e, ok := decode(value)
	if !ok {
		return Estimate{}, s.Delete(k[:])
	}
	return e, nil
}
