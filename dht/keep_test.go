package dht_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

func (w *world) keptAt(id peer.ID) int {
	s := w.shelfs[id]
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept
}

// provide has id hold n blobs and say so.
func (w *world) provide(id peer.ID, from, n int) []digest.Digest {
	var ds []digest.Digest
	for i := range n {
		ds = append(ds, w.shelfs[id].add(fmt.Append(nil, from+i)))
	}
	w.dhts[id].Provide(ds...)
	return ds
}

func TestKeepAsksOneHolderOfEachInBulk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b", "c", "d")
		ds := w.provide("b", 0, 6000)
		w.provide("c", 0, 3000)
		announced()
		before := w.dhts["a"].Stats().Requests
		absent := digest.Of(digest.BLAKE3, []byte("absent"))
		gone, err := w.dhts["a"].Keep(t.Context(), append([]digest.Digest{absent, ds[0]}, ds...))
		if err != nil || !slices.Equal(gone, []digest.Digest{absent}) {
			t.Errorf("gone: %d blobs, %v", len(gone), err)
		}
		if got := w.keptAt("b") + w.keptAt("c"); got != 6000 {
			t.Errorf("kept %d times, want each once", got)
		}
		// The owners of the locations, in parts, and then the two holders.
		if got := w.dhts["a"].Stats().Requests - before; got > 10 {
			t.Errorf("%d requests, want at most 10", got)
		}
		if gone, err := w.dhts["a"].Keep(t.Context(), nil); err != nil || gone != nil {
			t.Errorf("keep nothing: %v, %v", gone, err)
		}
	})
}

func TestKeepGoesOnToTheNextHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b", "c", "d")
		ds := w.provide("c", 0, 100)
		announced()
		w.provide("b", 0, 100) // the latest to say so is asked first
		announced()
		for _, d := range ds[:50] { // and has lost a half
			delete(w.shelfs["b"].blobs, d)
		}
		gone, err := w.dhts["a"].Keep(t.Context(), ds)
		if err != nil || len(gone) > 0 || w.keptAt("b") != 50 || w.keptAt("c") != 50 {
			t.Errorf("gone %d, kept at b %d and at c %d, %v; want 50 each", len(gone), w.keptAt("b"), w.keptAt("c"), err)
		}
		w.handle("b", func(_ context.Context, _ peer.ID, s peer.Stream) { _ = s.Reset() })
		if gone, err := w.dhts["d"].Keep(t.Context(), ds); err != nil || len(gone) > 0 || w.keptAt("c") != 150 {
			t.Errorf("with a holder that hangs up: gone %d, kept at c %d, %v", len(gone), w.keptAt("c")-50, err)
		}
		for _, d := range ds[:30] {
			delete(w.shelfs["c"].blobs, d)
		}
		if gone, err := w.dhts["d"].Keep(t.Context(), ds); err != nil || !slices.Equal(gone, ds[:30]) {
			t.Errorf("gone %d, %v; want 30", len(gone), err)
		}
		ctx, stop := context.WithCancel(t.Context())
		stop()
		if _, err := w.dhts["a"].Keep(ctx, ds); !errors.Is(err, context.Canceled) {
			t.Errorf("ended: %v", err)
		}
	})
}
