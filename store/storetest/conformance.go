// Package storetest is what every store must pass, and the file systems that
// tests put under the one on disk. Start reading at Run.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// Room is the bound in bytes that the stores under test are to have.
const Room = 4 << 20

// Store is what the suite tests.
type Store interface {
	store.Blobs
	store.Leaser
	store.Keeper
}

// Run checks that what open returns, empty and bounded by Room, is a store.
func Run(t *testing.T, open func(t *testing.T) Store) { RunIn(t, digest.BLAKE3, open) }

// subject is a store and the function in which it is spoken to.
type subject struct {
	Store
	fn digest.Function
}

// RunIn is Run with blobs named in fn.
func RunIn(t *testing.T, fn digest.Function, open func(t *testing.T) Store) {
	for name, check := range map[string]func(*testing.T, subject){
		"keeps and returns":     keeps,
		"empty blob":            emptyBlob,
		"not found":             notFound,
		"mismatch":              mismatch,
		"failing reader":        failingReader,
		"drops the unused":      dropsUnused,
		"spares the leased":     sparesLeased,
		"keeps its promises":    keepsPromises,
		"readers stay valid":    readersStay,
		"concurrent":            concurrent,
		"agrees with a map":     model,
		"refuses the too large": tooLarge,
	} {
		t.Run(name, func(t *testing.T) { check(t, subject{open(t), fn}) })
	}
}

