package dht

import (
	"slices"
	"testing"

	"lukechampine.com/blake3/bao"
	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/store/digest"
)

func outlineOf(content []byte) (digest.Digest, []byte) {
	o, _ := bao.EncodeBuf(content, chunkGroup, true)
	return digest.Of(digest.BLAKE3, content), o
}

func TestOutlineProvesItsChunksAndNoOthers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		content := make([]byte, rapid.IntRange(chunkSize+1, 4*chunkSize).Draw(t, "size"))
		for i := 0; i < len(content); i += 4096 {
			content[i] = byte(i >> 12)
		}
		key, o := outlineOf(content)
		if err := checkOutline(key, o); err != nil {
			t.Fatal(err)
		}
		i := rapid.IntRange(0, chunks(key)-1).Draw(t, "chunk")
		offset, length := span(key, i)
		c := slices.Clone(content[offset : offset+length])
		if !chunkFits(key, o, i, c) {
			t.Fatalf("chunk %d does not fit", i)
		}
		c[rapid.IntRange(0, len(c)-1).Draw(t, "at")] ^= 1
		if chunkFits(key, o, i, c) || chunkFits(key, o, i, content[offset:offset+length-1]) {
			t.Fatal("a changed chunk fits")
		}
		bad := slices.Clone(o)
		bad[rapid.IntRange(0, len(o)-1).Draw(t, "outline at")] ^= 1
		if checkOutline(key, bad) == nil {
			t.Fatal("a changed outline is accepted")
		}
	})
}

func FuzzOutline(f *testing.F) {
	content := make([]byte, 2*chunkSize+1)
	key, o := outlineOf(content)
	f.Add(o)
	f.Add(o[:40])
	f.Fuzz(func(t *testing.T, b []byte) {
		if checkOutline(key, b) == nil && !slices.Equal(b, o) {
			t.Fatal("another outline was accepted")
		}
		if chunkFits(key, b, 0, make([]byte, chunkSize-1)) {
			t.Fatal("a chunk of another length fits")
		}
	})
}
