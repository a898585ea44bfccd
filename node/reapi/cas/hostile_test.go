package cas_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	bspb "google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/node/reapi/cas"
	"github.com/buildnet/buildnet/node/reapi/limits"
	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/store/digest"
)

// sized returns the digest of something that is said to be so large.
func sized(t testing.TB, i int, size int64) digest.Digest {
	t.Helper()
	hash := digest.Of(digest.SHA256, fmt.Append(nil, i)).Hash()
	d, err := digest.New(digest.SHA256, hash[:], size)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestHostileBlobsOfHundredGiBAreRefused(t *testing.T) {
	w := serve(t, cas.Options{})
	d := sized(t, 0, 100<<30)
	for _, name := range []string{uploadName(d), zstdUploadName(d)} {
		_, err := w.write(name, []byte("x"), bazelPiece)
		wantCode(t, "write", err, codes.InvalidArgument)
		_, err = w.stream.QueryWriteStatus(t.Context(), &bspb.QueryWriteStatusRequest{ResourceName: name})
		wantCode(t, "query", err, codes.InvalidArgument)
	}
	_, err := w.read(&bspb.ReadRequest{ResourceName: blobName(d)})
	wantCode(t, "read", err, codes.NotFound)
	_, err = w.cas.BatchReadBlobs(t.Context(), &repb.BatchReadBlobsRequest{Digests: messages([]digest.Digest{d, d, d})})
	wantCode(t, "batch read", err, codes.InvalidArgument)
	_, _, err = w.tree(&repb.GetTreeRequest{RootDigest: names.Message(d)})
	wantCode(t, "tree", err, codes.ResourceExhausted)
	if got := w.missing(digest.SHA256, d); len(got) != 1 {
		t.Error("it is not missing")
	}
}

// uploadMemory is what docs/reapi.md says that unfinished uploads take at most.
const uploadMemory = 256 << 20

// hostileServer, in the environment, makes a process of this test the client: what
// a client keeps is not the server's memory.
const hostileServer = "BUILDNET_TEST_HOSTILE_SERVER"

// hostile begins 1,000 uploads of 16 GiB at addr, sends 100 KiB of each, closes
// some, and says so. It keeps the others until its input ends.
func hostile(addr string) error {
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	client := bspb.NewByteStreamClient(conn)
	for i := range 1000 {
		hash := digest.Of(digest.SHA256, fmt.Append(nil, i)).Hash()
		d, err := digest.New(digest.SHA256, hash[:], limits.MaxBlobBytes)
		if err != nil {
			return err
		}
		stream, err := client.Write(context.Background())
		if err != nil {
			return err
		}
		for at := int64(0); at < 100<<10; at += 10 << 10 {
			if err := stream.Send(&bspb.WriteRequest{ResourceName: uploadName(d), WriteOffset: at, Data: make([]byte, 10<<10)}); err != nil {
				return err
			}
		}
		for at := int64(0); at < 100<<10; {
			a, err := client.QueryWriteStatus(context.Background(), &bspb.QueryWriteStatusRequest{ResourceName: uploadName(d)})
			if err != nil {
				return err
			}
			at = a.CommittedSize
		}
		if i >= 800 {
			if _, err := stream.CloseAndRecv(); err != nil {
				return err
			}
		}
	}
	fmt.Println("sent")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// On a store on disk, as that of a node is.
func TestHostileUploadsThatAreNeverFinishedStayWithinTheirMemory(t *testing.T) {
	w := onDisk(t)
	before := heap()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), hostileServer+"="+w.server.Addr())
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "sent\n" {
		t.Fatalf("the client says %q, %v", line, err)
	}
	grown := heap() - before
	t.Logf("the heap has grown by %d MiB", grown>>20)
	if grown > uploadMemory {
		t.Errorf("that is more than %d MiB", uploadMemory>>20)
	}
	honest := random(2, 100_000)
	if got, err := w.write(uploadName(digest.Of(digest.SHA256, honest)), honest, bazelPiece); err != nil || got != 100_000 {
		t.Errorf("another client: %d, %v", got, err)
	}
	in.Close()
	if err := child.Wait(); err != nil {
		t.Errorf("the client: %v", err)
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestHostileDirectoryOfAMillionEntriesIsRefused(t *testing.T) {
	w := serve(t, cas.Options{})
	dir := &repb.Directory{}
	empty := names.Message(digest.Of(digest.SHA256, nil))
	for i := range 1_000_000 {
		dir.Directories = append(dir.Directories, &repb.DirectoryNode{Name: fmt.Sprint(i), Digest: empty})
	}
	raw, err := proto.Marshal(dir)
	if err != nil {
		t.Fatal(err)
	}
	d := sized(t, 0, int64(len(raw)))
	_, _, err = w.tree(&repb.GetTreeRequest{RootDigest: names.Message(d)})
	wantCode(t, fmt.Sprintf("a Directory of %d MiB", len(raw)>>20), err, codes.ResourceExhausted)
}

func TestDemand4HostileNumberOfDigestsIsRefused(t *testing.T) {
	w := serve(t, cas.Options{})
	ms := make([]*repb.Digest, 55_000)
	for i := range ms {
		ms[i] = names.Message(digest.Of(digest.SHA256, nil))
	}
	_, err := w.cas.FindMissingBlobs(t.Context(), &repb.FindMissingBlobsRequest{BlobDigests: ms})
	wantCode(t, "55,000", err, codes.InvalidArgument)
	ms = append(ms, ms...)
	_, err = w.cas.FindMissingBlobs(t.Context(), &repb.FindMissingBlobsRequest{BlobDigests: ms})
	wantCode(t, "more than a message", err, codes.ResourceExhausted)
}
