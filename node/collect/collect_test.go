package collect_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/buildnet/buildnet/dht/rendezvous"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/collect"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/disk"
	"github.com/buildnet/buildnet/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// room of each store is for ten blobs of size, in bytes.
const (
	size = 90_000
	room = 950_000
)

// mesh is some stores whose nodes tell one another the truth, but for what is
// called silent.
type mesh struct {
	stores map[peer.ID]*disk.Store
	silent peer.ID

	mu    sync.Mutex
	asked map[peer.ID]int
}

// seen is the mesh as one of them sees it.
type seen struct {
	*mesh
	self peer.ID
}

func (m seen) Holders(ctx context.Context, ds []digest.Digest) (map[digest.Digest][]peer.ID, error) {
	found := map[digest.Digest][]peer.ID{}
	for id, s := range m.stores {
		for _, d := range ds {
			if r, err := s.Open(ctx, d); err == nil && id != m.self {
				found[d] = append(found[d], id)
				_ = r.Close()
			}
		}
	}
	return found, ctx.Err()
}

func (m seen) Have(ctx context.Context, id peer.ID, ds []digest.Digest) ([]bool, error) {
	m.mu.Lock()
	m.asked[id] += len(ds)
	m.mu.Unlock()
	if id == m.silent {
		return nil, errors.New("silence")
	}
	return m.stores[id].Has(ctx, ds)
}

// askedOf counts blobs that a member was asked for.
func (m *mesh) askedOf(id peer.ID) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked[id]
}

func newMesh(t *testing.T, ids ...peer.ID) *mesh {
	m := &mesh{stores: map[peer.ID]*disk.Store{}, asked: map[peer.ID]int{}}
	for _, id := range ids {
		s, err := disk.Open("store", disk.Options{FS: vfs.NewMem(), MaxBytes: room})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		m.stores[id] = s
	}
	return m
}

// run has each look after its store until the test ends.
func (m *mesh) run(t *testing.T, maxAge time.Duration) {
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for id, s := range m.stores {
		c := collect.New(collect.Options{Self: id, Store: s, Mesh: seen{m, id}, MaxAge: maxAge})
		running.Go(func() {
			if err := c.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() { stop(); running.Wait() })
}

func content(n int) []byte {
	return append(fmt.Appendf(nil, "%04d", n), storetest.Bytes(size, byte(n))...)
}

// keptBy returns the first blob from n on that keeper keeps, of a and b.
func keptBy(keeper peer.ID, n int) int {
	for rendezvous.Rank([]peer.ID{"a", "b"}, digest.Of(digest.BLAKE3, content(n)), 1)[0] != keeper {
		n++
	}
	return n
}

// at puts blob n into a store, a second after whatever was before.
func (m *mesh) at(t *testing.T, id peer.ID, n int) digest.Digest {
	t.Helper()
	time.Sleep(time.Second)
	d, err := store.AddBytes(context.Background(), m.stores[id], content(n))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (m *mesh) has(t *testing.T, id peer.ID, d digest.Digest) bool {
	t.Helper()
	has, err := m.stores[id].Has(context.Background(), []digest.Digest{d})
	if err != nil {
		t.Fatal(err)
	}
	return has[0]
}

func TestOneOfTwoCopiesGoesBeforeTheOnlyOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t, "a", "b")
		m.run(t, 0)
		var only, both []digest.Digest
		for i := range 5 {
			only = append(only, m.at(t, "a", i))
		}
		time.Sleep(2 * time.Minute)
		for i, keeper := range []peer.ID{"a", "b", "a", "b", "a"} {
			n := keptBy(keeper, 100*(i+1))
			m.at(t, "b", n)
			both = append(both, m.at(t, "a", n))
		}
		m.at(t, "a", 1000) // the first to make room: now others are asked
		time.Sleep(10 * time.Minute)
		for i := range 2 {
			m.at(t, "a", 2000+i)
		}
		var kept, copies []bool
		for i := range 5 {
			kept, copies = append(kept, m.has(t, "a", only[i])), append(copies, m.has(t, "a", both[i]))
		}
		// The very first made room before anybody knew.
		if !slices.Equal(kept, []bool{false, true, true, true, true}) || !slices.Equal(copies, []bool{true, false, true, false, true}) {
			t.Errorf("only copies stay: %v; others: %v", kept, copies)
		}
	})
}

func TestNobodyIsAskedWhileNothingGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t, "a", "b")
		m.run(t, 0)
		for i := range 8 {
			m.at(t, "a", i)
			m.at(t, "b", i)
		}
		time.Sleep(time.Hour)
		if a, b := m.askedOf("a"), m.askedOf("b"); a+b > 0 {
			t.Errorf("asked of a %d and of b %d", a, b)
		}
	})
}

func TestWhoIsSilentHasNoCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t, "a", "b")
		m.silent = "b"
		m.run(t, 0)
		for i := range 11 {
			m.at(t, "b", i)
			m.at(t, "a", i)
		}
		time.Sleep(3 * time.Minute)
		if m.askedOf("b") == 0 {
			t.Error("nobody was asked")
		}
		if got := len(m.stores["a"].Brink(100)); got != m.stores["a"].Stats().Blobs {
			t.Errorf("%d blobs have no copy, of %d", got, m.stores["a"].Stats().Blobs)
		}
	})
}

func TestWhatNobodyUsesGoes(t *testing.T) {
	for maxAge, want := range map[time.Duration][]bool{0: {true, true, true}, 3 * time.Hour: {false, true, true}} {
		synctest.Test(t, func(t *testing.T) {
			m := newMesh(t, "a")
			m.run(t, maxAge)
			ds := []digest.Digest{m.at(t, "a", 1), m.at(t, "a", 2), m.at(t, "a", 3)}
			lease := m.stores["a"].Lease()
			defer lease.Release()
			lease.Hold(ds[1])
			for range 50 {
				time.Sleep(10 * time.Minute)
				m.has(t, "a", ds[2])
			}
			if got, err := m.stores["a"].Has(t.Context(), ds); err != nil || !slices.Equal(got, want) {
				t.Errorf("with %v: unused, leased and used blobs are here: %v, %v; want %v", maxAge, got, err, want)
			}
		})
	}
}
