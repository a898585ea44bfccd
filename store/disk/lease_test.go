package disk

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/storetest"
)

func add(t *testing.T, s *Store, content []byte) digest.Digest {
	t.Helper()
	d, err := store.AddBytes(t.Context(), s, content)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func keepFor(t *testing.T, s *Store, ttl time.Duration, ds ...digest.Digest) []bool {
	t.Helper()
	here, err := s.Keep(t.Context(), time.Now().Add(ttl), ds)
	if err != nil {
		t.Fatal(err)
	}
	return here
}

func TestPromisesAreKeptAndHalfIsPromised(t *testing.T) {
	s := open(t, t.TempDir(), Options{MaxBytes: 1 << 20})
	var ds []digest.Digest
	for i := range 9 {
		ds = append(ds, add(t, s, storetest.Bytes(100_000, byte(i))))
	}
	absent := digest.Of(digest.BLAKE3, []byte("absent"))
	if got := keepFor(t, s, time.Hour, append(ds, absent, digest.Of(digest.BLAKE3, nil))...); !slices.Equal(got,
		[]bool{true, true, true, true, true, true, true, true, true, false, true}) {
		t.Errorf("here: %v", got)
	}
	if st := s.Stats(); st.Kept != 5*cost(100_000) || st.Unkept != 4 {
		t.Errorf("%d bytes promised, %d blobs not; want 5 blobs and 4", st.Kept, st.Unkept)
	}
	for i := range 30 {
		add(t, s, storetest.Bytes(100_000, byte(i+50)))
	}
	if got, err := s.Has(t.Context(), ds); err != nil || !slices.Equal(got, []bool{true, true, true, true, true, false, false, false, false}) {
		t.Errorf("after 3 MB: %v, %v", got, err)
	}
	lease := s.Lease()
	defer lease.Release()
	for i := range 5 {
		content := storetest.Bytes(100_000, byte(i+100))
		lease.Hold(digest.Of(digest.BLAKE3, content))
		add(t, s, content)
	}
	if _, err := store.AddBytes(t.Context(), s, storetest.Bytes(100_000, 200)); !errors.Is(err, store.ErrFull) {
		t.Errorf("full of what is leased and promised: %v", err)
	}
	if freed, err := s.Clear(t.Context()); err != nil || freed != 0 {
		t.Errorf("cleared %d bytes of what is wanted, %v", freed, err)
	}
}

func TestPromisesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := Open("store", Options{FS: vfs.NewMem(), MaxBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		d := add(t, s, storetest.Bytes(100_000, 1))
		keepFor(t, s, time.Hour, d)
		time.Sleep(30 * time.Minute)
		keepFor(t, s, time.Minute, d) // shortens nothing
		time.Sleep(29*time.Minute + 59*time.Second)
		if freed, err := s.Clear(t.Context()); err != nil || freed != 0 {
			t.Fatalf("%d bytes went before their time, %v", freed, err)
		}
		time.Sleep(time.Minute + 2*time.Second)
		if st := s.Stats(); st.Kept != 0 {
			t.Errorf("%d bytes are promised for ever", st.Kept)
		}
		if freed, err := s.Clear(t.Context()); err != nil || freed != 100_000 {
			t.Errorf("%d bytes went, %v", freed, err)
		}
	})
}

func TestRestartForgetsPromises(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	d := add(t, s, []byte("content"))
	keepFor(t, s, time.Hour, d)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, Options{})
	if st := s.Stats(); st.Kept != 0 || st.Blobs != 1 {
		t.Errorf("after a restart: %+v", st)
	}
}

func TestCollectByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfs.NewMem()
		s, err := Open("store", Options{FS: mem, MaxBytes: 1 << 30})
		if err != nil {
			t.Fatal(err)
		}
		var ds []digest.Digest
		for i := range 4 * collectBatch {
			ds = append(ds, add(t, s, append([]byte("blob "), strconv.Itoa(i)...)))
		}
		ds = append(ds, add(t, s, storetest.Bytes(100_000, 1)))
		lease := s.Lease()
		lease.Hold(ds[0])
		time.Sleep(time.Hour)
		keepFor(t, s, 3*time.Hour, ds[1])
		if _, err := s.Has(t.Context(), ds[2:3]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		// The times of use outlive the process.
		if _, err := s.Collect(t.Context(), 24*time.Hour); err != nil {
			t.Fatal(err)
		}
		if freed, err := s.Collect(t.Context(), 90*time.Minute); err != nil || freed < 100_000 {
			t.Errorf("freed %d bytes, %v", freed, err)
		}
		has, err := s.Has(t.Context(), ds)
		if err != nil || !has[0] || !has[1] || !has[2] || slices.Contains(has[3:], true) {
			t.Errorf("leased %v, promised %v, used %v, others %v; %v", has[0], has[1], has[2], slices.Contains(has[3:], true), err)
		}
		if st := s.Stats(); st.Aged != int64(len(ds)-3) || st.Blobs != 3 {
			t.Errorf("%d went by age, %d stay", st.Aged, st.Blobs)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		if s, err = Open("store", Options{FS: mem, MaxBytes: 1 << 30}); err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := s.Collect(t.Context(), 3*time.Hour); err != nil || s.Stats().Blobs != 3 {
			t.Errorf("what was used two hours ago is older after a restart: %+v, %v", s.Stats(), err)
		}
		ended, stop := context.WithCancel(t.Context())
		stop()
		if _, err := s.Collect(ended, time.Nanosecond); !errors.Is(err, context.Canceled) {
			t.Errorf("collect that was ended: %v", err)
		}
	})
}

// crashing takes a picture of the disk as a crash would leave it, when the after-th
// file is about to be removed.
type crashing struct {
	*vfs.MemFS
	after, percent int
	crashed        *vfs.MemFS
}

func (c *crashing) Remove(name string) error {
	if c.after--; c.after == 0 {
		c.crashed = c.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: c.percent, RNG: rand.New(rand.NewPCG(1, 2))})
	}
	return c.MemFS.Remove(name)
}

// TestPowerFailureWhileCollecting crashes a machine in the middle of evictions and
// of collections.
func TestPowerFailureWhileCollecting(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		mem := vfs.NewCrashableMem()
		fs := &crashing{MemFS: mem, after: rapid.IntRange(1, 10).Draw(rt, "removals"), percent: rapid.IntRange(0, 100).Draw(rt, "luck")}
		s, err := Open("store", Options{FS: fs, MaxBytes: 300_000})
		if err != nil {
			rt.Fatal(err)
		}
		for i := range 60 {
			content := storetest.Bytes([]int{10, 3000, 40_000}[i%3], byte(i))
			if _, err := store.AddBytes(context.Background(), s, content); err != nil {
				rt.Fatal(err)
			}
			if i%20 == 9 {
				if _, err := s.Collect(context.Background(), time.Nanosecond); err != nil {
					rt.Fatal(err)
				}
			}
		}
		if err := s.Close(); err != nil {
			rt.Fatal(err)
		}
		if fs.crashed == nil {
			rt.Fatal("nothing was removed")
		}
		s, err = Open("store", Options{FS: fs.crashed, MaxBytes: 300_000})
		if err != nil {
			rt.Fatal(err)
		}
		defer s.Close()
		if _, err := s.Verify(context.Background()); err != nil {
			rt.Fatal(err)
		}
		if again, err := s.Verify(context.Background()); err != nil || len(again.Corrupt) > 0 {
			rt.Fatalf("after what was doubtful had gone: %+v, %v", again, err)
		}
		var want int64
		for _, d := range s.digests() {
			want += cost(d.Size())
		}
		if got := s.Stats().Bytes; got != want {
			rt.Fatalf("%d bytes are accounted, there are %d", got, want)
		}
	})
}

func TestBlobBeyondTheBoundCostsNothing(t *testing.T) {
	s := open(t, t.TempDir(), Options{MaxBytes: 1 << 20})
	d := add(t, s, storetest.Bytes(1000, 1))
	big := storetest.Bytes(2<<20, 2)
	if err := s.Put(t.Context(), digest.Of(digest.BLAKE3, big), bytes.NewReader(big)); !errors.Is(err, store.ErrFull) {
		t.Errorf("put: %v", err)
	}
	if has, err := s.Has(t.Context(), []digest.Digest{d}); err != nil || !has[0] {
		t.Error("what was here went for what cannot come")
	}
}

// BenchmarkKeep keeps what one FindMissingBlobs may ask for.
func BenchmarkKeep(b *testing.B) {
	s := open(b, b.TempDir(), Options{MaxBytes: 1 << 30})
	ds := make([]digest.Digest, 10_000)
	for i := range ds {
		var err error
		if ds[i], err = store.AddBytes(b.Context(), s, strconv.AppendInt(nil, int64(i), 10)); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if _, err := s.Keep(b.Context(), time.Now().Add(2*time.Hour), ds); err != nil {
			b.Fatal(err)
		}
	}
}
