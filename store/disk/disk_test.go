package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/storetest"
)

func open(t testing.TB, dir string, opts Options) *Store {
	t.Helper()
	if opts.MaxBytes == 0 {
		opts.MaxBytes = 64 << 20
	}
	s, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Store {
		return open(t, t.TempDir(), Options{MaxBytes: storetest.Room})
	})
}

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	contents := [][]byte{storetest.Bytes(10, 1), storetest.Bytes(100_000, 2)}
	for _, c := range contents {
		if _, err := store.AddBytes(t.Context(), s, c); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.KV("n").Put([]byte("k"), []byte("v")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, Options{})
	for _, c := range contents {
		got, err := store.ReadAll(t.Context(), s, digest.Of(digest.BLAKE3, c), 1<<20)
		if err != nil || !bytes.Equal(got, c) {
			t.Errorf("after a restart: %v", err)
		}
	}
	if v, err := s.KV("n").Get([]byte("k")); err != nil || string(v) != "v" {
		t.Errorf("state after a restart: %q, %v", v, err)
	}
}

func TestSecondOpenNamesTheHolder(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, Options{})
	_, err := Open(dir, Options{})
	if !errors.Is(err, ErrLocked) || !bytes.Contains([]byte(err.Error()), []byte(strconv.Itoa(os.Getpid()))) {
		t.Errorf("second open: %v", err)
	}
}

// unclean marks a closed store as one that was not closed.
func unclean(t *testing.T, dir string) {
	t.Helper()
	s := open(t, dir, Options{})
	s.closed = true
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	s.unlock()
}

func TestFlippedBit(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	content := storetest.Bytes(100_000, 3)
	d, err := store.AddBytes(t.Context(), s, content)
	if err != nil {
		t.Fatal(err)
	}
	path := s.filePath(d)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	unclean(t, dir)
	content[50_000] ^= 4
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, Options{})
	if _, err := s.Open(t.Context(), d); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("first read after an unclean stop: %v", err)
	}
	if _, err := s.Open(t.Context(), d); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("second read: %v", err)
	}
	content[50_000] ^= 4
	if err := s.Put(t.Context(), d, bytes.NewReader(content)); err != nil {
		t.Errorf("put what was corrupt: %v", err)
	}
}

func TestVerifyFindsRot(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	content := storetest.Bytes(100_000, 3)
	d, err := store.AddBytes(t.Context(), s, content)
	if err != nil {
		t.Fatal(err)
	}
	content[0] ^= 1
	if err := os.WriteFile(s.filePath(d), content, 0o600); err != nil {
		t.Fatal(err)
	}
	report, err := s.Verify(t.Context())
	if err != nil || len(report.Corrupt) != 1 || report.Corrupt[0] != d {
		t.Errorf("verify: %+v, %v", report, err)
	}
}

func TestCheckDropsRotAndNothingElse(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	for _, size := range []int{0, 100, 100_000} {
		content := storetest.Bytes(size, 5)
		d, err := store.AddBytes(t.Context(), s, content)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Check(t.Context(), d); err != nil {
			t.Errorf("%d good bytes: %v", size, err)
		}
		if size <= smallBlob {
			continue
		}
		content[size/2] ^= 1
		if err := os.WriteFile(s.filePath(d), content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.Check(t.Context(), d); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("rot: %v", err)
		}
		if here, err := s.Has(t.Context(), []digest.Digest{d}); err != nil || here[0] {
			t.Errorf("rot is still here: %v, %v", here, err)
		}
	}
}

func TestFailingDisk(t *testing.T) {
	for errno, wanted := range map[syscall.Errno]error{syscall.ENOSPC: store.ErrFull, syscall.EIO: syscall.EIO} {
		fs := &storetest.FailingFS{FS: vfs.Default}
		s := open(t, t.TempDir(), Options{FS: fs})
		content := storetest.Bytes(1<<20, 9)
		d := digest.Of(digest.BLAKE3, content)
		for _, after := range []int64{0, 1000, 700_000} {
			before := s.Stats().Bytes
			fs.Fail(errno, after)
			if err := s.Put(t.Context(), d, bytes.NewReader(content)); !errors.Is(err, wanted) {
				t.Errorf("%v after %d bytes: %v", errno, after, err)
			}
			fs.Fail(0, 0)
			if got := s.Stats().Bytes; got != before {
				t.Errorf("%v after %d bytes: %d bytes are accounted, were %d", errno, after, got, before)
			}
			if names, _ := fs.List(s.path(tempDir)); len(names) > 0 {
				t.Errorf("%v after %d bytes: left %v", errno, after, names)
			}
		}
		if err := s.Put(t.Context(), d, bytes.NewReader(content)); err != nil {
			t.Errorf("when the disk is well again: %v", err)
		}
	}
}

