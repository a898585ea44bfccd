// Package share gives leases that together hold no more than a share of a store: who
// is served by them cannot keep the store from taking what comes. It is pure but for
// the leases under it. Start reading at Share.
package share

import (
	"sync"

	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// Limits bound a Share.
type Limits struct {
	// Bytes of the blobs that are held, each counted once.
	Bytes int64
	// Holds of all leases together: a blob that two leases hold counts twice, and each
	// takes some 150 bytes of memory.
	Holds int
}

// Stats says what a Share holds.
type Stats struct {
	Bytes int64
	// Refused counts the holds for which there was no room.
	Refused int64
}

// Share is a store.Leaser. What there is no room for its leases do not hold: it is
// there, or not, as if nobody had asked. All methods may be called concurrently.
type Share struct {
	under  store.Leaser
	limits Limits

	mu    sync.Mutex
	of    map[digest.Digest]int // how many leases hold a blob
	holds int                   // the sum of these
	stats Stats
}

var _ store.Leaser = (*Share)(nil)

// New returns a share of the store whose leases under gives.
func New(under store.Leaser, l Limits) *Share {
	return &Share{under: under, limits: l, of: map[digest.Digest]int{}}
}

// Stats returns what is held now.
func (s *Share) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Lease implements store.Leaser.
func (s *Share) Lease() store.Lease {
	return &lease{share: s, under: s.under.Lease(), held: map[digest.Digest]struct{}{}}
}

// take makes room for one more hold of d, if there is some.
func (s *Share) take(d digest.Digest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	size := d.Size()
	if s.of[d] > 0 {
		size = 0
	}
	if s.holds == s.limits.Holds || size > s.limits.Bytes-s.stats.Bytes {
		s.stats.Refused++
		return false
	}
	s.holds++
	s.of[d]++
	s.stats.Bytes += size
	return true
}

func (s *Share) giveBack(ds map[digest.Digest]struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for d := range ds {
		s.holds--
		if s.of[d]--; s.of[d] == 0 {
			delete(s.of, d)
			s.stats.Bytes -= d.Size()
		}
	}
}

// lease holds what there was room for.
type lease struct {
	share *Share

	// mu orders Hold and Release: what comes after the end is not to be held for ever.
	mu    sync.Mutex
	under store.Lease
	held  map[digest.Digest]struct{} // nil when released
}

// Hold implements store.Lease.
func (l *lease) Hold(ds ...digest.Digest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		return
	}
	taken := make([]digest.Digest, 0, len(ds))
	for _, d := range ds {
		if _, twice := l.held[d]; !twice && l.share.take(d) {
			l.held[d] = struct{}{}
			taken = append(taken, d)
		}
	}
	l.under.Hold(taken...)
}

// Release implements store.Lease.
func (l *lease) Release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.under.Release()
	l.share.giveBack(l.held)
	l.held = nil
}
