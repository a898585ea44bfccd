package cas

import (
	"context"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/node/reapi/room"
	"github.com/buildnet/buildnet/store/chunks"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/memory"
)

// giver counts what it gives.
type giver struct{ now, most int64 }

func (g *giver) Take(_ context.Context, bytes int64) (func(), error) {
	g.now += bytes
	g.most = max(g.most, g.now)
	return func() { g.now -= bytes }, nil
}

// A client's chunks, and what is looked at of a blob, take memory that calls share.
func TestDemand10ChunksTakeMemoryThatCallsShare(t *testing.T) {
	g := &giver{}
	ctx := room.With(t.Context(), g)
	m := &mapping{}
	for range 3 * takenChunks {
		if err := m.take(ctx, 1); err != nil {
			t.Fatal(err)
		}
		m.list = append(m.list, digest.Digest{})
	}
	if err := m.take(ctx, 0); err != nil || g.now != 3*takenChunks*digestBytes {
		t.Errorf("%d bytes for %d chunks, %v", g.now, len(m.list), err)
	}
	if m.drop(); g.now != 0 {
		t.Errorf("%d bytes are held", g.now)
	}
	s := New(memory.New(1<<20), Options{})
	if _, err := s.SpliceBlob(ctx, &repb.SpliceBlobRequest{BlobDigest: names.Message(digest.Of(digest.SHA256, nil))}); err != nil {
		t.Fatal(err)
	}
	if g.now != 0 || g.most < cutBytes {
		t.Errorf("a splice took %d bytes, %d are held", g.most, g.now)
	}
}

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
