package dht_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/buildnet/buildnet/dht"
	"github.com/buildnet/buildnet/dht/dhtpb"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/mesh/wire"
	"github.com/buildnet/buildnet/store/digest"
)

func TestSmallBlobsShareFramesFromEveryHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b", "c")
		var ds []digest.Digest
		var size int64
		for i := range 10_000 {
			content := fmt.Appendf(nil, "blob %d", i)
			w.shelfs["b"].add(content)
			ds = append(ds, w.shelfs["c"].add(content))
			size += ds[i].Size()
		}
		moved, err := w.dhts["a"].Fetch(t.Context(), ds, []peer.ID{"b", "c"})
		if err != nil || moved != size {
			t.Fatalf("Fetch = %d, %v; want %d", moved, err, size)
		}
		// 5,000 of each holder, 4,096 a request.
		if got := w.dhts["a"].Stats().Requests; got != 4 {
			t.Errorf("%d requests, want 4", got)
		}
		for _, id := range []peer.ID{"b", "c"} {
			if got := w.dhts[id].Stats().BytesOut; got < size/3 {
				t.Errorf("%s sent %d bytes of %d", id, got, size)
			}
		}
	})
}

func TestFetchFindsHolders(t *testing.T) {
	for _, tc := range []struct {
		name    string
		hints   []peer.ID
		provide bool
	}{
		{name: "Hinted", hints: []peer.ID{"c"}},
		{name: "WrongHintThenProvided", hints: []peer.ID{"b", "ghost"}, provide: true},
		{name: "Provided", provide: true},
		{name: "ByAskingEverybody"},
	} {
		for _, size := range []int{0, 100, 2 << 20, 9 << 20} {
			for _, fn := range []digest.Function{digest.BLAKE3, digest.SHA256} {
				t.Run(fmt.Sprintf("%s/%v/%d", tc.name, fn, size), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						w := newWorld(t, "a", "b", "c", "d")
						content := noise(1, size)
						d := digest.Of(fn, content)
						w.shelfs["c"].set(d, content)
						if tc.provide {
							w.dhts["c"].Provide(d)
							synctest.Wait()
						}
						moved, err := w.dhts["a"].Fetch(t.Context(), []digest.Digest{d, d}, tc.hints)
						if err != nil || moved != d.Size() || !bytes.Equal(w.shelfs["a"].blobs[d], content) {
							t.Fatalf("Fetch = %d, %v", moved, err)
						}
						moved, err = w.dhts["a"].Fetch(t.Context(), []digest.Digest{d}, tc.hints)
						if err != nil || moved != 0 {
							t.Fatalf("second Fetch = %d, %v; want nothing to move", moved, err)
						}
					})
				})
			}
		}
	}
}

func TestCorruptPeerIsNamedAndAvoided(t *testing.T) {
	for name, size := range map[string]int{"Small": 10, "Large": 2 << 20, "Swarm": 12 << 20} {
		for _, fn := range []digest.Function{digest.BLAKE3, digest.SHA256} {
			t.Run(fmt.Sprintf("%s/%v", name, fn), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, "a", "b", "c")
					right, wrong := noise(1, size), noise(99, size)
					d := digest.Of(fn, right)
					w.shelfs["b"].set(d, wrong)
					w.shelfs["c"].set(d, right)
					moved, err := w.dhts["a"].Fetch(t.Context(), []digest.Digest{d}, []peer.ID{"b", "c"})
					if err != nil || moved != d.Size() {
						t.Fatalf("Fetch = %d, %v", moved, err)
					}
					if w.accusations("b") == 0 || w.accusations("c") != 0 || w.dhts["a"].Stats().Corrupt["b"] == 0 {
						t.Errorf("accused %v, counted %v; want b alone", w.accused, w.dhts["a"].Stats().Corrupt)
					}
					accused := w.accusations("b")
					other := digest.Of(fn, noise(2, size))
					w.shelfs["b"].set(other, wrong)
					w.shelfs["c"].set(other, noise(2, size))
					if _, err := w.dhts["a"].Fetch(t.Context(), []digest.Digest{other}, []peer.ID{"b", "c"}); err != nil || w.accusations("b") != accused {
						t.Errorf("the peer in quarantine was asked for what another holds: accused %v, %v", w.accused, err)
					}
					good := w.shelfs["b"].add([]byte("nobody else's"))
					if _, err := w.dhts["a"].Fetch(t.Context(), []digest.Digest{good}, []peer.ID{"b"}); err != nil {
						t.Errorf("Fetch of what a peer in quarantine alone holds = %v", err)
					}
				})
			})
		}
	}
}

// hang answers nothing.
func hang(ctx context.Context, _ peer.ID, _ peer.Stream) { <-ctx.Done() }

