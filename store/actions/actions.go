// Package actions is a node's action cache: what came of an action, under the
// action's digest. It keeps results, not their blobs: see store.Closure. Start
// reading at Cache.
package actions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/internal/aged"
)

// limits of a cache. A result is some 300 bytes; 200,000 are the steps of
// several of the largest graphs.
var limits = aged.Limits{Keys: 200_000, Bytes: 256 << 20}

// ErrFailed says that a result is of an action that failed: those are not kept.
var ErrFailed = errors.New("results of failed actions are not cached")

// Cache is an action cache. All methods may be called concurrently.
type Cache struct {
	shelf  *aged.Shelf
	latest latest
}

// New returns the cache that kv holds; losing its newest entries in an unclean
// stop does no harm. It reads nothing.
func New(kv store.KV) *Cache { return &Cache{shelf: aged.New(kv, limits)} }

// Get returns the entry of action a, or store.ErrNotFound. The signature was
// checked when the entry came, its bytes are checked now: an entry that is
// damaged is dropped and was not there.
func (c *Cache) Get(_ context.Context, a digest.Digest) (action.Entry, error) {
	raw, err := c.shelf.Get(a.Binary())
	if err != nil {
		c.latest.drop(a)
		if errors.Is(err, store.ErrNotFound) {
			return action.Entry{}, err // most are: no text is made of it
		}
		return action.Entry{}, fmt.Errorf("result of %v: %w", a, err)
	}
	e, err := action.UnmarshalEntry(raw)
	if err == nil && e.Action == a {
		return e, nil
	}
	if err := c.Delete(a); err != nil {
		return action.Entry{}, err
	}
	return action.Entry{}, fmt.Errorf("damaged result of %v: %w", a, store.ErrNotFound)
}

// Put keeps an entry whose signature is its executor's; it returns ErrFailed
// if the action had failed.
func (c *Cache) Put(_ context.Context, e action.Entry) error {
	now := time.Now()
	if c.latest.has(&e, now) {
		return nil
	}
	if err := e.Verify(); err != nil {
		return fmt.Errorf("keep result of %v: %w", e.Action, err)
	}
	return c.put(e, now)
}

// PutOwn is Put for an entry that this node has signed just now. Its signature is
// not checked: whoever gives it to others has to. A Put of the very same a moment
// later does not check it either.
func (c *Cache) PutOwn(_ context.Context, e action.Entry) error { return c.put(e, time.Now()) }

func (c *Cache) put(e action.Entry, now time.Time) error {
	if !e.Result.OK() {
		return fmt.Errorf("keep result of %v: %w", e.Action, ErrFailed)
	}
	raw, err := e.Marshal()
	if err != nil {
		return fmt.Errorf("keep result of %v: %w", e.Action, err)
	}
	if len(raw) > action.MaxEntryBytes {
		return fmt.Errorf("keep result of %v: %w entry: %d bytes, the limit is %d", e.Action, action.ErrInvalid, len(raw), action.MaxEntryBytes)
	}
	drops := c.latest.dropped()
	if err := c.shelf.Put(e.Action.Binary(), raw); err != nil {
		return fmt.Errorf("keep result of %v: %w", e.Action, err)
	}
	c.latest.add(e, now, drops)
	return nil
}

// Delete drops an entry; there may be none.
func (c *Cache) Delete(a digest.Digest) error {
	defer c.latest.drop(a)
	if err := c.shelf.Delete(a.Binary()); err != nil {
		return fmt.Errorf("drop result of %v: %w", a, err)
	}
	return nil
}

// Each calls f for all entries, by digest, until f returns false. f must not
// call the cache.
func (c *Cache) Each(f func(action.Entry) bool) error {
	err := c.shelf.Each(func(_, raw []byte) bool {
		e, err := action.UnmarshalEntry(raw)
		return err != nil || f(e)
	})
	if err != nil {
		return fmt.Errorf("list results: %w", err)
	}
	return nil
}

// Len returns how many entries there are; the first call counts. It is 0 if
// they cannot be read.
func (c *Cache) Len() int {
	n, err := c.shelf.Len()
	if err != nil {
		return 0
	}
	return n
}

// Clear drops everything.
func (c *Cache) Clear() error {
	defer c.latest.clear()
	if err := c.shelf.Clear(); err != nil {
		return fmt.Errorf("clear results: %w", err)
	}
	return nil
}
