// Package costs keeps what runs of actions took, per kind of action: time,
// memory, output, and whether they succeeded. What this node's builds have seen
// and what other members tell are kept apart, and the first counts more. The
// estimator (Estimate, Run, Kind) is pure; Book keeps it. Start reading at Book.
package costs

import (
	"errors"
	"fmt"
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

// Book is a node's knowledge. All methods may be called concurrently.
type Book struct {
	own, heard *aged.Shelf
	// write orders updates, over their I/O: each reads what it changes.
	write sync.Mutex
}

// New returns the book that own and heard hold; losing some of it does no harm.
// It reads nothing.
func New(own, heard store.KV) *Book {
	return &Book{own: aged.New(own, ownLimits), heard: aged.New(heard, heardLimits)}
}

// Learn takes in a run of a step of these kinds, which a build of this node has
// seen.
func (b *Book) Learn(k Kinds, r Run, now time.Time) error {
	b.write.Lock()
	defer b.write.Unlock()
	for _, kind := range []Kind{k.Step, k.Rule} {
		old, err := read(b.own, kind)
		if err == nil {
			err = b.own.Put(kind[:], old.After(r, now).encode())
		}
		if err != nil {
			return fmt.Errorf("learn cost of kind %v: %w", kind, err)
		}
	}
	return nil
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
	e, err := read(b.own, k)
	return e, err == nil && e.Runs > 0
}

// Known returns what is known of a kind here, from whomever; without any
// successful run it is nothing.
func (b *Book) Known(k Kind) (Estimate, bool) {
	own, err := read(b.own, k)
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
