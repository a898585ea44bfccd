package dht_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/buildnet/buildnet/dht"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/mesh/peer/peertest"
	"github.com/buildnet/buildnet/store/digest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shelf is a verified store in memory.
type shelf struct {
	// onRead, if set, sees each read of a blob.
	onRead func(off int64)
	// onHas, if set, runs between a look for blobs and its answer.
	onHas func()

	mu    sync.Mutex
	blobs map[digest.Digest][]byte
	puts  int
	full  bool
	kept  int // blobs that peers asked to have kept and that are here
}

var errFull = errors.New("shelf is full")

type book struct {
	*bytes.Reader
	onRead func(off int64)
}

func (b book) ReadAt(p []byte, off int64) (int, error) {
	if b.onRead != nil {
		b.onRead(off)
	}
	return b.Reader.ReadAt(p, off)
}

func (book) Close() error { return nil }

func (s *shelf) Has(_ context.Context, ds []digest.Digest) ([]bool, error) {
	has := make([]bool, len(ds))
	for i, d := range ds {
		has[i] = s.holds(d)
	}
	if s.onHas != nil {
		s.onHas()
	}
	return has, nil
}

func (s *shelf) keep(ctx context.Context, ds []digest.Digest) ([]bool, error) {
	has, err := s.Has(ctx, ds)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ok := range has {
		if ok {
			s.kept++
		}
	}
	return has, err
}

func (s *shelf) Open(_ context.Context, d digest.Digest) (dht.Reader, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return book{bytes.NewReader(s.blobs[d]), s.onRead}, nil
}

func (s *shelf) Put(_ context.Context, d digest.Digest, r io.Reader) error {
	content := make([]byte, d.Size())
	if _, err := io.ReadFull(r, content); err != nil {
		return err
	}
	if digest.Of(d.Function(), content) != d {
		return errors.New("mismatch")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full {
		return errFull
	}
	s.blobs[d] = content
	s.puts++
	return nil
}

func (s *shelf) holds(d digest.Digest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.blobs[d]
	return ok
}

func (s *shelf) add(content []byte) digest.Digest {
	d := digest.Of(digest.BLAKE3, content)
	s.set(d, content)
	return d
}

func (s *shelf) set(d digest.Digest, content []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blobs[d] = content
}

// world is a mesh in memory whose nodes run.
type world struct {
	net       *peertest.Network
	dhts      map[peer.ID]*dht.DHT
	shelfs    map[peer.ID]*shelf
	landlords map[peer.ID]*landlord
	members   atomic.Pointer[[]peer.ID]
	// names of blobs by nodes; set before anybody asks
	names map[string]map[digest.Digest]digest.Digest

	mu      sync.Mutex
	accused map[peer.ID]int // what OnCorrupt was told
}

func newWorld(t testing.TB, ids ...peer.ID) *world {
	w := &world{
		net: peertest.NewNetwork(), dhts: map[peer.ID]*dht.DHT{}, shelfs: map[peer.ID]*shelf{},
		landlords: map[peer.ID]*landlord{}, accused: map[peer.ID]int{},
		names: map[string]map[digest.Digest]digest.Digest{},
	}
	w.members.Store(&ids)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, id := range ids {
		w.shelfs[id] = &shelf{blobs: map[digest.Digest][]byte{}}
		w.landlords[id] = newLandlord(w.shelfs[id])
		d, err := dht.New(dht.Options{
			Self: id, Network: w.net.Join(id), Blobs: w.shelfs[id], Keep: w.shelfs[id].keep, Landlord: w.landlords[id], Native: w.native(string(id)),
			Members: func() []peer.ID { return *w.members.Load() },
			OnCorrupt: func(id peer.ID, _ digest.Digest) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.accused[id]++
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		w.dhts[id] = d
		running.Go(func() {
			if err := d.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() { cancel(); running.Wait(); w.net.Close() })
	return w
}

// handle makes id a peer that answers as h does.
func (w *world) handle(id peer.ID, h peer.Handler) { w.net.Join(id).Handle(dht.Protocol, h) }

func (w *world) accusations(id peer.ID) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.accused[id]
}

// noise returns n bytes that no other seed gives.
func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	src := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	_, _ = src.Read(b)
	return b
}
