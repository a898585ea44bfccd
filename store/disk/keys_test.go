package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/storetest"
)

// numberedKey is long, and as evenly spread as a digest is.
func numberedKey(i uint64) []byte {
	return digest.Of(digest.BLAKE3, binary.BigEndian.AppendUint64(nil, i)).Binary()
}

// learned returns a namespace of n keys, and what is known of them.
func learned(t testing.TB, s *Store, n int) kv {
	t.Helper()
	k := s.CacheKV("learned").(kv)
	for i := range n {
		if err := k.Put(numberedKey(uint64(i)), []byte("value")); err != nil {
			t.Fatal(err)
		}
	}
	for i := range patience {
		if _, err := k.Get(numberedKey(1<<40 + uint64(i))); !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
	}
	s.asides.Wait()
	return k
}

// TestWhatIsNotThereIsNotLookedFor is of keys that came before the namespace was read and
// after, so many that it was read again.
func TestWhatIsNotThereIsNotLookedFor(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	const before, after, absent = fewKeys, 2 * fewKeys, 20_000
	k := learned(t, s, before)
	for i := before; i < before+after; i++ {
		if err := k.Put(numberedKey(uint64(i)), nil); err != nil {
			t.Fatal(err)
		}
	}
	s.asides.Wait()
	for i := range before + after {
		if _, err := k.Get(numberedKey(uint64(i))); err != nil {
			t.Fatalf("key %d of %d: %v", i, before+after, err)
		}
	}
	passed := 0
	for i := range absent {
		if !k.keys.lacks(numberedKey(1<<50 + uint64(i))) {
			passed++
		}
	}
	if most := absent / 100; passed > most {
		t.Errorf("%d of %d keys that are not there are looked for, want at most %d", passed, absent, most)
	}
}

// TestWrittenKeysAreThere has keys written while they are read, again and again.
func TestWrittenKeysAreThere(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	k := s.CacheKV("n").(kv)
	stop := make(chan struct{})
	var reading, writing sync.WaitGroup
	reading.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				k.keys.read(k.each)
			}
		}
	})
	for who := range uint64(4) {
		writing.Go(func() {
			for i := range uint64(3000) {
				key := numberedKey(who<<32 + i)
				if err := k.Put(key, nil); err != nil {
					t.Error(err)
					return
				}
				back := numberedKey(who<<32 + rand.Uint64N(i+1))
				for _, key := range [][]byte{key, back} {
					if _, err := k.Get(key); err != nil {
						t.Errorf("just written: %v", err)
						return
					}
				}
			}
		})
	}
	writing.Wait()
	close(stop)
	reading.Wait()
}

// TestAFewMissesReadNothing is of short processes.
func TestAFewMissesReadNothing(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	k := s.CacheKV("n").(kv)
	for i := range uint64(patience - 1) {
		if _, err := k.Get(numberedKey(i)); !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
	}
	s.asides.Wait()
	if k.keys.in.Load() != nil {
		t.Errorf("keys were read after %d misses", patience-1)
	}
}

// TestKeysThatWereNotAllReadLackNothing is of a store that is closed meanwhile, and of one
// that cannot be read.
func TestKeysThatWereNotAllReadLackNothing(t *testing.T) {
	var k keys
	k.read(func(f func([]byte) bool) bool { f([]byte("a")); return false })
	if k.lacks([]byte("b")) {
		t.Error("b is not there, for keys that were not all read")
	}
	k.read(func(f func([]byte) bool) bool { return f([]byte("a")) })
	if !k.lacks([]byte("b")) || k.lacks([]byte("a")) {
		t.Errorf("lacks b: %v, a: %v; want b alone", k.lacks([]byte("b")), k.lacks([]byte("a")))
	}
	k.read(func(func([]byte) bool) bool { return false })
	if k.wrote([]byte("c")) || k.lacks([]byte("b")) || k.missed() {
		t.Error("what could not be read is to be read again at once")
	}
}

// BenchmarkAbsent looks for a key that is not there, in a store that has been written to.
func BenchmarkAbsent(b *testing.B) {
	for _, known := range []bool{false, true} {
		b.Run(fmt.Sprintf("known=%v", known), func(b *testing.B) {
			s := open(b, b.TempDir(), Options{MaxBytes: 1 << 30})
			const blobs = 50_000
			for i := range blobs {
				content := storetest.Bytes(1<<10, byte(i))
				binary.BigEndian.PutUint64(content, uint64(i))
				if err := s.Put(b.Context(), digest.Of(digest.BLAKE3, content), bytes.NewReader(content)); err != nil {
					b.Fatal(err)
				}
			}
			k := learned(b, s, blobs)
			if !known {
				k.keys = &keys{}
				k.keys.scanning.Store(true)
			}
			i := uint64(1 << 50)
			for b.Loop() {
				i++
				if _, err := k.Get(numberedKey(i)); !errors.Is(err, store.ErrNotFound) {
					b.Fatal(err)
				}
			}
		})
	}
}
