// Package hostile is a client of the Remote Execution API that means harm: it begins
// much and ends nothing, says what is not true, reads nothing. Its test has it at a
// node in a process of its own, whose memory the kernel tells. Start reading at
// Attack.Run.
package hostile

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"golang.org/x/net/http2"
	bspb "google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/store/digest"
)

const (
	// maxMessage is what the server takes of one message, in bytes; most is what is
	// sent of it by who never ends one.
	maxMessage = 4<<20 + 512<<10
	most       = maxMessage - 100<<10
	// windowTime is how long a round of compressed uploads is held.
	windowTime = 10 * time.Second
)

// Attack says where the server is, and how much of each harm there is: a test's whole
// is 1, a quick one's less.
type Attack struct {
	Addr  string
	Scale float64
}

func (a Attack) of(n int) int { return max(int(float64(n)*a.Scale), 1) }

// Run does all at once, until ctx ends. begun is called with the name of each harm when
// the first round of it is under way.
func (a Attack) Run(ctx context.Context, begun func(harm string)) {
	var all sync.WaitGroup
	for name, harm := range map[string]func(context.Context){
		"halves": a.halves, "idle": a.idle, "huge": a.huge, "unread": a.unread, "silent": a.silent,
		"lies": a.lies, "directories": a.directories, "dense": a.dense, "windows": a.windows,
	} {
		all.Go(func() {
			harm(ctx)
			if ctx.Err() == nil {
				begun(name)
			}
			for repeats := name == "lies" || name == "directories" || name == "dense" || name == "windows"; repeats && ctx.Err() == nil; {
				harm(ctx)
			}
			<-ctx.Done()
		})
	}
	all.Wait()
}

func (a Attack) dial(options ...grpc.DialOption) *grpc.ClientConn {
	conn, err := grpc.NewClient("passthrough:///"+a.Addr, append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		panic(err) // the options are ours
	}
	return conn
}

// bare opens a call that sends body and never ends.
func (a Attack) bare(ctx context.Context, on http.RoundTripper, method string, body io.Reader) {
	r, send := io.Pipe()
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+a.Addr+method, r)
	if err != nil {
		panic(err) // the address is a server's
	}
	q.Header.Set("Content-Type", "application/grpc")
	q.Header.Set("Te", "trailers")
	go func() { _, _ = io.Copy(send, body) }()
	go func() {
		if answer, err := on.RoundTrip(q); err == nil {
			_, _ = io.Copy(io.Discard, answer.Body)
			_ = answer.Body.Close()
		}
		_ = r.CloseWithError(io.ErrClosedPipe)
	}()
}

func transport() http.RoundTripper {
	return &http2.Transport{ //nolint:staticcheck // net/http opens another connection where a server allows no more calls
		AllowHTTP: true, StrictMaxConcurrentStreams: true,
		DialTLSContext: func(ctx context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	}
}

// halves are thousands of messages of which almost all comes, and never the end.
func (a Attack) halves(ctx context.Context) {
	message := append(binary.BigEndian.AppendUint32([]byte{0}, maxMessage), make([]byte, most)...)
	for range a.of(30) {
		on := transport()
		for range a.of(100) {
			a.bare(ctx, on, "/google.bytestream.ByteStream/Write", bytes.NewReader(message))
		}
	}
}

// idle are thousands of calls in which nothing is said.
func (a Attack) idle(ctx context.Context) {
	for range 4 {
		client := bspb.NewByteStreamClient(a.dial())
		for range a.of(900) {
			_, _ = client.Write(ctx)
		}
	}
}

// huge are uploads of 100 GiB, which are refused, and of 16 GiB, which may be and never
// end.
func (a Attack) huge(ctx context.Context) {
	client := bspb.NewByteStreamClient(a.dial())
	for i := range a.of(600) {
		size := int64(100 << 30)
		if i%2 == 0 {
			size = 16 << 30
		}
		name := fmt.Sprintf("uploads/0b9f2a6c-0000-4000-8000-000000000000/blobs/%064x/%d", i+1, size)
		if stream, err := client.Write(ctx); err == nil {
			_ = stream.Send(&bspb.WriteRequest{ResourceName: name, Data: make([]byte, 100<<10)})
		}
	}
}

// lies are blobs whose bytes are others.
func (a Attack) lies(ctx context.Context) {
	cas := repb.NewContentAddressableStorageClient(a.dial())
	for i := range a.of(50) {
		content := make([]byte, 3<<20)
		d := &repb.Digest{Hash: fmt.Sprintf("%064x", i+1), SizeBytes: int64(len(content))}
		_, _ = cas.BatchUpdateBlobs(ctx, &repb.BatchUpdateBlobsRequest{Requests: []*repb.BatchUpdateBlobsRequest_Request{{Digest: d, Data: content}}})
	}
}

// put uploads a blob.
func put(ctx context.Context, conn *grpc.ClientConn, content []byte) *repb.Digest {
	d := digest.Of(digest.SHA256, content)
	named := &repb.Digest{Hash: d.Hex(), SizeBytes: d.Size()}
	stream, err := bspb.NewByteStreamClient(conn).Write(ctx)
	if err != nil {
		return named
	}
	q := &bspb.WriteRequest{ResourceName: fmt.Sprintf("uploads/0b9f2a6c-0000-4000-8000-000000000000/blobs/%s/%d", d.Hex(), d.Size())}
	for !q.FinishWrite {
		q.Data = content[q.WriteOffset:min(q.WriteOffset+1<<20, int64(len(content)))]
		q.FinishWrite = q.WriteOffset+int64(len(q.Data)) == int64(len(content))
		if stream.Send(q) != nil {
			break
		}
		q.WriteOffset += int64(len(q.Data))
	}
	_, _ = stream.CloseAndRecv()
	return named
}

func encoded(m proto.Message) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(err) // the message is ours
	}
	return b
}

