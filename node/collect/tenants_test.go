package collect

import (
	"encoding/binary"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/buildnet/buildnet/dht"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/disk"
	"github.com/buildnet/buildnet/store/share"
	"github.com/buildnet/buildnet/store/storetest"
)

// house is a small store with tenants.
type house struct {
	*Tenants
	*disk.Store
	t     *testing.T
	share *share.Share
	seed  uint32
}

// inHouse runs f with a store of a megabyte, an eighth of which may be leased.
func inHouse(t *testing.T, f func(t *testing.T, h *house)) {
	synctest.Test(t, func(t *testing.T) {
		s, err := disk.Open("store", disk.Options{FS: vfs.NewMem(), MaxBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		part := share.New(s, share.Limits{Bytes: 1 << 17, Holds: 1000})
		h := &house{Tenants: NewTenants(s, part), Store: s, t: t, share: part}
		go func() { _ = h.Run(t.Context()) }()
		f(t, h)
	})
}

func (h *house) add(size int) digest.Digest {
	h.t.Helper()
	h.seed++
	content := storetest.Bytes(size, byte(h.seed))
	binary.LittleEndian.PutUint32(content, h.seed)
	d, err := store.AddBytes(h.t.Context(), h.Store, content)
	if err != nil {
		h.t.Fatal(err)
	}
	return d
}

// flood brings three times what the store holds, within two seconds.
func (h *house) flood() {
	h.t.Helper()
	time.Sleep(time.Second)
	for range 32 {
		time.Sleep(time.Millisecond)
		h.add(100_000)
	}
}

// tenants counts leases.
func (h *house) tenants() (leases, members int) {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.leases), len(h.count)
}

func (h *house) has(ds ...digest.Digest) []bool {
	h.t.Helper()
	has, err := h.Has(h.t.Context(), ds)
	if err != nil {
		h.t.Fatal(err)
	}
	return has
}

func (h *house) lease(id peer.ID, name byte, ds ...digest.Digest) []bool {
	h.t.Helper()
	here, _, err := h.Tenants.Lease(h.t.Context(), id, dht.Leased{Name: dht.LeaseName{name}, Blobs: ds})
	if err != nil {
		h.t.Fatal(err)
	}
	return here
}

func TestLeasedBlobsStayUntilTheirTermIsOver(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		kept, other := h.add(1000), h.add(1000)
		absent := digest.Of(digest.BLAKE3, []byte("absent"))
		time.Sleep(dht.LeaseTerm - time.Second) // the worst moment
		if got := h.lease("a", 1, kept, absent); !slices.Equal(got, []bool{true, false}) {
			t.Errorf("here: %v", got)
		}
		time.Sleep(dht.LeaseTerm - 2*time.Second)
		h.flood()
		if got := h.has(kept, other); !slices.Equal(got, []bool{true, false}) {
			t.Errorf("before the end of the term: leased %v, not leased %v", got[0], got[1])
		}
		if freed, err := h.Clear(t.Context()); err != nil || !h.has(kept)[0] {
			t.Errorf("cleared %d bytes and what is leased, %v", freed, err)
		}
		time.Sleep(dht.LeaseTerm + time.Second)
		if leases, members := h.tenants(); h.share.Stats().Bytes != 0 || leases+members != 0 {
			t.Errorf("%d bytes and %d leases of a member that is silent", h.share.Stats().Bytes, leases)
		}
		h.flood()
		if h.has(kept)[0] {
			t.Error("what was leased stays for ever")
		}
	})
}

func TestLeasesAreRenewedAndReleased(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		renewed, dropped := h.add(1000), h.add(1000)
		h.lease("a", 1, renewed, dropped)
		for range 10 {
			time.Sleep(dht.LeaseTerm / 3)
			h.lease("a", 1, renewed)
		}
		h.flood()
		if got := h.has(renewed, dropped); !slices.Equal(got, []bool{true, false}) {
			t.Errorf("asked for again %v, not asked for again %v", got[0], got[1])
		}
		h.lease("b", 1, renewed)
		h.Release("a", dht.LeaseName{1})
		h.Release("a", dht.LeaseName{2})
		h.flood()
		if !h.has(renewed)[0] {
			t.Error("one member has released what another leases")
		}
		h.Release("b", dht.LeaseName{1})
		h.flood()
		if leases, members := h.tenants(); h.has(renewed)[0] || leases+members != 0 {
			t.Errorf("what nobody leases stays, %v; %d leases", h.has(renewed)[0], leases)
		}
	})
}

func TestTreesAreLeasedWithAllBelowThem(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		file, lost := h.add(1000), digest.Of(digest.BLAKE3, []byte("lost"))
		dir := func(d digest.Digest) digest.Digest {
			b, err := action.EncodeBlob(&repb.Directory{Files: []*repb.FileNode{{Name: "f", Digest: action.ReapiDigest(d)}}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := store.AddBytes(t.Context(), h.Store, b.Content); err != nil {
				t.Fatal(err)
			}
			return b.Digest
		}
		whole, torn := dir(file), dir(lost)
		_, trees, err := h.Tenants.Lease(t.Context(), "a", dht.Leased{Trees: []digest.Digest{whole, torn, lost}})
		if err != nil || !slices.Equal(trees, []bool{true, false, false}) {
			t.Errorf("here: %v, %v", trees, err)
		}
		h.flood()
		if got := h.has(whole, file, torn); !slices.Equal(got, []bool{true, true, false}) {
			t.Errorf("root, file, another root: %v", got)
		}
	})
}

func TestTenantsAreBounded(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		d := h.add(10)
		for i := range maxLeases + 10 {
			name := dht.LeaseName{byte(i), byte(i >> 8)}
			if _, _, err := h.Tenants.Lease(t.Context(), "a", dht.Leased{Name: name, Blobs: []digest.Digest{d}}); err != nil {
				t.Fatal(err)
			}
		}
		h.lease("b", 1, d)
		if leases, _ := h.tenants(); leases != maxLeases+1 {
			t.Errorf("%d leases", leases)
		}
		var large []digest.Digest
		for range 9 {
			large = append(large, h.add(100_000))
		}
		h.lease("b", 1, large...)
		if got := h.share.Stats(); got.Bytes > 1<<17 || got.Refused != 8 {
			t.Errorf("%d bytes are leased, %d refused", got.Bytes, got.Refused)
		}
		h.flood() // there is room for it
	})
}