// trickle answers with a long frame, one byte a second.
func trickle(ctx context.Context, _ peer.ID, s peer.Stream) {
	frame := []byte{0x80, 0x80, 0x40}
	for i := 0; ; i++ {
		b := []byte{0}
		if i < len(frame) {
			b[0] = frame[i]
		}
		if _, err := s.Write(b); err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}

func TestPeerWithoutProgressCostsABoundedTime(t *testing.T) {
	for name, h := range map[string]peer.Handler{"Hung": hang, "Trickling": trickle} {
		for _, size := range []int{10, 2 << 20} {
			t.Run(fmt.Sprintf("%s/%d", name, size), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, "a", "b", "c")
					w.handle("b", h)
					d := w.shelfs["c"].add(noise(2, size))
					start := time.Now()
					_, err := w.dhts["a"].Fetch(t.Context(), []digest.Digest{d}, []peer.ID{"b", "c"})
					if took := time.Since(start); err != nil || took > 4*time.Second {
						t.Fatalf("Fetch = %v after %v", err, took)
					}
					// When it had its time, it is known to be slow.
					<-time.After(4 * time.Second)
					d = w.shelfs["c"].add(noise(3, 10))
					start = time.Now()
					_, err = w.dhts["a"].Fetch(t.Context(), []digest.Digest{d}, []peer.ID{"b", "c"})
					if took := time.Since(start); err != nil || took > 0 {
						t.Fatalf("second Fetch = %v after %v", err, took)
					}
				})
			})
		}
	}
}

func TestHintThatIsNoMemberIsAskedLast(t *testing.T) {
	for _, size := range []int{10, 2 << 20, 9 << 20} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "a", "b", "c")
			w.handle("b", hang)
			w.members.Store(&[]peer.ID{"a", "c"})
			d := w.shelfs["c"].add(noise(9, size))
			start := time.Now()
			_, err := w.dhts["a"].Fetch(t.Context(), []digest.Digest{d}, []peer.ID{"b", "c"})
			if took := time.Since(start); err != nil || took > 0 {
				t.Errorf("Fetch of %d bytes = %v after %v", size, err, took)
			}
		})
	}
}

func TestPeerThatDiesMidBlobIsReplaced(t *testing.T) {
	for _, fn := range []digest.Function{digest.BLAKE3, digest.SHA256} {
		t.Run(fn.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "a", "b", "c")
				content := noise(4, 8<<20)
				d := digest.Of(fn, content)
				w.shelfs["b"].set(d, content)
				w.shelfs["c"].set(d, content)
				var once sync.Once
				var killed sync.WaitGroup
				w.shelfs["b"].onRead = func(off int64) {
					if off > 1<<20 {
						once.Do(func() { killed.Go(func() { w.net.Kill("b") }) })
					}
				}
				moved, err := w.dhts["a"].Fetch(t.Context(), []digest.Digest{d}, []peer.ID{"b", "c"})
				killed.Wait()
				if err != nil || moved != d.Size() {
					t.Fatalf("Fetch = %d, %v", moved, err)
				}
			})
		})
	}
}

func TestLostBlobsGiveTypedErrorsQuickly(t *testing.T) {
	for _, size := range []int{7, 3 << 20, 5 << 20} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "a", "b", "c")
			lost := digest.Of(digest.SHA256, noise(5, size))
			kept := w.shelfs["c"].add([]byte("kept"))
			w.net.Kill("b")
			start := time.Now()
			_, err := w.dhts["a"].Fetch(t.Context(), []digest.Digest{lost, kept}, []peer.ID{"b", "c"})
			var none *dht.NoHolderError
			if !errors.Is(err, dht.ErrNoHolder) || !errors.As(err, &none) || none.Digest != lost || len(none.Tried) == 0 || none.Last == nil {
				t.Errorf("Fetch = %v, want a NoHolderError of %v with what was tried", err, lost)
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("Fetch took %v", took)
			}
			if !w.shelfs["a"].holds(kept) {
				t.Error("the blob that could be had is not here")
			}
		})
	}
}

func TestLocalStoreThatRefusesIsNoFaultOfThePeer(t *testing.T) {
	for _, size := range []int{7, 3 << 20, 9 << 20} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "a", "b", "c")
			d := w.shelfs["b"].add(noise(6, size))
			w.shelfs["c"].add(noise(6, size))
			w.shelfs["a"].full = true
			_, err := w.dhts["a"].Fetch(t.Context(), []digest.Digest{d}, []peer.ID{"b", "c"})
			if !errors.Is(err, errFull) || errors.Is(err, dht.ErrNoHolder) || len(w.dhts["a"].Stats().Corrupt) != 0 {
				t.Errorf("Fetch of %d bytes = %v, stats %+v", size, err, w.dhts["a"].Stats())
			}
		})
	}
}

func TestConcurrentFetchesMoveABlobOnce(t *testing.T) {
	for _, size := range []int{10, 3 << 20, 9 << 20} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "a", "b", "c")
			d := w.shelfs["b"].add(noise(7, size))
			w.shelfs["c"].add(noise(7, size))
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					if _, err := w.dhts["a"].Fetch(t.Context(), []digest.Digest{d}, []peer.ID{"b", "c"}); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if w.shelfs["a"].puts != 1 {
				t.Errorf("%d puts, want 1", w.shelfs["a"].puts)
			}
		})
	}
}

