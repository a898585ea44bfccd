package dht_test

import (
	"bufio"
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/buildnet/buildnet/dht"
	"github.com/buildnet/buildnet/dht/dhtpb"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/mesh/wire"
	"github.com/buildnet/buildnet/store/digest"
)

// landlord notes what is leased of a shelf.
type landlord struct {
	*shelf

	mu       sync.Mutex
	leased   map[peer.ID][]dht.Leased
	released map[peer.ID][]dht.LeaseName
}

func newLandlord(s *shelf) *landlord {
	return &landlord{shelf: s, leased: map[peer.ID][]dht.Leased{}, released: map[peer.ID][]dht.LeaseName{}}
}

func (l *landlord) Lease(ctx context.Context, from peer.ID, what dht.Leased) (blobs, trees []bool, err error) {
	l.mu.Lock()
	l.leased[from] = append(l.leased[from], what)
	l.mu.Unlock()
	if blobs, err = l.Has(ctx, what.Blobs); err != nil {
		return nil, nil, err
	}
	trees, err = l.Has(ctx, what.Trees)
	return blobs, trees, err
}

func (l *landlord) Release(from peer.ID, name dht.LeaseName) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.released[from] = append(l.released[from], name)
}

// requests are what of's landlord has heard of from.
func (l *landlord) requests(from peer.ID) []dht.Leased {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.leased[from])
}

func TestLeasesGoInBulk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b")
		blobs := w.provide("b", 0, 6000)
		trees := w.provide("b", 6000, 100)
		absent := digest.Of(digest.BLAKE3, []byte("absent"))
		name := dht.LeaseName{1, 2, 3}
		before := w.dhts["a"].Stats().Requests
		what := dht.Leased{Name: name, Blobs: append([]digest.Digest{absent}, blobs...), Trees: append(slices.Clone(trees), absent)}
		gone, err := w.dhts["a"].Lease(t.Context(), "b", what)
		if err != nil || !slices.Equal(gone, []digest.Digest{absent, absent}) {
			t.Errorf("gone: %v, %v", gone, err)
		}
		if got := w.dhts["a"].Stats().Requests - before; got != 4 {
			t.Errorf("%d requests for two parts of blobs and two of trees", got)
		}
		heard := w.landlords["b"].requests("a")
		var of dht.Leased
		for _, l := range heard {
			if l.Name != name || len(l.Blobs) > 4096 || len(l.Trees) > 64 {
				t.Errorf("lease %v of %d blobs and %d trees", l.Name, len(l.Blobs), len(l.Trees))
			}
			of.Blobs, of.Trees = append(of.Blobs, l.Blobs...), append(of.Trees, l.Trees...)
		}
		if !slices.Equal(of.Blobs, what.Blobs) || !slices.Equal(of.Trees, what.Trees) {
			t.Errorf("%d blobs and %d trees arrived", len(of.Blobs), len(of.Trees))
		}
		for _, id := range []peer.ID{"a", "b"} {
			if err := w.dhts["a"].Release(t.Context(), id, name); err != nil || !slices.Equal(w.landlords[id].released["a"], []dht.LeaseName{name}) {
				t.Errorf("released at %s: %v, %v", id, w.landlords[id].released, err)
			}
		}
	})
}

// A node leases of itself without a word on the network.
func TestANodeLeasesOfItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a")
		d, absent := w.shelfs["a"].add([]byte("own")), digest.Of(digest.BLAKE3, []byte("absent"))
		gone, err := w.dhts["a"].Lease(t.Context(), "a", dht.Leased{Blobs: []digest.Digest{d, absent}, Trees: []digest.Digest{d}})
		if err != nil || !slices.Equal(gone, []digest.Digest{absent}) || w.dhts["a"].Stats().Requests != 0 {
			t.Errorf("gone: %v, %v, %d requests", gone, err, w.dhts["a"].Stats().Requests)
		}
	})
}

func TestLeasesThatAreNoneAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a")
		var many [][]byte
		for i := range 65 {
			many = append(many, digest.Of(digest.BLAKE3, []byte{byte(i)}).Binary())
		}
		for what, req := range map[string]*dhtpb.Request{
			"short name":     {Op: dhtpb.Request_HAVE, Keep: true, Lease: make([]byte, 15), Digests: many[:1]},
			"long name":      {Op: dhtpb.Request_HAVE, Keep: true, Lease: make([]byte, 17), Release: true},
			"too many trees": {Op: dhtpb.Request_HAVE, Keep: true, Lease: make([]byte, 16), Trees: true, Digests: many},
		} {
			s, err := w.net.Join("z").Open(t.Context(), "a", dht.Protocol)
			if err != nil {
				t.Fatal(err)
			}
			if err := wire.Write(s, req); err != nil {
				t.Fatal(err)
			}
			if err := wire.Read(bufio.NewReader(s), &dhtpb.Response{}, wire.MaxFrame); err == nil {
				t.Errorf("%s: it is answered", what)
			}
		}
		if heard := w.landlords["a"].requests("z"); len(heard)+len(w.landlords["a"].released) > 0 {
			t.Errorf("leased: %v, released: %v", heard, w.landlords["a"].released)
		}
	})
}
