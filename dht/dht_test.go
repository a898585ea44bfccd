package dht_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/dht"
	"github.com/buildnet/buildnet/dht/dhtpb"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/mesh/peer/peertest"
	"github.com/buildnet/buildnet/mesh/wire"
	"github.com/buildnet/buildnet/store/digest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shelf is a verified store in memory.
type shelf struct {
	mu    sync.Mutex
	blobs map[digest.Digest][]byte
	puts  int
}

type book struct{ *bytes.Reader }

func (book) Close() error { return nil }

func (s *shelf) Has(_ context.Context, ds []digest.Digest) ([]bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	has := make([]bool, len(ds))
	for i, d := range ds {
		_, has[i] = s.blobs[d]
	}
	return has, nil
}

func (s *shelf) Open(_ context.Context, d digest.Digest) (dht.Reader, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return book{bytes.NewReader(s.blobs[d])}, nil
}

func (s *shelf) Put(_ context.Context, d digest.Digest, r io.Reader) error {
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if digest.Of(d.Function(), content) != d {
		return errors.New("mismatch")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blobs[d] = content
	s.puts++
	return nil
}

func (s *shelf) add(content []byte) digest.Digest {
	d := digest.Of(digest.BLAKE3, content)
	s.blobs[d] = content
	return d
}

type world struct {
	net    *peertest.Network
	ids    []peer.ID
	dhts   map[peer.ID]*dht.DHT
	shelfs map[peer.ID]*shelf
}

func newWorld(t testing.TB, ids ...peer.ID) *world {
	w := &world{net: peertest.NewNetwork(), ids: ids, dhts: map[peer.ID]*dht.DHT{}, shelfs: map[peer.ID]*shelf{}}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, id := range ids {
		w.shelfs[id] = &shelf{blobs: map[digest.Digest][]byte{}}
		d, err := dht.New(dht.Options{Self: id, Network: w.net.Join(id), Blobs: w.shelfs[id], Members: func() []peer.ID { return ids }})
		if err != nil {
			t.Fatal(err)
		}
		w.dhts[id] = d
		running.Go(func() { _ = d.Run(ctx) })
	}
	t.Cleanup(func() { cancel(); running.Wait(); w.net.Close() })
	return w
}

func TestProvidedBlobsAreFoundAndFetchedWithoutHints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b", "c", "d", "e")
		var ds []digest.Digest
		var size int64
		for i := range 10_000 {
			ds = append(ds, w.shelfs["b"].add(fmt.Appendf(nil, "blob %d", i)))
			size += ds[i].Size()
		}
		w.dhts["b"].Provide(ds...)
		synctest.Wait()
		found, err := w.dhts["a"].Holders(t.Context(), ds)
		if err != nil || len(found) != len(ds) {
			t.Fatalf("Find = %d, %v, want %d", len(found), err, len(ds))
		}
		moved, err := w.dhts["a"].Fetch(t.Context(), ds, nil)
		if err != nil || moved != size {
			t.Fatalf("Fetch = %d, %v", moved, err)
		}
	})
}

func TestCorruptPeerIsBlamedAndTheFetchGoesOnElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b", "c")
		d := w.shelfs["c"].add([]byte("right"))
		w.shelfs["b"].blobs[d] = []byte("wrong")
		moved, err := w.dhts["a"].Fetch(t.Context(), []digest.Digest{d}, []peer.ID{"b", "c"})
		if err != nil || moved != d.Size() || w.dhts["a"].Stats().Corrupt["b"] != 1 {
			t.Fatalf("Fetch = %d, %v, stats %+v", moved, err, w.dhts["a"].Stats())
		}
	})
}

func TestHungPeerStallsAFetchForABoundedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b", "c")
		w.net.Join("b").Handle(dht.Protocol, func(ctx context.Context, _ peer.ID, _ peer.Stream) { <-ctx.Done() })
		d := w.shelfs["c"].add([]byte("x"))
		start := time.Now()
		_, err := w.dhts["a"].Fetch(t.Context(), []digest.Digest{d}, []peer.ID{"b", "c"})
		if took := time.Since(start); err != nil || took > 4*time.Second {
			t.Fatalf("Fetch = %v after %v", err, took)
		}
	})
}

func TestPeerThatDiesMidBlobIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b", "c")
		d := w.shelfs["c"].add(bytes.Repeat([]byte("0123456789abcdef"), 4<<16))
		w.net.Join("b").Handle(dht.Protocol, func(_ context.Context, _ peer.ID, s peer.Stream) {
			var req dhtpb.Request
			_ = wire.Read(bufio.NewReader(s), &req, wire.MaxFrame)
			_ = wire.Write(s, &dhtpb.Response{Present: []byte{1}})
			_ = wire.Read(bufio.NewReader(s), &req, wire.MaxFrame)
			_ = wire.Write(s, &dhtpb.Response{Present: []byte{1}})
			_, _ = s.Write(make([]byte, 1<<20))
			_ = s.Reset()
		})
		if moved, err := w.dhts["a"].Fetch(t.Context(), []digest.Digest{d}, []peer.ID{"b", "c"}); err != nil || moved != d.Size() {
			t.Fatalf("Fetch = %d, %v", moved, err)
		}
	})
}

func TestLostBlobsGiveTypedErrorsQuickly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b")
		d := digest.Of(digest.SHA256, []byte("nowhere"))
		if _, err := w.dhts["a"].Fetch(t.Context(), []digest.Digest{d}, nil); !errors.Is(err, dht.ErrNoHolder) {
			t.Errorf("Fetch = %v, want ErrNoHolder", err)
		}
		w.net.Kill("b")
		start := time.Now()
		_, err := w.dhts["a"].Fetch(t.Context(), []digest.Digest{d}, []peer.ID{"b"})
		var lost *dht.NoHolderError
		if !errors.As(err, &lost) || lost.Digest != d || time.Since(start) > 5*time.Second {
			t.Errorf("Fetch = %v after %v, want NoHolderError", err, time.Since(start))
		}
	})
}

func TestConcurrentFetchesMoveABlobOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b")
		d := w.shelfs["b"].add(make([]byte, 3<<20))
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if _, err := w.dhts["a"].Fetch(t.Context(), []digest.Digest{d}, []peer.ID{"b"}); err != nil {
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

func FuzzServe(f *testing.F) {
	good, err := proto.Marshal(&dhtpb.Request{Op: dhtpb.Request_GET, Digests: [][]byte{digest.Of(digest.BLAKE3, []byte("x")).Binary()}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append([]byte{byte(len(good))}, good...))
	f.Fuzz(func(t *testing.T, b []byte) {
		w := newWorld(t, "a")
		d := w.shelfs["a"].add([]byte("kept"))
		s, err := w.net.Join("z").Open(t.Context(), "a", dht.Protocol)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = s.Write(b); _ = s.CloseWrite() }()
		_, _ = io.Copy(io.Discard, s)
		if has, err := w.shelfs["a"].Has(t.Context(), []digest.Digest{d}); err != nil || !has[0] {
			t.Fatal("the blob is gone")
		}
	})
}