// Bytes returns n bytes that depend on seed.
func Bytes(n int, seed byte) []byte {
	b := make([]byte, n)
	x := uint32(seed) + 1
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// sizes are around the limits of any store.
var sizes = []int{1, 100, 4095, 4096, 16 << 10, 16<<10 + 1, 100_000, 1 << 20}

func put(t testing.TB, s subject, content []byte) digest.Digest {
	t.Helper()
	d := digest.Of(s.fn, content)
	if err := s.Put(t.Context(), d, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	return d
}

func here(t testing.TB, s subject, d digest.Digest) bool {
	t.Helper()
	has, err := s.Has(t.Context(), []digest.Digest{d})
	if err != nil {
		t.Fatal(err)
	}
	return has[0]
}

func want(t testing.TB, s subject, d digest.Digest, content []byte) {
	t.Helper()
	got, err := store.ReadAll(t.Context(), s, d, Room)
	if err != nil || !bytes.Equal(got, content) {
		t.Fatalf("read %v: %d bytes, %v; want %d bytes", d, len(got), err, len(content))
	}
}

func keeps(t *testing.T, s subject) {
	for _, n := range sizes {
		for _, fn := range []digest.Function{digest.BLAKE3, digest.SHA256} {
			content := Bytes(n, byte(n))
			d, err := s.Add(t.Context(), fn, bytes.NewReader(content))
			if err != nil || d != digest.Of(fn, content) {
				t.Fatalf("add %d bytes: %v, %v", n, d, err)
			}
			want(t, s, d, content)
			if err := s.Put(t.Context(), d, bytes.NewReader(content)); err != nil {
				t.Errorf("put again: %v", err)
			}
			r, err := s.Open(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			last := make([]byte, 1)
			if _, err := r.ReadAt(last, int64(n-1)); err != nil && !errors.Is(err, io.EOF) || last[0] != content[n-1] {
				t.Errorf("last byte of %d: %v, %v", n, last, err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func emptyBlob(t *testing.T, s subject) {
	for _, fn := range []digest.Function{digest.BLAKE3, digest.SHA256} {
		d := digest.Of(fn, nil)
		if !here(t, s, d) {
			t.Errorf("%v is not here", d)
		}
		want(t, s, d, nil)
		if got, err := s.Add(t.Context(), fn, bytes.NewReader(nil)); err != nil || got != d {
			t.Errorf("add nothing: %v, %v", got, err)
		}
	}
}

func notFound(t *testing.T, s subject) {
	d := digest.Of(s.fn, []byte("nowhere"))
	if here(t, s, d) {
		t.Error("an absent blob is here")
	}
	if _, err := s.Open(t.Context(), d); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("open: %v", err)
	}
}

func mismatch(t *testing.T, s subject) {
	for _, n := range sizes {
		content := Bytes(n, 1)
		d := digest.Of(s.fn, content)
		longer := append(bytes.Clone(content), 'x')
		other := bytes.Clone(content)
		other[n/2] ^= 1
		for what, bad := range map[string][]byte{"other": other, "longer": longer, "shorter": content[:n-1], "none": nil} {
			if err := s.Put(t.Context(), d, bytes.NewReader(bad)); !errors.Is(err, store.ErrMismatch) {
				t.Errorf("put %s bytes of %d: %v", what, n, err)
			}
			if here(t, s, d) {
				t.Fatalf("kept %s bytes of %d", what, n)
			}
		}
	}
}

func failingReader(t *testing.T, s subject) {
	boom := errors.New("boom")
	for _, n := range sizes {
		content := Bytes(n, 2)
		r := io.MultiReader(bytes.NewReader(content[:n/2]), errReader{boom})
		if err := s.Put(t.Context(), digest.Of(s.fn, content), r); !errors.Is(err, boom) {
			t.Errorf("put %d bytes: %v", n, err)
		}
		if here(t, s, digest.Of(s.fn, content)) {
			t.Errorf("kept half of %d bytes", n)
		}
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func dropsUnused(t *testing.T, s subject) {
	first := put(t, s, Bytes(100_000, 0))
	second := put(t, s, Bytes(100_000, 1))
	for seed := range byte(60) {
		here(t, s, first) // uses it
		put(t, s, Bytes(100_000, seed+2))
	}
	if !here(t, s, first) {
		t.Error("what is used again and again was dropped")
	}
	if here(t, s, second) {
		t.Error("nothing was dropped beyond the bound")
	}
}

func sparesLeased(t *testing.T, s subject) {
	late := Bytes(100_000, 200)
	lease := s.Lease()
	early := put(t, s, Bytes(100_000, 0))
	lease.Hold(early, digest.Of(s.fn, late))
	put(t, s, late)
	for seed := range byte(60) {
		put(t, s, Bytes(100_000, seed+1))
	}
	if !here(t, s, early) || !here(t, s, digest.Of(s.fn, late)) {
		t.Error("a leased blob was dropped")
	}
	lease.Release()
	lease.Release()
	for seed := range byte(60) {
		put(t, s, Bytes(100_000, seed+80))
	}
	if here(t, s, early) {
		t.Error("a released blob was never dropped")
	}
}

func keepsPromises(t *testing.T, s subject) {
	first := put(t, s, Bytes(100_000, 0))
	late := Bytes(100_000, 250)
	ds := []digest.Digest{first, digest.Of(s.fn, late), digest.Of(s.fn, nil)}
	short, long := time.Now().Add(time.Minute), time.Now().Add(time.Hour)
	for _, until := range []time.Time{long, short} { // the second shortens nothing
		got, err := s.Keep(t.Context(), until, ds)
		if err != nil || !slices.Equal(got, []bool{true, false, true}) {
			t.Fatalf("keep: %v, %v", got, err)
		}
	}
	lateToo := put(t, s, late)
	for seed := range byte(60) {
		content := Bytes(100_000, seed+1)
		put(t, s, content)
		if _, err := s.Keep(t.Context(), long, []digest.Digest{digest.Of(s.fn, content)}); err != nil {
			t.Fatal(err)
		}
	}
	// A foreign name that nobody knew stands for nothing that could be waited for.
	if !here(t, s, first) || s.fn == digest.BLAKE3 && !here(t, s, lateToo) {
		t.Error("a blob went that was promised")
	}
	put(t, s, Bytes(1<<20, 200)) // promises leave room for what comes
}

func tooLarge(t *testing.T, s subject) {
	lease := s.Lease()
	defer lease.Release()
	var held []digest.Digest
	for seed := range byte(30) {
		content := Bytes(100_000, seed)
		lease.Hold(digest.Of(s.fn, content))
		held = append(held, put(t, s, content))
	}
	big := Bytes(2<<20, 99)
	if _, err := s.Add(t.Context(), s.fn, bytes.NewReader(big)); !errors.Is(err, store.ErrFull) {
		t.Errorf("add beyond the bound: %v", err)
	}
	for _, d := range held {
		if !here(t, s, d) {
			t.Fatalf("%v went to make room", d)
		}
	}
	put(t, s, Bytes(1000, 98)) // small ones still fit
}

func readersStay(t *testing.T, s subject) {
	for _, n := range []int{1000, 100_000} {
		content := Bytes(n, 7)
		d := put(t, s, content)
		r, err := s.Open(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		for seed := range byte(60) {
			put(t, s, Bytes(100_000, seed+8))
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("a reader of %d dropped bytes: %d bytes, %v", n, len(got), err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func concurrent(t *testing.T, s subject) {
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 40 {
				content := Bytes(sizes[(g+i)%6], byte(i%10))
				d := put(t, s, content)
				got, err := store.ReadAll(context.Background(), s, d, Room)
				if err != nil || !bytes.Equal(got, content) {
					t.Errorf("read back: %v", err)
				}
			}
		})
	}
	wg.Wait()
}

// model checks random operations on blobs that fit against a map.
func model(t *testing.T, s subject) {
	kept := map[digest.Digest][]byte{}
	rapid.Check(t, func(t *rapid.T) {
		content := Bytes(rapid.SampledFrom([]int{0, 1, 17, 5000, 17_000}).Draw(t, "size"), byte(rapid.IntRange(0, 8).Draw(t, "seed")))
		d := digest.Of(s.fn, content)
		if rapid.Bool().Draw(t, "put") {
			if err := s.Put(context.Background(), d, bytes.NewReader(content)); err != nil {
				t.Fatal(err)
			}
			kept[d] = content
		}
		has, err := s.Has(context.Background(), []digest.Digest{d})
		if _, ok := kept[d]; err != nil || has[0] != (ok || len(content) == 0) {
			t.Fatalf("has %v: %v, %v", d, has, err)
		}
	})
}
