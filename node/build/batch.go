package build

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// batchTime is how long the first outputs of a batch wait for others: far
	// less than most steps take.
	batchTime = 200 * time.Millisecond
	// maxBatch is how many results are brought here at once, half of those that
	// the scheduler lets wait.
	maxBatch = 32
)

// batches brings outputs here together, some of them later: fewer requests and
// packets, as few as one for each holder and batch. Its methods may be called
// concurrently.
type batches struct {
	fetch func(ctx context.Context, ds []digest.Digest, hints []peer.ID) (int64, error)
	ctx   context.Context // of all requests

	mu   sync.Mutex
	next *batch // nil while nobody waits
}

// batch is what is asked for at once.
type batch struct {
	ds      []digest.Digest
	hints   []peer.ID
	results int
	timer   *time.Timer
	done    chan struct{}
	err     error // set before done is closed
}

// bring returns when ds are here. What goes wrong with a batch is tried alone:
// one blob that is lost is no reason to lose others.
func (b *batches) bring(ctx context.Context, ds []digest.Digest, hints []peer.ID) error {
	if len(ds) == 0 {
		return nil
	}
	one := b.add(ds, hints)
	select {
	case <-one.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if one.err == nil {
		return nil
	}
	_, err := b.fetch(ctx, ds, hints)
	return err
}

func (b *batches) add(ds []digest.Digest, hints []peer.ID) *batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	one := b.next
	if one == nil {
		one = &batch{done: make(chan struct{})}
		one.timer = time.AfterFunc(batchTime, func() { b.send(one) })
		b.next = one
	}
	one.ds = append(one.ds, ds...)
	for _, id := range hints {
		if !slices.Contains(one.hints, id) {
			one.hints = append(one.hints, id)
		}
	}
	if one.results++; one.results >= maxBatch && one.timer.Stop() {
		b.next = nil
		go b.ask(one)
	}
	return one
}

// send ends the wait of a batch.
func (b *batches) send(one *batch) {
	b.mu.Lock()
	if b.next == one {
		b.next = nil
	}
	b.mu.Unlock()
	b.ask(one)
}

func (b *batches) ask(one *batch) {
	_, one.err = b.fetch(b.ctx, one.ds, one.hints)
	close(one.done)
}
