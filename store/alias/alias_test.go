package alias_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/alias"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/disk"
	"github.com/buildnet/buildnet/store/memory"
	"github.com/buildnet/buildnet/store/storetest"
)

// both is a store as the suite wants it.
type both struct {
	*alias.Blobs
	store.Leaser
	store.Keeper
}

func openDisk(t testing.TB) (both, *disk.Store) {
	t.Helper()
	under, err := disk.Open(t.TempDir(), disk.Options{MaxBytes: storetest.Room})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := under.Close(); err != nil {
			t.Error(err)
		}
	})
	b := alias.New(under, under.CacheKV("alias"))
	return both{b, b.Leases(under), b.Keeper(under)}, under
}

func TestConformance(t *testing.T) {
	for _, fn := range []digest.Function{digest.BLAKE3, digest.SHA256} {
		t.Run(fn.String()+" on disk", func(t *testing.T) {
			storetest.RunIn(t, fn, func(t *testing.T) storetest.Store { b, _ := openDisk(t); return b })
		})
		t.Run(fn.String()+" in memory", func(t *testing.T) {
			storetest.RunIn(t, fn, func(*testing.T) storetest.Store {
				under := memory.New(storetest.Room)
				b := alias.New(under, &memory.KV{})
				return both{b, b.Leases(under), b.Keeper(under)}
			})
		})
	}
}

func sha(content []byte) digest.Digest   { return digest.Of(digest.SHA256, content) }
func blake(content []byte) digest.Digest { return digest.Of(digest.BLAKE3, content) }

func put(t testing.TB, b store.Blobs, d digest.Digest, content []byte) {
	t.Helper()
	if err := b.Put(context.Background(), d, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
}

func has(t testing.TB, b store.Blobs, ds ...digest.Digest) []bool {
	t.Helper()
	here, err := b.Has(context.Background(), ds)
	if err != nil {
		t.Fatal(err)
	}
	return here
}

func TestOneBlobUnderTwoNames(t *testing.T) {
	b, under := openDisk(t)
	for _, n := range []int{1, 1000, 100_000} {
		content := storetest.Bytes(n, 3)
		put(t, b, sha(content), content)
		if got := fmt.Sprint(has(t, b, sha(content), blake(content), sha([]byte("no")), sha(nil))); got != "[true true false true]" {
			t.Errorf("%d bytes: has %s", n, got)
		}
		if got, err := b.Native(t.Context(), sha(content)); err != nil || got != blake(content) {
			t.Errorf("native: %v, %v", got, err)
		}
		if has(t, under, sha(content))[0] {
			t.Error("kept twice")
		}
	}
	if st := under.Stats(); st.Blobs != 3 {
		t.Errorf("%d blobs, want 3", st.Blobs)
	}
}

func TestMismatchKeepsNeitherBlobNorAlias(t *testing.T) {
	for _, n := range []int{10, 16 << 10, 16<<10 + 1, 1 << 20} {
		b, under := openDisk(t)
		content := storetest.Bytes(n, 1)
		other := bytes.Clone(content)
		other[n/2] ^= 1
		for what, bad := range map[string][]byte{"other": other, "longer": append(bytes.Clone(content), 1), "shorter": content[1:]} {
			if err := b.Put(t.Context(), sha(content), bytes.NewReader(bad)); !errors.Is(err, store.ErrMismatch) {
				t.Errorf("%s than %d: %v", what, n, err)
			}
			if _, err := b.Native(t.Context(), sha(content)); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s than %d has an alias: %v", what, n, err)
			}
		}
		if st := under.Stats(); st.Blobs != 0 || st.Bytes != 0 {
			t.Errorf("%d: kept %d blobs, %d bytes", n, st.Blobs, st.Bytes)
		}
	}
}

// endless counts what is read of it.
type endless struct{ read int64 }

func (e *endless) Read(p []byte) (int, error) {
	e.read += int64(len(p))
	return len(p), nil
}

func TestReadsNoMoreThanTheNameSays(t *testing.T) {
	b, _ := openDisk(t)
	var e endless
	if err := b.Put(t.Context(), sha(make([]byte, 1<<20)), &e); !errors.Is(err, store.ErrMismatch) {
		t.Errorf("endless content: %v", err)
	}
	if e.read > 2<<20 {
		t.Errorf("read %d bytes of what was to be 1 MiB", e.read)
	}
}

