package cas

import (
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/store/chunks"
	"github.com/buildnet/buildnet/store/digest"
)

// FuzzMapping has a client's bytes for a mapping: what is taken are chunks that come to
// the size of the blob, none of them empty.
func FuzzMapping(f *testing.F) {
	for _, fn := range []digest.Function{digest.SHA256, digest.BLAKE3} {
		q, err := proto.Marshal(&repb.SpliceBlobRequest{
			BlobDigest: names.Message(digest.Of(fn, []byte("ab"))), DigestFunction: names.Value(fn),
			ChunkDigests: []*repb.Digest{names.Message(digest.Of(fn, []byte("a"))), names.Message(digest.Of(fn, nil)), names.Message(digest.Of(fn, []byte("b")))},
		})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var q repb.SpliceBlobRequest
		if proto.Unmarshal(b, &q) != nil {
			return
		}
		m, err := newMapping(q.DigestFunction, q.BlobDigest, q.ChunkingFunction)
		if err != nil || m.add(q.ChunkDigests) != nil || m.check() != nil {
			return
		}
		sum := int64(0)
		for _, d := range m.list {
			if d.Size() < 1 || d.Function() != m.blob.Function() {
				t.Fatalf("chunk %v of %v", d, m.blob)
			}
			sum += d.Size()
		}
		if sum != q.BlobDigest.SizeBytes || len(m.list) > chunks.Max || len(m.list) > len(q.ChunkDigests) {
			t.Fatalf("%d chunks of %d bytes for %v", len(m.list), sum, m.blob)
		}
	})
}