// A fetch that looked before another one's blob landed, and boards after it,
// does not move the blob again.
func TestBlobThatLandsBetweenLookAndBoardingMovesOnce(t *testing.T) {
	w := newWorld(t, "a", "b")
	key := w.shelfs["b"].add(noise(1, 1000))
	late := w.shelfs["b"].add(noise(2, 1000))
	var looked atomic.Bool
	w.shelfs["a"].onHas = func() {
		if looked.Swap(true) {
			return
		}
		if _, err := w.dhts["a"].Fetch(t.Context(), []digest.Digest{key}, []peer.ID{"b"}); err != nil {
			t.Error(err)
		}
	}
	moved, err := w.dhts["a"].Fetch(t.Context(), []digest.Digest{key, late}, []peer.ID{"b"})
	if err != nil || moved != late.Size() {
		t.Errorf("fetch moved %d bytes, %v; want the %d that nobody had brought", moved, err, late.Size())
	}
	if s := w.dhts["a"].Stats(); s.BlobsIn != 2 {
		t.Errorf("%d blobs moved, want 2", s.BlobsIn)
	}
}

func TestFetchOutlivesTheCallerThatBeganIt(t *testing.T) {
	for _, size := range []int{10, 9 << 20} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "a", "b", "c")
			d := digest.Of(digest.BLAKE3, noise(8, size))
			w.handle("b", hang)
			ctx, cancel := context.WithCancel(t.Context())
			var first, second error
			var all sync.WaitGroup
			all.Go(func() { _, first = w.dhts["a"].Fetch(ctx, []digest.Digest{d}, []peer.ID{"b"}) })
			synctest.Wait()
			all.Go(func() { _, second = w.dhts["a"].Fetch(t.Context(), []digest.Digest{d}, []peer.ID{"b", "c"}) })
			synctest.Wait()
			w.shelfs["c"].set(d, noise(8, size))
			start := time.Now()
			cancel()
			all.Wait()
			if !errors.Is(first, context.Canceled) || second != nil {
				t.Errorf("Fetch = %v and %v, want cancelled and done", first, second)
			}
			if took := time.Since(start); took > 4*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestLanesAreFewAndKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a")
		var mu sync.Mutex
		streams, waiting, most := 0, 0, 0
		w.handle("b", func(_ context.Context, _ peer.ID, s peer.Stream) {
			mu.Lock()
			streams++
			mu.Unlock()
			r := bufio.NewReader(s)
			reqs := make(chan *dhtpb.Request, 100)
			go func() {
				defer close(reqs)
				for {
					var req dhtpb.Request
					if wire.Read(r, &req, wire.MaxFrame) != nil {
						return
					}
					mu.Lock()
					waiting++
					most = max(most, waiting)
					mu.Unlock()
					reqs <- &req
				}
			}()
			for req := range reqs {
				<-time.After(10 * time.Millisecond)
				mu.Lock()
				waiting--
				mu.Unlock()
				_ = wire.Write(s, &dhtpb.Response{Present: make([]byte, (len(req.Digests)+7)/8)})
			}
		})
		d := digest.Of(digest.BLAKE3, []byte("x"))
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if _, err := w.dhts["a"].Have(t.Context(), "b", []digest.Digest{d}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if streams > 4 || most < 20 {
			t.Errorf("%d streams with at most %d requests waiting, want at most 4 with requests behind one another", streams, most)
		}
	})
}

// mute is a network where nothing comes back from one peer, as from one behind
// another NAT.
type mute struct {
	peer.Network
	id peer.ID
}

func (m mute) Open(ctx context.Context, to peer.ID, protocol string) (peer.Stream, error) {
	if to == m.id {
		<-ctx.Done()
		return nil, fmt.Errorf("%w: %w", peer.ErrUnreachable, ctx.Err())
	}
	return m.Network.Open(ctx, to, protocol)
}

func TestPeerThatCannotBeReachedCostsAllWhoAskOneWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "b")
		d, err := dht.New(dht.Options{
			Self: "a", Network: mute{w.net.Join("a"), "b"}, Blobs: &shelf{blobs: map[digest.Digest][]byte{}},
			Members: func() []peer.ID { return []peer.ID{"a", "b"} },
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { _ = d.Run(ctx) })
		start := time.Now()
		var asking sync.WaitGroup
		for range 30 {
			asking.Go(func() {
				if _, err := d.Have(ctx, "b", []digest.Digest{digest.Of(digest.BLAKE3, []byte("x"))}); !errors.Is(err, peer.ErrUnreachable) {
					t.Errorf("Have = %v", err)
				}
			})
		}
		asking.Wait()
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("30 questions to a peer that cannot be reached took %v", took)
		}
		cancel()
		all.Wait()
	})
}

func TestRestartedPeerIsReachedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b")
		for i := range 3 {
			for _, size := range []int{10, 2 << 20} {
				d := w.shelfs["b"].add(noise(uint64(20+i), size))
				if _, err := w.dhts["a"].Fetch(t.Context(), []digest.Digest{d}, []peer.ID{"b"}); err != nil {
					t.Fatal(err)
				}
			}
			w.net.Cut("a", "b")
			w.net.Heal("a", "b")
		}
	})
}
