package disk

import (
	"context"
	"fmt"
	"time"

	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// Lease implements store.Leaser.
func (s *Store) Lease() store.Lease { return &lease{s: s, held: map[digest.Digest]struct{}{}} }

type lease struct {
	s    *Store
	held map[digest.Digest]struct{} // guarded by s.mu; nil when released
}

// Hold implements store.Lease.
func (l *lease) Hold(ds ...digest.Digest) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if l.held == nil {
		return
	}
	for _, d := range ds {
		if _, twice := l.held[d]; !twice {
			l.held[d] = struct{}{}
			l.s.ix.hold(d)
		}
	}
}

// Release implements store.Lease.
func (l *lease) Release() {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.s.ix.release(l.held)
	l.held = nil
}

// Keep implements store.Keeper. Promises are in memory alone: a restart forgets
// them. At most a half of the store is promised; blobs beyond that are here and no
// more than that.
func (s *Store) Keep(_ context.Context, until time.Time, ds []digest.Digest) ([]bool, error) {
	here := make([]bool, len(ds))
	end := s.opened.Add(until.Sub(s.opened)).UnixNano()
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for i, d := range ds {
		if here[i] = empty(d); here[i] {
			continue
		}
		var kept bool
		if b, ok := s.ix.blobs[d]; ok {
			here[i] = true
			s.ix.use(b, now)
			kept = s.ix.promise(b, end, now)
		} else {
			kept = s.ix.await(d, end, now)
		}
		if !kept {
			s.stats.Unkept++
		}
	}
	return here, nil
}

// Copied says that others have a copy of blobs, as somebody has just seen: they go
// sooner than those of which this may be the last. It holds until a blob is used.
func (s *Store) Copied(ds ...digest.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range ds {
		if b, ok := s.ix.blobs[d]; ok {
			s.ix.copiedElsewhere(b)
		}
	}
}

// Brink returns at most n of the blobs that are to go first, of those that nobody
// has called Copied.
func (s *Store) Brink(n int) []digest.Digest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ix.brink(s.now(), n)
}

// collectBatch blobs are taken out of the index at once.
const collectBatch = 256

// Collect drops what nobody has used for longer than age, 0 being for ever, and
// nobody leases, and writes the times of use of the rest: they are all that is left
// of them after a kill. It returns how many bytes of blobs went. It may be ended, and
// the process killed, at any moment.
func (s *Store) Collect(ctx context.Context, age time.Duration) (freed int64, err error) {
	if err := s.saveUse(); err != nil {
		return 0, fmt.Errorf("collect: %w", err)
	}
	for age > 0 && ctx.Err() == nil {
		s.mu.Lock()
		now := s.now()
		old := s.ix.unused(now-int64(age), now, collectBatch)
		s.stats.Aged += int64(len(old))
		s.mu.Unlock()
		if len(old) == 0 {
			break
		}
		for _, b := range old {
			if err := s.erase(b.digest); err != nil {
				return freed, fmt.Errorf("collect: %w", err)
			}
			freed += b.digest.Size()
		}
	}
	if err := ctx.Err(); err != nil {
		return freed, fmt.Errorf("collect: %w", err)
	}
	return freed, nil
}
