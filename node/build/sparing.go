package build

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// spareShare is the part of the time in which an heir fetches what it keeps: one
	// of so many. What it fetches takes of the lines that the build needs now.
	spareShare = 20
	// spareBurst is how long it may fetch at once after it fetched nothing for long.
	spareBurst = 250 * time.Millisecond
	// A fetch is to take about spareTime, as far as sizes of blobs allow.
	spareTime                  = 100 * time.Millisecond
	minSpareBytes              = 64 << 10
	maxSpareBytes, maxSpareOne = 4 << 20, 64
	// maxKeptBytes is what a node keeps of the builds of others, all together,
	// unless it was set: see Options.KeepBytes. It is leased, and a store full of
	// leases fails the node's own builds: one part of so many is the most.
	maxKeptBytes = 4 << 30
	keptPart     = 4
)

// sparing is a Fetcher that takes little of the lines, until it is in earnest.
type sparing struct {
	Fetcher
	claim func(...digest.Digest) error

	turn chan struct{} // holds one token while nobody fetches

	mu      sync.Mutex
	earnest bool
	free    time.Time // when the next fetch may begin, but for the burst
	rate    float64   // bytes a second, 0 while not known
}

func newSparing(f Fetcher, claim func(...digest.Digest) error) *sparing {
	s := &sparing{Fetcher: f, claim: claim, turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	return s
}

// Fetch implements Fetcher.
func (s *sparing) Fetch(ctx context.Context, ds []digest.Digest, hints []peer.ID) (moved int64, err error) {
	for len(ds) > 0 {
		var batch []digest.Digest
		if s.inEarnest() {
			batch, ds = ds, nil
		} else {
			batch = cut(&ds, s.batch())
		}
		n, err := s.spare(ctx, func() (int64, error) { return s.Fetcher.Fetch(ctx, batch, hints) })
		if moved += n; err != nil {
			return moved, err
		}
	}
	return moved, nil
}

// FetchTree implements Fetcher. What is in a tree shows while it comes: what is
// too much is not held, and ends the fetch.
func (s *sparing) FetchTree(ctx context.Context, root digest.Digest, hints []peer.ID, hold func(...digest.Digest)) (int64, error) {
	if s.inEarnest() {
		return s.Fetcher.FetchTree(ctx, root, hints, hold)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var refused error
	claim := func(ds ...digest.Digest) {
		if refused == nil {
			refused = s.claim(ds...)
		}
		if refused != nil {
			stop()
			return
		}
		hold(ds...)
	}
	n, err := s.spare(ctx, func() (int64, error) { return s.Fetcher.FetchTree(ctx, root, hints, claim) })
	if refused != nil {
		return n, refused
	}
	return n, err
}

// spare fetches when it is time to.
func (s *sparing) spare(ctx context.Context, fetch func() (int64, error)) (int64, error) {
	if s.inEarnest() {
		return fetch()
	}
	select {
	case <-s.turn:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	defer func() { s.turn <- struct{}{} }()
	if pause := s.wait(time.Now()); pause > 0 {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	began := time.Now()
	moved, err := fetch()
	if moved > 0 {
		s.took(began, time.Now(), moved)
	}
	return moved, err
}

// wait is how long it is to the next fetch.
func (s *sparing) wait(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(0, s.free.Add(-spareBurst).Sub(now))
}

// took notes a fetch.
func (s *sparing) took(from, until time.Time, moved int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	took := max(until.Sub(from), time.Microsecond)
	if s.free.Before(from) {
		s.free = from
	}
	s.free = s.free.Add(spareShare * took)
	s.rate = float64(moved) / took.Seconds()
}

// batch is how many bytes are fetched at once.
func (s *sparing) batch() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(min(max(s.rate*spareTime.Seconds(), minSpareBytes), maxSpareBytes))
}

func (s *sparing) inEarnest() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.earnest
}

// begin has it fetch in earnest from now on.
func (s *sparing) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.earnest = true
}

// cut takes as many blobs from the front as are fetched at once: one at least.
func cut(list *[]digest.Digest, limit int64) []digest.Digest {
	n, bytes := 0, int64(0)
	for n < min(len(*list), maxSpareOne) && (n == 0 || bytes+(*list)[n].Size() <= limit) {
		bytes += (*list)[n].Size()
		n++
	}
	batch := (*list)[:n:n]
	*list = (*list)[n:]
	return batch
}

// keepMore counts bytes that are kept for others.
func (b *Builder) keepMore(bytes int64) error {
	limit := b.mayKeep()
	for {
		kept := b.kept.Load()
		if bytes > limit-kept {
			return fmt.Errorf("%w: with it that were %s, the limit is %s; set keep_for_others or cache.max in node.yaml",
				sched.ErrTooMuch, humanize.IBytes(uint64(kept)+uint64(bytes)), humanize.IBytes(uint64(limit)))
		}
		if b.kept.CompareAndSwap(kept, kept+bytes) {
			return nil
		}
	}
}

func (b *Builder) mayKeep() int64 {
	limit := int64(maxKeptBytes)
	if b.opts.KeepBytes > 0 {
		limit = b.opts.KeepBytes
	}
	if b.opts.StoreBytes > 0 {
		limit = min(limit, b.opts.StoreBytes/keptPart)
	}
	return limit
}
