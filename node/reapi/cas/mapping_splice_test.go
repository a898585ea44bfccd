package cas_test

import (
	"bytes"
	"slices"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"

	"github.com/buildnet/buildnet/node/reapi/limits"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/chunks"
	"github.com/buildnet/buildnet/store/digest"
)

// REAPI v2.12, SpliceBlob; v2.13, RegisterChunkMapping: the blob is there then, and the
// mapping is what a client gets who has no better function.
func TestDemand9SpliceBlob(t *testing.T) {
	bothVersions(t, func(t *testing.T, m mappings, fn digest.Function) {
		content := random(1, 20_000)
		d := digest.Of(fn, content)
		// Single bytes, each of which stands in many places.
		list := m.cut(fn, content, 1)
		for range 2 {
			if err := m.splice(d, noneOf, list...); err != nil {
				t.Fatal(err)
			}
			if got, err := store.ReadAll(t.Context(), m.blobs, d, 1<<20); err != nil || !bytes.Equal(got, content) {
				t.Fatalf("spliced: %d bytes, %v", len(got), err)
			}
		}
		got, by, err := m.split(d, noneOf)
		if err != nil || by != noneOf || !slices.Equal(got, list) {
			t.Errorf("split: %d chunks by %v, %v", len(got), by, err)
		}
	})
}

// A blob that is there already is what a client of another node has uploaded.
func TestDemand9SpliceBlobOfWhatIsThere(t *testing.T) {
	bothVersions(t, func(t *testing.T, m mappings, fn digest.Function) {
		content := random(1, 20_000)
		d := m.add(fn, content)
		list := m.cut(fn, content, 5000)
		err := m.splice(d, noneOf, list[1], list[0], list[2], list[3])
		wantCode(t, "in another order", err, codes.InvalidArgument)
		if err := m.splice(d, noneOf, list...); err != nil {
			t.Fatal(err)
		}
		if got, _, err := m.split(d, noneOf); err != nil || !slices.Equal(got, list) {
			t.Errorf("split: %d chunks, %v", len(got), err)
		}
	})
}

// The chunking function is what a client says if its chunks are those.
func TestDemand9SpliceBlobBelievesNoFunction(t *testing.T) {
	bothVersions(t, func(t *testing.T, m mappings, fn digest.Function) {
		content := random(1, 2<<20)
		d := digest.Of(fn, content)
		var honest []digest.Digest
		rest := content
		for _, n := range cuts(repMax, content) {
			honest = append(honest, m.add(fn, rest[:n]))
			rest = rest[n:]
		}
		lie := m.cut(fn, content, 500_000)
		for _, list := range [][]digest.Digest{honest, lie} {
			if err := m.splice(d, repMax, list...); err != nil {
				t.Fatal(err)
			}
			m.under.Drop(digest.Of(digest.BLAKE3, content))
		}
		m.add(fn, content)
		for _, c := range []struct {
			prefers repb.ChunkingFunction_Value
			want    []int64
		}{{repMax, sizes(honest)}, {fast, cuts(fast, content)}} {
			if got, by, err := m.split(d, c.prefers); err != nil || by != c.prefers || !slices.Equal(sizes(got), c.want) {
				t.Errorf("split: %v by %v, %v", sizes(got), by, err)
			}
		}
	})
}

// Clients learn by a blob of nothing what is served.
func TestDemand9SpliceBlobOfNothing(t *testing.T) {
	bothVersions(t, func(t *testing.T, m mappings, fn digest.Function) {
		empty := digest.Of(fn, nil)
		for _, list := range [][]digest.Digest{{}, {empty}} {
			if err := m.splice(empty, fast, list...); err != nil {
				t.Errorf("%d chunks: %v", len(list), err)
			}
		}
		content := []byte("content")
		d := digest.Of(fn, content)
		if err := m.splice(d, noneOf, empty, m.add(fn, content[:3]), empty, m.add(fn, content[3:])); err != nil || !m.has(d) {
			t.Errorf("with empty chunks: %v", err)
		}
	})
}

func TestDemand9SpliceBlobRefuses(t *testing.T) {
	bothVersions(t, func(t *testing.T, m mappings, fn digest.Function) {
		content := random(1, 20_000)
		list := m.cut(fn, content, 5000)
		d := digest.Of(fn, content)
		gone := digest.Of(fn, random(2, 5000))
		hash := digest.Of(fn, []byte("of something")).Hash()
		sized := func(n int64) digest.Digest {
			d, err := digest.New(fn, hash[:], n)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		for what, c := range map[string]struct {
			blob digest.Digest
			list []digest.Digest
			want codes.Code
		}{
			"a chunk that nobody has":      {d, []digest.Digest{list[0], list[1], list[2], gone}, codes.NotFound},
			"another order":                {d, []digest.Digest{list[1], list[0], list[2], list[3]}, codes.InvalidArgument},
			"one chunk for another":        {d, []digest.Digest{list[0], list[0], list[2], list[3]}, codes.InvalidArgument},
			"too few":                      {d, list[:3], codes.InvalidArgument},
			"none":                         {d, nil, codes.InvalidArgument},
			"too many":                     {d, append(slices.Clone(list), list[0]), codes.InvalidArgument},
			"a chunk of nothing, no blob":  {d, append(slices.Clone(list), sized(0)), codes.InvalidArgument},
			"chunks larger than the blob":  {d, []digest.Digest{sized(1 << 62), sized(1 << 62), sized(1 << 62), sized(1 << 62)}, codes.InvalidArgument},
			"a chunk that is the blob":     {d, []digest.Digest{d}, codes.NotFound},
			"a blob larger than allowed":   {sized(limits.MaxBlobBytes + 1), list, codes.InvalidArgument},
			"more chunks than are allowed": {sized(chunks.Max + 1), slices.Repeat([]digest.Digest{m.add(fn, []byte("x"))}, min(chunks.Max+1, most(m.unary))), codes.InvalidArgument},
		} {
			wantCode(t, what, m.splice(c.blob, noneOf, c.list...), c.want)
			if m.has(c.blob) {
				t.Errorf("%s: it is there", what)
			}
		}
		if _, err := m.cas.SpliceBlob(t.Context(), &repb.SpliceBlobRequest{ChunkDigests: messages(list)}); err == nil {
			t.Error("no blob: OK")
		}
		// What is right is taken all the same.
		if err := m.splice(d, noneOf, list...); err != nil {
			t.Error(err)
		}
	})
}
