// Package memory is a store that forgets: the fake of tests. It passes the same
// suite as the one on disk. Start reading at New.
package memory

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// Store implements store.Blobs, store.Leaser and store.Keeper.
type Store struct {
	max int64

	mu     sync.Mutex
	bytes  int64
	blobs  map[digest.Digest][]byte
	order  []digest.Digest // least recently used first
	leases map[digest.Digest]int
	until  map[digest.Digest]time.Time // as Keep has promised; they need not be here
}

var (
	_ store.Blobs  = (*Store)(nil)
	_ store.Leaser = (*Store)(nil)
	_ store.Keeper = (*Store)(nil)
)

// New returns an empty store of at most maxBytes of blobs.
func New(maxBytes int64) *Store {
	return &Store{max: maxBytes, blobs: map[digest.Digest][]byte{}, leases: map[digest.Digest]int{}, until: map[digest.Digest]time.Time{}}
}

func empty(d digest.Digest) bool { return d == digest.Of(d.Function(), nil) }

func (s *Store) use(d digest.Digest) {
	i := slices.Index(s.order, d)
	s.order = append(slices.Delete(s.order, i, i+1), d)
}

// Has implements store.Blobs.
func (s *Store) Has(_ context.Context, ds []digest.Digest) ([]bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	here := make([]bool, len(ds))
	for i, d := range ds {
		_, ok := s.blobs[d]
		if ok {
			s.use(d)
		}
		here[i] = ok || empty(d)
	}
	return here, nil
}

type reader struct{ *bytes.Reader }

func (reader) Close() error { return nil }

// Open implements store.Blobs.
func (s *Store) Open(_ context.Context, d digest.Digest) (store.Reader, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	content, ok := s.blobs[d]
	if !ok && !empty(d) {
		return nil, fmt.Errorf("open %v: %w", d, store.ErrNotFound)
	}
	if ok {
		s.use(d)
	}
	return reader{bytes.NewReader(content)}, nil
}

// Put implements store.Blobs.
func (s *Store) Put(_ context.Context, d digest.Digest, r io.Reader) error {
	content, err := io.ReadAll(io.LimitReader(r, d.Size()+1))
	if err != nil {
		return fmt.Errorf("put %v: %w", d, err)
	}
	if digest.Of(d.Function(), content) != d {
		return fmt.Errorf("put %v: %w", d, store.ErrMismatch)
	}
	return s.keep(d, content)
}

// Add implements store.Blobs.
func (s *Store) Add(_ context.Context, fn digest.Function, r io.Reader) (digest.Digest, error) {
	content, err := io.ReadAll(r)
	if err != nil {
		return digest.Digest{}, fmt.Errorf("add a blob: %w", err)
	}
	d := digest.Of(fn, content)
	return d, s.keep(d, content)
}

func (s *Store) keep(d digest.Digest, content []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.blobs[d]; ok || empty(d) {
		return nil
	}
	for _, old := range slices.Clone(s.order) {
		if s.bytes+d.Size() <= s.max {
			break
		}
		if s.leases[old] == 0 && !s.until[old].After(time.Now()) {
			s.drop(old)
		}
	}
	if s.bytes+d.Size() > s.max {
		return fmt.Errorf("put %v: %w", d, store.ErrFull)
	}
	s.blobs[d] = content
	s.order = append(s.order, d)
	s.bytes += d.Size()
	return nil
}

// Drop forgets a blob, as if it had been collected.
func (s *Store) Drop(d digest.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.blobs[d]; ok {
		s.drop(d)
	}
}

func (s *Store) drop(d digest.Digest) {
	delete(s.blobs, d)
	i := slices.Index(s.order, d)
	s.order = slices.Delete(s.order, i, i+1)
	s.bytes -= d.Size()
}

// Keep implements store.Keeper. At most a half of the store is promised.
func (s *Store) Keep(_ context.Context, until time.Time, ds []digest.Digest) ([]bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	here := make([]bool, len(ds))
	for i, d := range ds {
		_, ok := s.blobs[d]
		here[i] = ok || empty(d)
		if ok {
			s.use(d)
		}
		if until.After(s.until[d]) && s.promised()+d.Size() <= s.max/2 {
			s.until[d] = until
		}
	}
	return here, nil
}

// promised counts bytes.
func (s *Store) promised() (bytes int64) {
	for d, until := range s.until {
		if _, ok := s.blobs[d]; ok && until.After(time.Now()) {
			bytes += d.Size()
		}
	}
	return bytes
}

// Lease implements store.Leaser.
func (s *Store) Lease() store.Lease { return &lease{s: s} }

// Push implements store.Pusher: nothing here outlives the process.
func (s *Store) Push() error { return nil }

type lease struct {
	s    *Store
	held []digest.Digest // guarded by s.mu
}

// Hold implements store.Lease.
func (l *lease) Hold(ds ...digest.Digest) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	for _, d := range ds {
		l.s.leases[d]++
		l.held = append(l.held, d)
	}
}

// Release implements store.Lease.
func (l *lease) Release() {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	for _, d := range l.held {
		l.s.leases[d]--
	}
	l.held = nil
}
