package dht

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

// ErrNotFound says that no member holds the blob.
var ErrNotFound = errors.New("no member holds the blob")

// UnreachableError says that every known holder was tried in vain.
type UnreachableError struct {
	Digest digest.Digest
	Tried  []peer.ID
	Last   error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("fetch %v: none of %d holders gave it: %v", e.Digest, len(e.Tried), e.Last)
}

// Unwrap returns the last holder's error.
func (e *UnreachableError) Unwrap() error { return e.Last }

// Moved is what a Fetch brought here.
type Moved struct {
	Blobs int
	Bytes int64
}

// flight is one blob on its way; err is set before done is closed.
type flight struct {
	done chan struct{}
	err  error
}

// Fetch brings every blob of ds that is not here into the local store,
// verified. Holders are asked first; then those that Find names; then every
// member. A blob that another Fetch is bringing is waited for.
func (d *DHT) Fetch(ctx context.Context, ds []digest.Digest, holders []peer.ID) (Moved, error) {
	var moved Moved
	for {
		missing, err := d.missing(ctx, ds)
		if err != nil || len(missing) == 0 {
			return moved, err
		}
		own, others := d.board(missing)
		m, err := d.fetchOwn(ctx, own, holders)
		moved.Blobs += m.Blobs
		moved.Bytes += m.Bytes
		if err != nil {
			return moved, err
		}
		for _, f := range others {
			select {
			case <-ctx.Done():
				return moved, fmt.Errorf("fetch %d blobs: %w", len(ds), ctx.Err())
			case <-f.done:
			}
			if f.err != nil && !errors.Is(f.err, context.Canceled) && !errors.Is(f.err, context.DeadlineExceeded) {
				return moved, f.err
			}
		}
		if len(others) == 0 {
			return moved, nil
		}
	}
}

func (d *DHT) missing(ctx context.Context, ds []digest.Digest) ([]digest.Digest, error) {
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

// board splits ds into those that this call is to bring and the flights of
// those that another one brings.
func (d *DHT) board(ds []digest.Digest) (own []digest.Digest, others []*flight) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, key := range ds {
		if f, ok := d.flights[key]; ok {
			others = append(others, f)
			continue
		}
		d.flights[key] = &flight{done: make(chan struct{})}
		own = append(own, key)
	}
	return own, others
}

func (d *DHT) fetchOwn(ctx context.Context, own []digest.Digest, holders []peer.ID) (Moved, error) {
	if len(own) == 0 {
		return Moved{}, nil
	}
	j := newJob(d, own)
	err := j.run(ctx, holders)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats.BytesIn += j.moved.Bytes
	for _, key := range own {
		f := d.flights[key]
		delete(d.flights, key)
		if _, left := j.left[key]; left {
			f.err = err
		}
		close(f.done)
	}
	return j.moved, err
}

// job is one call's own blobs. mu guards what follows it.
type job struct {
	d *DHT

	mu    sync.Mutex
	left  map[digest.Digest]*want
	moved Moved
	local error // of the local store: no other holder can help
}

type want struct {
	holders, tried []peer.ID
	last           error
}

func newJob(d *DHT, own []digest.Digest) *job {
	j := &job{d: d, left: make(map[digest.Digest]*want, len(own))}
	for _, key := range own {
		j.left[key] = &want{}
	}
	return j
}

func (j *job) keys() []digest.Digest {
	keys := make([]digest.Digest, 0, len(j.left))
	for key := range j.left {
		keys = append(keys, key)
	}
	return keys
}

// run tries the sources of holders in turn until nothing is left.
func (j *job) run(ctx context.Context, hints []peer.ID) error {
	for _, key := range j.keys() {
		j.left[key].holders = slices.Clone(hints)
	}
	for _, more := range []func(context.Context) error{nil, j.resolve, j.askAll} {
		if more != nil {
			if err := more(ctx); err != nil {
				return err
			}
		}
		if err := j.drain(ctx); err != nil || len(j.left) == 0 {
			return err
		}
	}
	return j.failure()
}

func (j *job) resolve(ctx context.Context) error {
	found, err := j.d.Find(ctx, j.keys())
	for key, ids := range found {
		j.left[key].holders = append(j.left[key].holders, ids...)
	}
	return err
}

func (j *job) askAll(ctx context.Context) error {
	keys := j.keys()
	var asked sync.WaitGroup
	for _, id := range rank(j.d.opts.Members(), keys[0], maxAsked) {
		if id == j.d.opts.Self || j.d.quarantined(id) {
			continue
		}
		asked.Go(func() {
			has, err := j.d.Have(ctx, id, keys)
			if err != nil {
				return
			}
			j.mu.Lock()
			defer j.mu.Unlock()
			for i, ok := range has {
				if ok {
					w := j.left[keys[i]]
					w.holders = append(w.holders, id)
				}
			}
		})
	}
	asked.Wait()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("ask members for %d blobs: %w", len(keys), err)
	}
	return nil
}

func (j *job) failure() error {
	keys := j.keys()
	slices.SortFunc(keys, func(a, b digest.Digest) int { return slices.Compare(a.Binary(), b.Binary()) })
	for _, key := range keys {
		if w := j.left[key]; w.last != nil {
			return &UnreachableError{Digest: key, Tried: w.tried, Last: w.last}
		}
	}
	return fmt.Errorf("fetch %v: %w", keys[0], ErrNotFound)
}