func TestName(t *testing.T) {
	b, under := openDisk(t)
	content := storetest.Bytes(50_000, 1)
	if _, err := b.Name(t.Context(), blake(content), digest.SHA256); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("name of nothing: %v", err)
	}
	put(t, under, blake(content), content)
	for range 2 { // the second has no blob to read
		if got, err := b.Name(t.Context(), blake(content), digest.SHA256); err != nil || got != sha(content) {
			t.Errorf("name: %v, %v", got, err)
		}
		if err := under.Drop(t.Context(), blake(content)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := b.Native(t.Context(), sha(content)); err != nil || got != blake(content) {
		t.Errorf("native of a name: %v, %v", got, err)
	}
	if _, err := b.Open(t.Context(), sha(content)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("open of an alias whose blob is gone: %v", err)
	}
	for d, want := range map[digest.Digest]digest.Digest{
		blake(nil): sha(nil), sha(content): sha(content),
	} {
		if got, err := b.Name(t.Context(), d, digest.SHA256); err != nil || got != want {
			t.Errorf("name of %v: %v, %v", d, got, err)
		}
	}
	if got, err := b.Name(t.Context(), sha(content), digest.BLAKE3); err == nil {
		t.Errorf("name of a foreign digest: %v", got)
	}
}

func TestNote(t *testing.T) {
	b, _ := openDisk(t)
	one, two := []byte("one"), []byte("two")
	for what, pair := range map[string][2]digest.Digest{
		"sizes differ":  {sha(one), blake([]byte("three"))},
		"two foreign":   {sha(one), sha(one)},
		"two native":    {blake(one), blake(one)},
		"the wrong way": {blake(one), sha(one)},
	} {
		if err := b.Note(pair[0], pair[1]); !errors.Is(err, store.ErrMismatch) {
			t.Errorf("%s: %v", what, err)
		}
	}
	put(t, b, sha(one), one)
	for _, n := range [][]byte{one, two} { // what was hashed here stays
		if err := b.Note(sha(one), blake(n)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := b.Native(t.Context(), sha(one)); err != nil || got != blake(one) {
		t.Errorf("native: %v, %v", got, err)
	}
}

func TestWrongNoteGoesWhenTheContentComes(t *testing.T) {
	b, _ := openDisk(t)
	one, two, three := storetest.Bytes(100_000, 1), storetest.Bytes(100_000, 2), storetest.Bytes(100_000, 3)
	if err := b.Note(sha(one), blake(two)); err != nil {
		t.Fatal(err)
	}
	if err := b.Put(t.Context(), sha(one), bytes.NewReader(three)); !errors.Is(err, store.ErrMismatch) {
		t.Errorf("wrong content: %v", err)
	}
	if _, err := b.Native(t.Context(), sha(one)); err != nil {
		t.Errorf("wrong content removed the alias: %v", err)
	}
	if err := b.Put(t.Context(), sha(one), bytes.NewReader(one)); err == nil {
		t.Error("kept under a wrong alias")
	}
	put(t, b, sha(one), one)
	if got, err := store.ReadAll(t.Context(), b, sha(one), 1<<20); err != nil || !bytes.Equal(got, one) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	small, other := []byte("one"), []byte("two")
	if err := b.Note(sha(small), blake(other)); err != nil {
		t.Fatal(err)
	}
	put(t, b, sha(small), small)
	if got, err := store.ReadAll(t.Context(), b, sha(small), 10); err != nil || string(got) != "one" {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestLargeBlobThatIsHereIsNotReadAgain(t *testing.T) {
	b, _ := openDisk(t)
	content := storetest.Bytes(100_000, 1)
	put(t, b, sha(content), content)
	var e endless
	if err := b.Put(t.Context(), sha(content), &e); err != nil || e.read > 0 {
		t.Errorf("%v, %d bytes were read", err, e.read)
	}
}

func TestAgainAfterTheBlobWent(t *testing.T) {
	b, under := openDisk(t)
	content := []byte("content")
	put(t, b, sha(content), content)
	if err := under.Drop(t.Context(), blake(content)); err != nil {
		t.Fatal(err)
	}
	if has(t, b, sha(content))[0] {
		t.Error("what is gone is here")
	}
	put(t, b, sha(content), content)
	if !has(t, b, sha(content))[0] {
		t.Error("not here when put again")
	}
}

// failing is a table that cannot be written.
type failing struct{ memory.KV }

func (*failing) Put(_, _ []byte) error { return io.ErrShortWrite }

func TestBlobComesBeforeItsAlias(t *testing.T) {
	under := memory.New(1 << 20)
	b := alias.New(under, &failing{})
	if err := b.Put(t.Context(), sha([]byte("x")), bytes.NewReader([]byte("x"))); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("put: %v", err)
	}
	if !has(t, under, blake([]byte("x")))[0] {
		t.Error("the alias was to come first")
	}
}

func TestLeaseOfWhatComesLater(t *testing.T) {
	b, under := openDisk(t)
	lease := b.Lease()
	var contents [][]byte
	for i := range 20 {
		contents = append(contents, storetest.Bytes(100, byte(i)))
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for _, c := range contents {
			lease.Hold(sha(c))
		}
	})
	wg.Go(func() {
		for _, c := range contents {
			if err := b.Put(context.Background(), sha(c), bytes.NewReader(c)); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	if st := under.Stats(); st.Leased != len(contents) {
		t.Errorf("%d leased, want %d", st.Leased, len(contents))
	}
	lease.Hold(sha([]byte("after")))
	lease.Release()
	put(t, b, sha([]byte("after")), []byte("after"))
	if st := under.Stats(); st.Leased != 0 {
		t.Errorf("%d leased after release", st.Leased)
	}
}
