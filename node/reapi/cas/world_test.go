package cas_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"
	bspb "google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/buildnet/buildnet/node/reapi"
	"github.com/buildnet/buildnet/node/reapi/cas"
	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/alias"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/memory"
)

func TestMain(m *testing.M) {
	addr := os.Getenv(hostileServer)
	if addr == "" {
		goleak.VerifyTestMain(m)
		return
	}
	if err := hostile(addr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const room = 64 << 20

// world is a server on a store that speaks both hash functions.
type world struct {
	t      testing.TB
	under  *memory.Store
	blobs  *alias.Blobs
	cas    repb.ContentAddressableStorageClient
	stream bspb.ByteStreamClient
	server *reapi.Server
}

func serve(t testing.TB, o cas.Options) *world {
	t.Helper()
	under := memory.New(room)
	return serveOn(t, under, o)
}

func serveOn(t testing.TB, under *memory.Store, o cas.Options) *world {
	t.Helper()
	w := &world{t: t, under: under, blobs: alias.New(under, &memory.KV{})}
	w.connect(o)
	return w
}

// connect serves w's blobs and calls.
func (w *world) connect(o cas.Options) {
	w.t.Helper()
	w.server = run(w.t, w.blobs, o)
	w.connectAgain()
}

// connectAgain makes w another client of its server.
func (w *world) connectAgain() {
	w.t.Helper()
	conn := w.dial()
	w.cas, w.stream = repb.NewContentAddressableStorageClient(conn), bspb.NewByteStreamClient(conn)
}

func run(t testing.TB, blobs store.Blobs, o cas.Options) *reapi.Server {
	t.Helper()
	server, err := reapi.Listen(t.Context(), reapi.Options{Listen: "127.0.0.1:0", Services: []reapi.Service{cas.New(blobs, o)}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return server
}

func (w *world) dial() *grpc.ClientConn {
	w.t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+w.server.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	return conn
}

// has says whether the store has the blob.
func (w *world) has(d digest.Digest) bool {
	w.t.Helper()
	here, err := w.blobs.Has(context.Background(), []digest.Digest{d})
	if err != nil {
		w.t.Fatal(err)
	}
	return here[0]
}

func (w *world) add(fn digest.Function, content []byte) digest.Digest {
	w.t.Helper()
	d := digest.Of(fn, content)
	if err := w.blobs.Put(context.Background(), d, bytes.NewReader(content)); err != nil {
		w.t.Fatal(err)
	}
	return d
}

// both are the hash functions of clients.
var both = []digest.Function{digest.SHA256, digest.BLAKE3}

// random returns bytes that do not compress, the same for the same seed.
func random(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

const uuid = "7c8d2f2e-3b0f-4b44-9a8c-0c7cf9f6e2d1"

func uploadName(d digest.Digest) string {
	return names.Upload{UUID: uuid, Blob: names.Blob{Instance: "a/b", Digest: d}}.String()
}

func zstdUploadName(d digest.Digest) string {
	return names.Upload{UUID: uuid, Blob: names.Blob{Digest: d, Compressor: repb.Compressor_ZSTD}}.String()
}

func blobName(d digest.Digest) string { return names.Blob{Digest: d}.String() }

func zstdBlobName(d digest.Digest) string {
	return names.Blob{Digest: d, Compressor: repb.Compressor_ZSTD}.String()
}

// write sends content in pieces as Bazel does: the name in the first request
// alone. It returns committed_size.
func (w *world) write(name string, content []byte, piece int) (int64, error) {
	stream, err := w.stream.Write(context.Background())
	if err != nil {
		return 0, err
	}
	for at := 0; ; at += piece {
		end := min(len(content), at+piece)
		err := stream.Send(&bspb.WriteRequest{ResourceName: name, WriteOffset: int64(at), Data: content[at:end], FinishWrite: end == len(content)})
		name = ""
		if errors.Is(err, io.EOF) || end == len(content) {
			break // it may have been answered early
		}
		if err != nil {
			return 0, err
		}
	}
	answer, err := stream.CloseAndRecv()
	return answer.GetCommittedSize(), err
}

func (w *world) read(q *bspb.ReadRequest) ([]byte, error) {
	stream, err := w.stream.Read(context.Background(), q)
	if err != nil {
		return nil, err
	}
	var got []byte
	for {
		r, err := stream.Recv()
		if err == io.EOF {
			return got, nil
		}
		if err != nil {
			return nil, err
		}
		got = append(got, r.Data...)
	}
}

func (w *world) missing(fn digest.Function, ds ...digest.Digest) []*repb.Digest {
	w.t.Helper()
	q := &repb.FindMissingBlobsRequest{BlobDigests: messages(ds), DigestFunction: value(fn)}
	a, err := w.cas.FindMissingBlobs(context.Background(), q)
	if err != nil {
		w.t.Fatal(err)
	}
	return a.MissingBlobDigests
}

// value is what clients say of fn: nothing, of the function of old.
func value(fn digest.Function) repb.DigestFunction_Value {
	if fn == digest.BLAKE3 {
		return repb.DigestFunction_BLAKE3
	}
	return repb.DigestFunction_UNKNOWN
}

func messages(ds []digest.Digest) []*repb.Digest {
	ms := make([]*repb.Digest, len(ds))
	for i, d := range ds {
		ms[i] = names.Message(d)
	}
	return ms
}

func wantCode(t testing.TB, what string, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func pack(t testing.TB, content []byte) []byte {
	t.Helper()
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	return e.EncodeAll(content, nil)
}

func unpack(t testing.TB, content []byte) []byte {
	t.Helper()
	d, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	plain, err := d.DecodeAll(content, nil)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// elsewhere is a mesh in which one other member has blobs.
type elsewhere struct {
	to    store.Blobs
	blobs *memory.Store

	mu      sync.Mutex
	fetched int
}

func (e *elsewhere) Known(ctx context.Context, ds []digest.Digest) ([]bool, error) {
	return e.blobs.Has(ctx, ds)
}

func (e *elsewhere) Fetch(ctx context.Context, ds []digest.Digest) error {
	var errs []error
	for _, d := range ds {
		r, err := e.blobs.Open(ctx, d)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		e.mu.Lock()
		e.fetched++
		e.mu.Unlock()
		errs = append(errs, e.to.Put(ctx, d, r))
	}
	return errors.Join(errs...)
}
