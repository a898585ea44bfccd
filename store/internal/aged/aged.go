// Package aged keeps a bounded number of small values in a store.KV: when there
// are too many, those written longest ago go. Each value is checked against a
// checksum when it is read. Start reading at Shelf.
package aged

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	sumBytes  = 8
	headBytes = sumBytes + 8 // checksum, then Unix nanoseconds of writing
	// countOdds is one in how many Puts counts, while it is not known how much
	// there is: a short process need not read everything to add one value, and
	// many of them together still keep the bound.
	countOdds = 64
	// keepShare of the bound stays when it was passed, so that passing is rare.
	keepShare = 0.75
	// moment is how long a value need not be written again to be as new: the parts
	// of a node each keep a result that passes through them.
	moment = time.Minute
)

// Limits of a Shelf; both must be positive.
type Limits struct {
	Keys  int
	Bytes int64
}

// Shelf is a bounded KV. All methods may be called concurrently.
type Shelf struct {
	kv     store.KV
	limits Limits

	counted  atomic.Bool
	counting atomic.Bool
	// keys and bytes are what there is, once counted, but for what two wrote at
	// once.
	keys, bytes atomic.Int64
}

// New returns the shelf of what kv holds. It reads nothing.
func New(kv store.KV, limits Limits) *Shelf { return &Shelf{kv: kv, limits: limits} }

// Get returns the value, or store.ErrNotFound. A value that is damaged is
// deleted and was not there.
func (s *Shelf) Get(key []byte) ([]byte, error) {
	raw, err := s.kv.Get(key)
	if err != nil {
		return nil, err
	}
	value, _, ok := open(raw)
	if !ok {
		if err := s.Delete(key); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("damaged value of %q: %w", key, store.ErrNotFound)
	}
	return value, nil
}

// Put keeps a value, and drops the oldest when there are too many. One that was
// put a moment ago is there.
func (s *Shelf) Put(key, value []byte) error {
	now := time.Now()
	old, err := s.before(key)
	if err != nil {
		return err
	}
	if v, written, ok := open(old); ok && now.UnixNano()-written < int64(moment) && bytes.Equal(v, value) {
		return nil
	}
	s.uncount(key, old)
	if err := s.kv.Put(key, seal(value, now)); err != nil {
		return err
	}
	keys, bytes := s.keys.Add(1), s.bytes.Add(int64(len(key)+headBytes+len(value)))
	over := keys > int64(s.limits.Keys) || bytes > s.limits.Bytes
	if over || !s.counted.Load() && rand.IntN(countOdds) == 0 {
		return s.prune()
	}
	return nil
}

// before returns what is there as it was written; nil if nothing is.
func (s *Shelf) before(key []byte) ([]byte, error) {
	old, err := s.kv.Get(key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return old, err
}

// uncount takes what is about to go out of the count.
func (s *Shelf) uncount(key, old []byte) {
	if old != nil {
		s.keys.Add(-1)
		s.bytes.Add(-int64(len(key) + len(old)))
	}
}

// Delete removes a value; there may be none.
func (s *Shelf) Delete(key []byte) error {
	old, err := s.before(key)
	if err != nil {
		return err
	}
	s.uncount(key, old)
	return s.kv.Delete(key)
}

// Len returns how many values there are, give or take those that are being
// written. The first call counts.
func (s *Shelf) Len() (int, error) {
	if !s.counted.Load() {
		if err := s.prune(); err != nil {
			return 0, err
		}
	}
	return max(0, int(s.keys.Load())), nil
}

// Each calls f for all values that are not damaged, by key, until f returns
// false. f must not call the shelf.
func (s *Shelf) Each(f func(key, value []byte) bool) error {
	return s.kv.Scan(nil, func(key, raw []byte) bool {
		value, _, ok := open(raw)
		return !ok || f(key, value)
	})
}

// Clear removes everything.
func (s *Shelf) Clear() error {
	var keys [][]byte
	if err := s.kv.Scan(nil, func(key, _ []byte) bool { keys = append(keys, key); return true }); err != nil {
		return err
	}
	var errs error
	for _, key := range keys {
		errs = errors.Join(errs, s.Delete(key))
	}
	return errs
}

func seal(value []byte, now time.Time) []byte {
	b := make([]byte, sumBytes, headBytes+len(value))
	b = binary.BigEndian.AppendUint64(b, uint64(now.UnixNano()))
	b = append(b, value...)
	copy(b, sum(b[sumBytes:]))
	return b
}

func open(raw []byte) (value []byte, written int64, ok bool) {
	if len(raw) < headBytes || string(raw[:sumBytes]) != string(sum(raw[sumBytes:])) {
		return nil, 0, false
	}
	return raw[headBytes:], int64(binary.BigEndian.Uint64(raw[sumBytes:])), true
}

func sum(b []byte) []byte {
	hash := digest.Of(digest.BLAKE3, b).Hash()
	return hash[:sumBytes]
}

type item struct {
	key     []byte
	written int64
	bytes   int64
}

// prune counts, and drops the oldest if there is too much. One at a time does;
// others go on meanwhile.
func (s *Shelf) prune() error {
	if !s.counting.CompareAndSwap(false, true) {
		return nil
	}
	defer s.counting.Store(false)
	var items []item
	var bytes int64
	err := s.kv.Scan(nil, func(key, raw []byte) bool {
		// What is damaged counts as written at the beginning of time.
		_, written, _ := open(raw)
		items = append(items, item{key: key, written: written, bytes: int64(len(key) + len(raw))})
		bytes += int64(len(key) + len(raw))
		return true
	})
	if err != nil {
		return err
	}
	keys := len(items)
	if keys > s.limits.Keys || bytes > s.limits.Bytes {
		if keys, bytes, err = s.drop(items, bytes); err != nil {
			return err
		}
	}
	s.keys.Store(int64(keys))
	s.bytes.Store(bytes)
	s.counted.Store(true)
	return nil
}

// drop deletes the oldest items and returns what is left.
func (s *Shelf) drop(items []item, bytes int64) (keys int, left int64, err error) {
	slices.SortFunc(items, func(a, b item) int {
		switch {
		case a.written < b.written:
			return -1
		case a.written > b.written:
			return 1
		default:
			return slices.Compare(a.key, b.key)
		}
	})
	keepKeys, keepBytes := int(keepShare*float64(s.limits.Keys)), int64(keepShare*float64(s.limits.Bytes))
	for len(items) > keepKeys || bytes > keepBytes {
		if err := s.kv.Delete(items[0].key); err != nil {
			return 0, 0, err
		}
		bytes -= items[0].bytes
		items = items[1:]
	}
	return len(items), bytes, nil
}
