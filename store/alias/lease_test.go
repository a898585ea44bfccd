package alias

import (
	"bytes"
	"context"
	"testing"

	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/memory"
)

// lateTable has something happen right after the first look that found nothing.
type lateTable struct {
	memory.KV
	then func()
}

func (l *lateTable) Get(key []byte) ([]byte, error) {
	value, err := l.KV.Get(key)
	if then := l.then; err != nil && then != nil {
		l.then = nil
		then()
	}
	return value, err
}

// fill puts so much into the store that all goes which is not held.
func fill(t *testing.T, b *Blobs) {
	t.Helper()
	for i := range 20 {
		if _, err := b.Add(t.Context(), digest.BLAKE3, bytes.NewReader(bytes.Repeat([]byte{byte(i)}, 100))); err != nil {
			t.Fatal(err)
		}
	}
}

func here(t *testing.T, b *Blobs, d digest.Digest) bool {
	t.Helper()
	has, err := b.Has(t.Context(), []digest.Digest{d})
	if err != nil {
		t.Fatal(err)
	}
	return has[0]
}

func TestAliasThatComesWhileItsLeaseIsTaken(t *testing.T) {
	under, table := memory.New(1000), &lateTable{}
	b := New(under, table)
	content := []byte("content")
	d := digest.Of(digest.SHA256, content)
	table.then = func() {
		if err := b.Put(context.Background(), d, bytes.NewReader(content)); err != nil {
			t.Error(err)
		}
	}
	lease := b.Leases(under).Lease()
	lease.Hold(d)
	if fill(t, b); !here(t, b, d) {
		t.Error("it was not held")
	}
	lease.Release()
	if fill(t, b); here(t, b, d) {
		t.Error("it stays for ever")
	}
}

func TestAliasThatComesAfterRelease(t *testing.T) {
	under := memory.New(1000)
	b := New(under, &memory.KV{})
	content := []byte("content")
	d := digest.Of(digest.SHA256, content)
	l := b.Leases(under).Lease().(*lease)
	l.Hold(d)
	l.Release()
	l.came(d, digest.Of(digest.BLAKE3, content)) // it was on its way
	if err := b.Put(t.Context(), d, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	if fill(t, b); here(t, b, d) {
		t.Error("it stays for ever")
	}
}
