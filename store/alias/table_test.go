package alias

import (
	"encoding/binary"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/memory"
)

// shelved returns a digest of the first shelf.
func shelved(t *testing.T, i int) digest.Digest {
	t.Helper()
	var hash [digest.HashSize]byte
	binary.BigEndian.PutUint32(hash[20:], uint32(i))
	d, err := digest.New(digest.SHA256, hash[:], 7)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTableIsBoundedByAgeOfUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kv memory.KV
		b := New(memory.New(1), &kv)
		n := digest.Of(digest.BLAKE3, []byte("content"))
		for i := range 100 * perShelf {
			if err := b.Note(shelved(t, i), n); err != nil {
				t.Fatal(err)
			}
			if i%(perShelf/2) == 0 {
				time.Sleep(2 * useGrain)
				if _, err := b.Native(t.Context(), shelved(t, 0)); err != nil {
					t.Fatalf("what is used went after %d: %v", i, err)
				}
			}
		}
		if err := b.table.sweep(forward(shelved(t, 0)).bytes()[:2+shelfBytes]); err != nil {
			t.Fatal(err)
		}
		var left int
		if err := kv.Scan(nil, func(_, _ []byte) bool { left++; return true }); err != nil || left != perShelf {
			t.Errorf("%d aliases stay, %v; want %d", left, err, perShelf)
		}
		if _, err := b.Native(t.Context(), shelved(t, 1)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the oldest stays: %v", err)
		}
		if _, err := b.Native(t.Context(), shelved(t, 100*perShelf-1)); err != nil {
			t.Errorf("the newest went: %v", err)
		}
	})
}

func TestWritesSweep(t *testing.T) {
	var kv memory.KV
	tab := table{kv: &kv}
	n := digest.Of(digest.BLAKE3, []byte("content"))
	for i := range 1000 {
		if err := tab.put(forward(shelved(t, i)), n); err != nil {
			t.Fatal(err)
		}
	}
	var left int
	if err := kv.Scan(nil, func(_, _ []byte) bool { left++; return true }); err != nil || left > 500 {
		t.Errorf("%d of 1000 aliases on a shelf of %d stay, %v", left, perShelf, err)
	}
}

func TestDamagedAliasIsNone(t *testing.T) {
	var kv memory.KV
	tab := table{kv: &kv}
	d, n := shelved(t, 1), digest.Of(digest.BLAKE3, []byte("content"))
	if err := tab.put(forward(d), n); err != nil {
		t.Fatal(err)
	}
	raw, err := kv.Get(forward(d).bytes())
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		bad := append([]byte(nil), raw...)
		bad[i] ^= 1
		if err := kv.Put(forward(d).bytes(), bad); err != nil {
			t.Fatal(err)
		}
		if got, err := tab.get(forward(d), digest.BLAKE3, 7, 0); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("byte %d changed: %v, %v", i, got, err)
		}
	}
	if err := kv.Put(forward(shelved(t, 2)).bytes(), raw); err != nil {
		t.Fatal(err)
	}
	if got, err := tab.get(forward(shelved(t, 2)), digest.BLAKE3, 7, 0); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the value of another key: %v, %v", got, err)
	}
}