// directories are one of a million entries, and small ones that are large in memory,
// which are uploaded, walked and executed in.
func (a Attack) directories(ctx context.Context) {
	conn := a.dial()
	defer func() { _ = conn.Close() }()
	million := &repb.Directory{}
	empty := put(ctx, conn, nil)
	for i := range a.of(1_000_000) {
		million.Files = append(million.Files, &repb.FileNode{Name: fmt.Sprintf("%07d", i), Digest: empty})
	}
	command := put(ctx, conn, encoded(&repb.Command{Arguments: []string{"true"}}))
	for _, content := range [][]byte{
		encoded(million),
		bytes.Repeat([]byte{1<<3 | 2, 0}, 2<<20),                      // 2,000,000 files without a name
		bytes.Repeat([]byte{3<<3 | 2, 4, 10, 0, 18, 0}, (16<<20)/6-1), // 2,800,000 links
	} {
		root := put(ctx, conn, content)
		var calls sync.WaitGroup
		for range a.of(100) {
			calls.Go(func() { walk(ctx, conn, root) })
		}
		calls.Wait()
		action := put(ctx, conn, encoded(&repb.Action{CommandDigest: command, InputRootDigest: root}))
		for range a.of(30) {
			calls.Go(func() { execute(ctx, conn, action) })
		}
		calls.Wait()
	}
}

func walk(ctx context.Context, conn *grpc.ClientConn, root *repb.Digest) {
	if stream, err := repb.NewContentAddressableStorageClient(conn).GetTree(ctx, &repb.GetTreeRequest{RootDigest: root}); err == nil {
		for err == nil {
			_, err = stream.Recv()
		}
	}
}

func execute(ctx context.Context, conn *grpc.ClientConn, action *repb.Digest) {
	if stream, err := repb.NewExecutionClient(conn).Execute(ctx, &repb.ExecuteRequest{ActionDigest: action, SkipCacheLookup: true}); err == nil {
		for err == nil {
			_, err = stream.Recv()
		}
	}
}

// dense are messages that are fifty times as large in memory as on their way.
func (a Attack) dense(ctx context.Context) {
	on := transport()
	defer (&http.Client{Transport: on}).CloseIdleConnections()
	body := bytes.Repeat([]byte{2<<3 | 2, 0}, most/2)
	message := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))), body...)
	var calls sync.WaitGroup
	for range a.of(50) {
		calls.Go(func() {
			q, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+a.Addr+"/build.bazel.remote.execution.v2.ContentAddressableStorage/FindMissingBlobs", bytes.NewReader(message))
			if err != nil {
				panic(err) // the address is a server's
			}
			q.Header.Set("Content-Type", "application/grpc")
			q.Header.Set("Te", "trailers")
			if answer, err := on.RoundTrip(q); err == nil {
				_, _ = io.Copy(io.Discard, answer.Body)
				_ = answer.Body.Close()
			}
		})
	}
	calls.Wait()
}

// windows are compressed uploads that want a window of 8 MiB each.
func (a Attack) windows(ctx context.Context) {
	conn := a.dial()
	defer func() { _ = conn.Close() }()
	client := bspb.NewByteStreamClient(conn)
	// RFC 8878, section 3.1.1: a frame with a window of 8 MiB, and the beginning of a
	// block of 128 KiB as it is.
	head := append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 13 << 3, 0x00, 0x00, 0x10}, make([]byte, 100<<10)...)
	for i := range a.of(200) {
		if stream, err := client.Write(ctx); err == nil {
			_ = stream.Send(&bspb.WriteRequest{
				ResourceName: fmt.Sprintf("uploads/0b9f2a6c-0000-4000-8000-000000000001/compressed-blobs/zstd/%064x/%d", i+1, int64(16<<30)), Data: head,
			})
		}
	}
	call, cancel := context.WithTimeout(ctx, windowTime)
	defer cancel()
	<-call.Done()
}

// unread are answers of megabytes of which nothing is read.
func (a Attack) unread(ctx context.Context) {
	conn := a.dial()
	blob := make([]byte, 4<<20-1000)
	d := put(ctx, conn, blob)
	large := put(ctx, conn, make([]byte, 64<<20))
	for range a.of(10) {
		conn := a.dial(grpc.WithInitialWindowSize(64<<10), grpc.WithInitialConnWindowSize(64<<10))
		for i := range a.of(100) {
			stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, repb.ContentAddressableStorage_BatchReadBlobs_FullMethodName)
			if err == nil && stream.SendMsg(&repb.BatchReadBlobsRequest{Digests: []*repb.Digest{d}}) == nil {
				_ = stream.CloseSend()
			}
			kind := []string{"blobs", "compressed-blobs/zstd"}[i%2]
			_, _ = bspb.NewByteStreamClient(conn).Read(ctx, &bspb.ReadRequest{ResourceName: fmt.Sprintf("%s/%s/%d", kind, large.Hash, large.SizeBytes)})
		}
	}
}

// silent are connections of which nothing comes but what HTTP/2 demands.
func (a Attack) silent(ctx context.Context) {
	for range a.of(5000) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", a.Addr)
		if err != nil {
			continue
		}
		context.AfterFunc(ctx, func() { _ = conn.Close() })
		_, _ = io.WriteString(conn, http2.ClientPreface)
		_ = http2.NewFramer(conn, nil).WriteSettings()
	}
}
