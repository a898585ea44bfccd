package build

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

// requests are what a mesh was asked for.
type requests struct {
	mu    sync.Mutex
	sizes []int
	hints [][]peer.ID
	lost  digest.Digest
}

func (r *requests) fetch(ctx context.Context, ds []digest.Digest, hints []peer.ID) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sizes, r.hints = append(r.sizes, len(ds)), append(r.hints, hints)
	if slices.Contains(ds, r.lost) {
		return 0, errors.New("lost")
	}
	return 0, ctx.Err()
}

func blob(i int) digest.Digest { return digest.Of(digest.BLAKE3, []byte{byte(i)}) }

// bringAll brings n blobs, all at once, and returns how many did not come.
func bringAll(b *batches, n int) (failed int) {
	errs := make(chan error, n)
	for i := range n {
		go func() {
			errs <- b.bring(b.ctx, []digest.Digest{blob(i)}, []peer.ID{peer.ID([]string{"one", "two"}[i%2])})
		}()
	}
	for range n {
		if <-errs != nil {
			failed++
		}
	}
	return failed
}

func TestABatchIsOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &requests{}
		b := &batches{fetch: r.fetch, ctx: t.Context()}
		began := time.Now()
		if failed := bringAll(b, 10); failed > 0 || !slices.Equal(r.sizes, []int{10}) || len(r.hints[0]) != 2 {
			t.Errorf("%d failed; requests of %v from %v", failed, r.sizes, r.hints)
		}
		if took := time.Since(began); took != batchTime {
			t.Errorf("it waited %s", took)
		}
	})
}

func TestAFullBatchDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &requests{}
		b := &batches{fetch: r.fetch, ctx: t.Context()}
		began := time.Now()
		if failed := bringAll(b, 2*maxBatch); failed > 0 || !slices.Equal(r.sizes, []int{maxBatch, maxBatch}) || time.Since(began) > 0 {
			t.Errorf("%d failed; requests of %v after %s", failed, r.sizes, time.Since(began))
		}
	})
}

func TestALostBlobLosesNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &requests{lost: blob(3)}
		b := &batches{fetch: r.fetch, ctx: t.Context()}
		if failed := bringAll(b, 5); failed != 1 || len(r.sizes) != 6 {
			t.Errorf("%d failed; requests of %v", failed, r.sizes)
		}
	})
}

func TestWhoGoesDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		b := &batches{fetch: (&requests{}).fetch, ctx: ctx}
		cancel()
		if err := b.bring(ctx, []digest.Digest{blob(1)}, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("bring: %v", err)
		}
		time.Sleep(batchTime) // the batch that it began is over too
	})
}
