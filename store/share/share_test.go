package share_test

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/memory"
	"github.com/buildnet/buildnet/store/share"
	"github.com/buildnet/buildnet/store/storetest"
)

func fill(t *testing.T, s *memory.Store, from, n, size int) (ds []digest.Digest) {
	t.Helper()
	for i := range n {
		d, err := store.AddBytes(t.Context(), s, storetest.Bytes(size, byte(from+i)))
		if err != nil {
			t.Fatal(err)
		}
		ds = append(ds, d)
	}
	return ds
}

// What a share holds stays, and a store goes on taking what comes however much it is
// asked to hold.
func TestAShareLeavesRoom(t *testing.T) {
	s := memory.New(1 << 20)
	half := share.New(s, share.Limits{Bytes: 500_000, Holds: 1000})
	ds := fill(t, s, 0, 9, 100_000)
	l := half.Lease()
	l.Hold(ds...)
	if got := half.Stats(); got != (share.Stats{Bytes: 500_000, Refused: 4}) {
		t.Errorf("%+v, want five blobs and four without room", got)
	}
	fill(t, s, 50, 30, 100_000)
	if has, err := s.Has(t.Context(), ds); err != nil || !slices.Equal(has, []bool{true, true, true, true, true, false, false, false, false}) {
		t.Errorf("after 3 MB: %v, %v", has, err)
	}
	l.Release()
	l.Release()
	l.Hold(ds...)
	if got := half.Stats(); got.Bytes != 0 {
		t.Errorf("a released lease holds %d bytes", got.Bytes)
	}
	fill(t, s, 100, 30, 100_000)
	if has, err := s.Has(t.Context(), ds[:1]); err != nil || has[0] {
		t.Errorf("what was let go of stays: %v, %v", has, err)
	}
	everything := s.Lease()
	defer everything.Release()
	for i := range 11 {
		everything.Hold(digest.Of(digest.BLAKE3, storetest.Bytes(100_000, byte(i))))
	}
	fill(t, s, 0, 10, 100_000)
	if _, err := store.AddBytes(t.Context(), s, storetest.Bytes(100_000, 10)); !errors.Is(err, store.ErrFull) {
		t.Errorf("without a share: %v, so that this proves nothing", err)
	}
}

// The counts are those of the leases that there are.
func TestWhatLeasesHoldIsCountedOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limits := share.Limits{Bytes: 40, Holds: 6}
		s := share.New(memory.New(1<<20), limits)
		leases := make([]store.Lease, 3)
		model := make([]map[digest.Digest]bool, 3)
		for range rapid.IntRange(1, 40).Draw(rt, "calls") {
			i := rapid.IntRange(0, 2).Draw(rt, "lease")
			if leases[i] == nil {
				leases[i], model[i] = s.Lease(), map[digest.Digest]bool{}
			}
			if rapid.IntRange(0, 3).Draw(rt, "release") == 0 {
				leases[i].Release()
				leases[i] = nil
				model[i] = nil
			} else {
				d := digest.Of(digest.BLAKE3, make([]byte, rapid.IntRange(1, 30).Draw(rt, "size")))
				bytes, holds := count(model)
				known := slices.ContainsFunc(model, func(m map[digest.Digest]bool) bool { return m[d] })
				if !known {
					bytes += d.Size()
				}
				if !model[i][d] && holds < limits.Holds && bytes <= limits.Bytes {
					model[i][d] = true
				}
				leases[i].Hold(d)
			}
			if want, _ := count(model); s.Stats().Bytes != want {
				rt.Fatalf("%d bytes are counted, %d held", s.Stats().Bytes, want)
			}
		}
	})
}

func count(leases []map[digest.Digest]bool) (bytes int64, holds int) {
	seen := map[digest.Digest]bool{}
	for _, l := range leases {
		for d := range l {
			holds++
			if !seen[d] {
				seen[d] = true
				bytes += d.Size()
			}
		}
	}
	return bytes, holds
}
