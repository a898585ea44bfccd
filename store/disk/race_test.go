package disk

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/storetest"
)

// TestPutsReadsAndEvictionsOfTheSameBlobs lets them race in a store with room
// for a part of them.
func TestPutsReadsAndEvictionsOfTheSameBlobs(t *testing.T) {
	s := open(t, t.TempDir(), Options{MaxBytes: 150_000})
	var contents [][]byte
	for i := range 10 {
		contents = append(contents, storetest.Bytes(20_000, byte(i)), storetest.Bytes(3000, byte(i)))
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(g)))
			for range 300 {
				content := contents[rng.IntN(len(contents))]
				d := digest.Of(digest.BLAKE3, content)
				var err error
				switch rng.IntN(3) {
				case 0:
					err = s.Put(t.Context(), d, bytes.NewReader(content))
				case 1:
					_, err = s.Add(t.Context(), digest.BLAKE3, bytes.NewReader(content))
				default:
					var got []byte
					if got, err = store.ReadAll(t.Context(), s, d, 1<<20); err == nil && !bytes.Equal(got, content) {
						t.Errorf("%v reads as other bytes", d)
					}
				}
				if errors.Is(err, store.ErrCorrupt) || err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrFull) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if st := s.Stats(); st.Corrupt != 0 || st.Bytes > 150_000 {
		t.Errorf("in the end: %+v", st)
	}
	report, err := s.Verify(t.Context())
	if err != nil || len(report.Corrupt) > 0 {
		t.Errorf("verify: %+v, %v", report, err)
	}
	var want int64
	for _, d := range s.digests() {
		want += cost(d.Size())
	}
	if got := s.Stats().Bytes; got != want {
		t.Errorf("%d bytes are accounted, there are %d", got, want)
	}
}

// TestDoubtfulBlobsAreWrittenAgain puts what an unclean stop made doubtful, and
// what in truth is damaged.
func TestDoubtfulBlobsAreWrittenAgain(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	small, large := storetest.Bytes(1000, 1), storetest.Bytes(100_000, 2)
	for _, content := range [][]byte{small, large} {
		if _, err := store.AddBytes(t.Context(), s, content); err != nil {
			t.Fatal(err)
		}
	}
	before := s.Stats().Bytes
	path := s.filePath(digest.Of(digest.BLAKE3, large))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	unclean(t, dir)
	if err := os.WriteFile(path, make([]byte, len(large)), 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, Options{})
	for _, content := range [][]byte{small, large} {
		d := digest.Of(digest.BLAKE3, content)
		if err := s.Put(t.Context(), d, bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		if got, err := store.ReadAll(t.Context(), s, d, 1<<20); err != nil || !bytes.Equal(got, content) {
			t.Errorf("read what was put again: %v", err)
		}
	}
	if st := s.Stats(); st.Corrupt != 0 || st.Bytes != before {
		t.Errorf("%+v, %d bytes were accounted before", st, before)
	}
}
