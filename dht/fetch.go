package dht

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

// ErrNoHolder is matched by every *NoHolderError.
var ErrNoHolder = errors.New("no reachable member holds the blob")

// NoHolderError says that a blob could not be had from anybody.
type NoHolderError struct {
	Digest digest.Digest
	// Tried are the peers that were said to hold it and did not give it.
	Tried []peer.ID
	// Last is what the last of them failed with; nil if none was tried.
	Last error
}

func (e *NoHolderError) Error() string {
	if len(e.Tried) == 0 {
		return fmt.Sprintf("fetch %v: %v; run the step that makes it again", e.Digest, ErrNoHolder)
	}
	return fmt.Sprintf("fetch %v: %v, %d tried, the last: %v; run the step that makes it again", e.Digest, ErrNoHolder, len(e.Tried), e.Last)
}

// Is says that e is an ErrNoHolder.
func (e *NoHolderError) Is(target error) bool { return target == ErrNoHolder }

// Unwrap returns the last holder's error.
func (e *NoHolderError) Unwrap() error { return e.Last }

// flight is one blob on its way. What follows done is set before it is closed.
type flight struct {
	hints []peer.ID
	done  chan struct{}
	err   error
}

// kind of blobs that lie in the same place most of the time: a leader has the
// actions that it made, an initiator its sources.
type kind uint8

const (
	anything kind = iota
	actions       // and commands
	directories
	kinds = iota
)

// Fetch brings every blob of ds that is not here into the local store,
// verified, and returns how many bytes this call moved. The hinted holders are
// asked first, then those whom the owners of the locations know, then kad-dht,
// then every member. A blob that another Fetch is bringing is waited for.
//
// Fetch returns a *NoHolderError if a blob is to be had from nobody, with the
// others brought here if they could be; any other error is the local store's
// or ctx's. To keep what it brings from being collected, hold ds in a lease
// before.
func (d *DHT) Fetch(ctx context.Context, ds []digest.Digest, hints []peer.ID) (int64, error) {
	return d.fetch(ctx, anything, ds, hints, nil)
}

// fetch is Fetch. What comes with the blobs goes to p, if there is one.
func (d *DHT) fetch(ctx context.Context, of kind, ds []digest.Digest, hints []peer.ID, p *parts) (int64, error) {
	var moved int64
	for {
		landings := d.landed()
		missing, err := d.missing(ctx, ds)
		if err != nil || len(missing) == 0 {
			return moved, err
		}
		own, others, current := d.board(missing, hints, landings)
		if !current {
			if own, err = d.disembark(ctx, own); err != nil {
				return moved, err
			}
		}
		if len(own) > 0 {
			j := newJob(d, of, own)
			j.parts = p
			err := j.run(ctx, hints)
			moved += j.bytes
			if err != nil {
				return moved, err
			}
		}
		if len(others) == 0 {
			return moved, nil
		}
		if err := await(ctx, others, hints); err != nil {
			return moved, err
		}
	}
}

// await waits for flights. A flight that failed for want of hints that this
// call has, or with its own caller, is no failure: this call tries itself.
func await(ctx context.Context, others []*flight, hints []peer.ID) error {
	for _, f := range others {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %d blobs: %w", len(others), ctx.Err())
		case <-f.done:
		}
		knowsMore := slices.ContainsFunc(hints, func(id peer.ID) bool { return !slices.Contains(f.hints, id) })
		if f.err != nil && !knowsMore && !errors.Is(f.err, context.Canceled) && !errors.Is(f.err, context.DeadlineExceeded) {
			return f.err
		}
	}
	return nil
}

func (d *DHT) missing(ctx context.Context, ds []digest.Digest) ([]digest.Digest, error) {
	if len(ds) == 0 {
		return nil, nil
	}
	has, err := d.opts.Blobs.Has(ctx, ds)
	if err != nil {
		return nil, fmt.Errorf("fetch %d blobs: %w", len(ds), err)
	}
	var missing []digest.Digest
	seen := map[digest.Digest]bool{}
	for i, key := range ds {
		if !has[i] && !seen[key] {
			seen[key] = true
			missing = append(missing, key)
		}
	}
	return missing, nil
}

func (d *DHT) landed() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.landings
}

// board splits ds into those that this call is to bring and the flights of
// those that another one brings. It is current unless a blob has landed since
// there were so many landings: what was missing then may be here.
func (d *DHT) board(ds []digest.Digest, hints []peer.ID, landings int64) (own []digest.Digest, others []*flight, current bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, key := range ds {
		if f, ok := d.flights[key]; ok {
			others = append(others, f)
			continue
		}
		d.flights[key] = &flight{hints: hints, done: make(chan struct{})}
		own = append(own, key)
	}
	return own, others, d.landings == landings
}

