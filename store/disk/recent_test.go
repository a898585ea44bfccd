package disk

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/buildnet/buildnet/store/digest"
)

func TestRecentIsBoundedAndKeepsTheLatest(t *testing.T) {
	var r recent
	content := func(i int) []byte {
		return binary.BigEndian.AppendUint64(make([]byte, recentBlob-8), uint64(i))
	}
	const n = 4 * recentBytes / recentBlob
	for i := range n {
		b := content(i)
		r.add(digest.Of(digest.BLAKE3, b), b)
		clear(b) // it keeps a copy
	}
	large := make([]byte, recentBlob+1)
	r.add(digest.Of(digest.BLAKE3, large), large)
	held := 0
	for i := range n {
		want := content(i)
		got, ok := r.of(digest.Of(digest.BLAKE3, want))
		if ok {
			held++
		}
		if ok && !bytes.Equal(got, want) || !ok && i >= n-recentBytes/recentBlob/2 {
			t.Fatalf("blob %d of %d: %t, %x", i, n, ok, got)
		}
	}
	if held*recentBlob > 2*(recentBytes+recentBlob) {
		t.Errorf("%d blobs of %d bytes held", held, recentBlob)
	}
	if _, ok := r.of(digest.Of(digest.BLAKE3, large)); ok {
		t.Error("a large blob is held")
	}
}
