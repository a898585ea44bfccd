package cas_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	bspb "google.golang.org/genproto/googleapis/bytestream"

	"github.com/buildnet/buildnet/node/reapi/cas"
	"github.com/buildnet/buildnet/node/reapi/remake"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/alias"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/disk"
	"github.com/buildnet/buildnet/store/makers"
)

// small is the size of the blobs in bytes: what most of a build's are about.
const small = 1 << 10

// BenchmarkSmallBlobs shows what gRPC adds to the store: blobs of 1 KiB, by
// their SHA-256 names, on a store on disk.
func BenchmarkSmallBlobs(b *testing.B) {
	for _, at := range []int{1, 16} {
		b.Run(fmt.Sprintf("put/%d", at), func(b *testing.B) {
			w := onDisk(b)
			each(b, at, func(i uint64) error {
				content := numbered(i)
				return w.blobs.Put(b.Context(), digest.Of(digest.SHA256, content), bytes.NewReader(content))
			})
		})
		b.Run(fmt.Sprintf("write/%d", at), func(b *testing.B) {
			w := onDisk(b)
			each(b, at, func(i uint64) error {
				content := numbered(i)
				_, err := w.write(uploadName(digest.Of(digest.SHA256, content)), content, bazelPiece)
				return err
			})
		})
		b.Run(fmt.Sprintf("get/%d", at), func(b *testing.B) {
			w := onDisk(b)
			names := w.fill()
			each(b, at, func(i uint64) error {
				_, err := store.ReadAll(b.Context(), w.blobs, names[i%uint64(len(names))], small)
				return err
			})
		})
		b.Run(fmt.Sprintf("read/%d", at), func(b *testing.B) {
			w := onDisk(b)
			names := w.fill()
			each(b, at, func(i uint64) error {
				_, err := w.read(&bspb.ReadRequest{ResourceName: blobName(names[i%uint64(len(names))])})
				return err
			})
		})
	}
}

func onDisk(b testing.TB) *world {
	b.Helper()
	s, err := disk.Open(b.TempDir(), disk.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	w := &world{t: b, blobs: alias.New(s, s.CacheKV("alias"))}
	w.connect(cas.Options{})
	return w
}

// numbered returns content that no other number has.
func numbered(i uint64) []byte {
	content := make([]byte, small)
	binary.BigEndian.PutUint64(content, i)
	return content
}

// fill adds blobs to be read.
func (w *world) fill() []digest.Digest {
	ds := make([]digest.Digest, 1000)
	for i := range ds {
		ds[i] = w.add(digest.SHA256, numbered(uint64(i)))
	}
	return ds
}

// each calls f for each number, at so many at once.
func each(b *testing.B, at int, f func(uint64) error) {
	b.Helper()
	b.SetBytes(small)
	b.ResetTimer()
	var next atomic.Uint64
	var working sync.WaitGroup
	for range at {
		working.Go(func() {
			for i := next.Add(1); i <= uint64(b.N); i = next.Add(1) {
				if err := f(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	working.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "blobs/s")
}

// BenchmarkFindMissing asks for 100 digests of which every other is there, as a node
// does: what is there is kept, and of what is not it is looked up who made it.
func BenchmarkFindMissing(b *testing.B) {
	s, err := disk.Open(b.TempDir(), disk.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	w := &world{t: b, blobs: alias.New(s, s.CacheKV("alias"))}
	made := makers.New(s.CacheKV("makers"))
	keeper := w.blobs.Keeper(s)
	again := remake.New(remake.Options{Makers: made.Of, Has: w.blobs.Has})
	service := cas.New(w.blobs, cas.Options{
		Keep: func(ds []digest.Digest) {
			if _, err := keeper.Keep(b.Context(), time.Now().Add(time.Hour), ds); err != nil {
				b.Error(err)
			}
		},
		Remake: again.Remake,
	})
	var ds []digest.Digest
	for i, d := range w.fill()[:50] {
		ds = append(ds, d, digest.Of(digest.SHA256, numbered(uint64(1e6+i))))
	}
	asked := messages(ds)
	b.ReportAllocs()
	for b.Loop() {
		a, err := service.FindMissingBlobs(b.Context(), &repb.FindMissingBlobsRequest{BlobDigests: asked})
		if err != nil || len(a.MissingBlobDigests) != 50 {
			b.Fatal(a, err)
		}
	}
}