// TestPowerFailure crashes a machine whose disk loses what was not synced.
func TestPowerFailure(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		mem := vfs.NewCrashableMem()
		s, err := Open("store", Options{FS: mem, MaxBytes: 8 << 20})
		if err != nil {
			rt.Fatal(err)
		}
		kept := map[digest.Digest]int{}
		state := 0
		for range rapid.IntRange(1, 12).Draw(rt, "operations") {
			size := rapid.SampledFrom([]int{10, 3000, 40_000}).Draw(rt, "size")
			content := storetest.Bytes(size, byte(rapid.IntRange(0, 20).Draw(rt, "seed")))
			d, err := store.AddBytes(context.Background(), s, content)
			if err != nil {
				rt.Fatal(err)
			}
			kept[d] = size
			if rapid.Bool().Draw(rt, "state") {
				state++
				if err := s.KV("n").Put([]byte("state"), []byte(strconv.Itoa(state))); err != nil {
					rt.Fatal(err)
				}
			}
		}
		crashed := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rapid.IntRange(0, 100).Draw(rt, "luck"), RNG: rand.New(rand.NewPCG(1, 2))})
		if err := s.Close(); err != nil {
			rt.Fatal(err)
		}
		s, err = Open("store", Options{FS: crashed, MaxBytes: 8 << 20})
		if err != nil {
			rt.Fatal(err)
		}
		defer func() {
			if err := s.Close(); err != nil {
				rt.Fatal(err)
			}
		}()
		for d := range kept {
			content, err := store.ReadAll(context.Background(), s, d, 1<<20)
			if err == nil && digest.Of(digest.BLAKE3, content) != d {
				rt.Fatalf("a corrupt blob was served after a crash")
			}
			if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrCorrupt) {
				rt.Fatal(err)
			}
		}
		if state > 0 {
			if v, err := s.KV("n").Get([]byte("state")); err != nil || string(v) != strconv.Itoa(state) {
				rt.Fatalf("durable state %d came back as %q, %v", state, v, err)
			}
		}
	})
}

func TestKV(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	a, b := s.KV("a"), s.KV("b")
	for _, k := range []string{"x/2", "x/1", "y"} {
		if err := a.Put([]byte(k), []byte("a"+k)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Put([]byte("x/3"), nil); err != nil {
		t.Fatal(err)
	}
	var got []string
	if err := a.Scan([]byte("x/"), func(k, v []byte) bool { got = append(got, string(k)+"="+string(v)); return true }); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != "[x/1=ax/1 x/2=ax/2]" {
		t.Errorf("scan: %v", got)
	}
	if err := a.Delete([]byte("y")); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Get([]byte("y")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleted: %v", err)
	}
}

// BenchmarkThreshold puts and gets blobs around smallBlob in both forms.
func BenchmarkThreshold(b *testing.B) {
	for _, size := range []int{1 << 10, 4 << 10, 16 << 10, 17 << 10, 64 << 10, 1 << 20} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			s := open(b, b.TempDir(), Options{MaxBytes: 1 << 30})
			content := storetest.Bytes(size, 1)
			b.SetBytes(int64(size))
			for i := 0; b.Loop(); i++ {
				content[0], content[1], content[2] = byte(i), byte(i>>8), byte(i>>16)
				d, err := s.Add(b.Context(), digest.BLAKE3, bytes.NewReader(content))
				if err != nil {
					b.Fatal(err)
				}
				if _, err := store.ReadAll(b.Context(), s, d, 2<<20); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestDropSparesWhatIsLeased(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	var ds []digest.Digest
	for i := range 4 {
		d, err := store.AddBytes(t.Context(), s, storetest.Bytes(1+i*50_000, byte(i)))
		if err != nil {
			t.Fatal(err)
		}
		ds = append(ds, d)
	}
	lease := s.Lease()
	lease.Hold(ds[0], ds[1])
	if err := s.Drop(t.Context(), append(ds[1:3:3], digest.Of(digest.BLAKE3, []byte("not here")))...); err != nil {
		t.Fatal(err)
	}
	if has, err := s.Has(t.Context(), ds); err != nil || !slices.Equal(has, []bool{true, true, false, true}) {
		t.Errorf("has %v, %v", has, err)
	}
}