// disembark lands those of own that are here by now, and returns the rest.
func (d *DHT) disembark(ctx context.Context, own []digest.Digest) ([]digest.Digest, error) {
	missing, err := d.missing(ctx, own)
	if err != nil {
		for _, key := range own {
			d.land(key, err)
		}
		return nil, err
	}
	left := make(map[digest.Digest]bool, len(missing))
	for _, key := range missing {
		left[key] = true
	}
	for _, key := range own {
		if !left[key] {
			d.land(key, nil)
		}
	}
	return missing, nil
}

func (d *DHT) land(key digest.Digest, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.landings++
	f := d.flights[key]
	delete(d.flights, key)
	f.err = err
	close(f.done)
}

// job is one call's own blobs.
type job struct {
	d      *DHT
	kind   kind
	parts  *parts // takes what comes with an action; nil where nothing may
	member func(peer.ID) bool

	mu    sync.Mutex
	left  map[digest.Digest]*want
	bytes int64
	local error // of the local store: no other holder can help
}

// want is one blob that is not here yet.
type want struct {
	holders, tried []peer.ID
	last           error
}

func newJob(d *DHT, of kind, own []digest.Digest) *job {
	j := &job{d: d, kind: of, member: d.member(), left: make(map[digest.Digest]*want, len(own))}
	for _, key := range own {
		j.left[key] = &want{}
	}
	return j
}

func (j *job) wants(keys []digest.Digest) map[digest.Digest]*want {
	j.mu.Lock()
	defer j.mu.Unlock()
	wants := make(map[digest.Digest]*want, len(keys))
	for _, key := range keys {
		wants[key] = j.left[key]
	}
	return wants
}

// keys returns what is left, sorted, so that equal jobs ask equal questions.
func (j *job) keys() []digest.Digest {
	j.mu.Lock()
	defer j.mu.Unlock()
	keys := make([]digest.Digest, 0, len(j.left))
	for key := range j.left {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, digest.Digest.Compare)
	return keys
}

// run brings small blobs in batches and each large one by itself, then lands
// the flights of what could not be had.
func (j *job) run(ctx context.Context, hints []peer.ID) error {
	var small, large []digest.Digest
	for _, key := range j.keys() {
		if key.Size() >= Large {
			large = append(large, key)
		} else {
			small = append(small, key)
		}
	}
	errs := make([]error, 1+len(large))
	var fetching sync.WaitGroup
	for i, key := range large {
		fetching.Go(func() { errs[1+i] = j.fetchLarge(ctx, key, hints) })
	}
	if len(small) > 0 {
		errs[0] = j.fetchSmall(ctx, small, hints)
	}
	fetching.Wait()
	return j.end(ctx, errs)
}

func (j *job) end(ctx context.Context, errs []error) error {
	err := ctx.Err()
	if err != nil {
		err = fmt.Errorf("fetch %d blobs: %w", len(j.left), err)
	}
	for _, e := range append([]error{j.local}, errs...) {
		if err == nil {
			err = e
		}
	}
	for _, key := range j.keys() {
		w := j.left[key]
		lost := err
		if ctx.Err() == nil && j.local == nil {
			lost = &NoHolderError{Digest: key, Tried: w.tried, Last: w.last}
		}
		j.d.land(key, lost)
	}
	return err
}

// arrived notes a blob that the local store has taken.
func (j *job) arrived(key digest.Digest) {
	j.mu.Lock()
	delete(j.left, key)
	j.bytes += key.Size()
	j.mu.Unlock()
	j.d.land(key, nil)
	j.d.count(func(s *Stats) { s.BytesIn += key.Size(); s.BlobsIn++ })
}

func (j *job) refused(key digest.Digest, err error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.local = fmt.Errorf("store %v: %w", key, err)
	return j.local
}

// doubtful says whether a holder is asked only where no other holds the blob:
// it failed lately or sent wrong bytes, or membership does not count it as alive.
func (j *job) doubtful(now time.Time, id peer.ID) bool {
	return j.d.blame.avoided(now, id) || !j.member(id)
}

// failed notes what a holder did not do.
func (j *job) failed(id peer.ID, err error, keys ...digest.Digest) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, key := range keys {
		if w, ok := j.left[key]; ok {
			w.last = err
			if !slices.Contains(w.tried, id) {
				w.tried = append(w.tried, id)
			}
		}
	}
}
