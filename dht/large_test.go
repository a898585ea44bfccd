package dht_test

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

func TestLargeBlobComesFromSeveralHoldersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b", "c", "d")
		content := noise(10, 30<<20+12345)
		holders := []peer.ID{"b", "c", "d"}
		var d digest.Digest
		for _, id := range holders {
			d = w.shelfs[id].add(content)
			// All chunks take equally long, so no holder should be left idle.
			w.shelfs[id].onRead = func(int64) { <-time.After(time.Millisecond) }
		}
		if _, err := w.dhts["a"].Fetch(t.Context(), []digest.Digest{d}, holders); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(w.shelfs["a"].blobs[d], content) {
			t.Error("other bytes arrived")
		}
		for _, id := range holders {
			if got := w.dhts[id].Stats().BytesOut; got < d.Size()/5 {
				t.Errorf("%s sent %d bytes of %d", id, got, d.Size())
			}
		}
	})
}

func TestStalledHolderOfALargeBlobIsHedged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b", "c")
		d := w.shelfs["b"].add(noise(11, 20<<20))
		w.shelfs["c"].add(noise(11, 20<<20))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w.shelfs["b"].onRead = func(int64) { <-ctx.Done() }
		start := time.Now()
		_, err := w.dhts["a"].Fetch(t.Context(), []digest.Digest{d}, []peer.ID{"b", "c"})
		if took := time.Since(start); err != nil || took > 2*time.Second {
			t.Errorf("Fetch = %v after %v, want it done before the holder counts as hung", err, took)
		}
		if s := w.dhts["a"].Stats(); s.Hedges == 0 {
			t.Errorf("no hedge: %+v", s)
		}
	})
}

func TestHoldersThatAreLostAreSearchedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b", "c", "d", "e")
		content := noise(12, 12<<20)
		var d digest.Digest
		for _, id := range []peer.ID{"b", "c", "e"} {
			d = w.shelfs[id].add(content)
		}
		w.dhts["e"].Provide(d)
		announced()
		for _, id := range []peer.ID{"b", "c"} {
			w.shelfs[id].onRead = func(off int64) {
				if off > 2<<20 {
					w.net.Cut("a", id)
				}
			}
		}
		moved, err := w.dhts["a"].Fetch(t.Context(), []digest.Digest{d}, []peer.ID{"b", "c"})
		if err != nil || moved != d.Size() || w.dhts["e"].Stats().BytesOut == 0 {
			t.Fatalf("Fetch = %d, %v; e sent %d", moved, err, w.dhts["e"].Stats().BytesOut)
		}
		if w.shelfs["a"].puts != 1 {
			t.Errorf("%d puts, want 1: what had arrived is kept", w.shelfs["a"].puts)
		}
	})
}

func BenchmarkSmallBlobs(b *testing.B) {
	const count, size = 4000, 2 << 10
	w := newWorld(b, "a", "b")
	var ds []digest.Digest
	for i := range count {
		ds = append(ds, w.shelfs["b"].add(noise(uint64(i), size)))
	}
	b.SetBytes(count * size)
	for b.Loop() {
		fetchAnew(b, w, ds, "b")
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/count, "µs/blob")
}

func BenchmarkLargeBlob(b *testing.B) {
	for name, holders := range map[string][]peer.ID{"1holder": {"b"}, "3holders": {"b", "c", "d"}} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, "a", "b", "c", "d")
			content := noise(1, 64<<20)
			var d digest.Digest
			for _, id := range holders {
				d = w.shelfs[id].add(content)
			}
			b.SetBytes(d.Size())
			for b.Loop() {
				fetchAnew(b, w, []digest.Digest{d}, holders...)
			}
		})
	}
}

func fetchAnew(b *testing.B, w *world, ds []digest.Digest, holders ...peer.ID) {
	b.Helper()
	a := w.shelfs["a"]
	a.mu.Lock()
	clear(a.blobs)
	a.mu.Unlock()
	if _, err := w.dhts["a"].Fetch(b.Context(), ds, holders); err != nil {
		b.Fatal(err)
	}
}
