//go:build lab && linux

package reapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	bspb "google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/simulations/lab"
	"github.com/buildnet/buildnet/store/digest"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

// client calls a server as Bazel does: SHA-256, no instance name.
type client struct {
	Server
	tb   testing.TB
	exec repb.ExecutionClient
	ac   repb.ActionCacheClient
	cas  repb.ContentAddressableStorageClient
	bs   bspb.ByteStreamClient
}

func newClient(tb testing.TB, s Server) *client {
	tb.Helper()
	conn := s.Connect(tb)
	return &client{
		s, tb, repb.NewExecutionClient(conn), repb.NewActionCacheClient(conn),
		repb.NewContentAddressableStorageClient(conn), bspb.NewByteStreamClient(conn),
	}
}

// in is the context of an invocation.
func (c *client) in(id string) context.Context {
	said, err := proto.Marshal(&repb.RequestMetadata{
		ToolDetails: &repb.ToolDetails{ToolName: "bench"}, ToolInvocationId: id, ActionMnemonic: "True", TargetId: "//:true",
	})
	if err != nil {
		c.tb.Fatal(err)
	}
	return metadata.AppendToOutgoingContext(c.tb.Context(), "build.bazel.remote.execution.v2.requestmetadata-bin", string(said))
}

// batch is how many blobs are uploaded in a call that no clock watches.
const batch = 1000

// upload brings blobs to the server.
func (c *client) upload(ctx context.Context, blobs [][]byte) error {
	for some := range slices.Chunk(blobs, batch) {
		r := &repb.BatchUpdateBlobsRequest{}
		for _, b := range some {
			r.Requests = append(r.Requests, &repb.BatchUpdateBlobsRequest_Request{Digest: digestOf(b), Data: b})
		}
		answer, err := c.cas.BatchUpdateBlobs(ctx, r)
		if err != nil {
			return fmt.Errorf("upload: %w", err)
		}
		for _, one := range answer.GetResponses() {
			if codes.Code(one.GetStatus().GetCode()) != codes.OK {
				return fmt.Errorf("upload: %w", status.FromProto(one.GetStatus()).Err())
			}
		}
	}
	return nil
}

func digestOf(b []byte) *repb.Digest { return names.Message(digest.Of(digest.SHA256, b)) }

// actions uploads actions that do nothing, and differ in an argument.
func (c *client) actions(ctx context.Context, salt string, count int) (ds []*repb.Digest, err error) {
	var root repb.Directory
	blobs := [][]byte{encoded(c.tb, &root)}
	for i := range count {
		command := encoded(c.tb, &repb.Command{Arguments: []string{"/bin/true", salt, strconv.Itoa(i)}})
		action := encoded(c.tb, &repb.Action{CommandDigest: digestOf(command), InputRootDigest: digestOf(blobs[0])})
		blobs, ds = append(blobs, command, action), append(ds, digestOf(action))
	}
	return ds, c.upload(ctx, blobs)
}

func encoded(tb testing.TB, m proto.Message) []byte {
	tb.Helper()
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		tb.Fatal(err)
	}
	return content
}

// write uploads a blob by ByteStream, in one message as Bazel does up to 16 KiB.
func (c *client) write(ctx context.Context, upload string, content []byte) error {
	stream, err := c.bs.Write(ctx)
	if err != nil {
		return err
	}
	name := names.Upload{Blob: names.Blob{Digest: digest.Of(digest.SHA256, content)}, UUID: upload}
	err = stream.Send(&bspb.WriteRequest{ResourceName: name.String(), Data: content, FinishWrite: true})
	if err != nil && !errors.Is(err, io.EOF) { // which means that the answer is there
		return err
	}
	answer, err := stream.CloseAndRecv()
	if err == nil && answer.GetCommittedSize() != int64(len(content)) {
		err = fmt.Errorf("%d of %d bytes were committed", answer.GetCommittedSize(), len(content))
	}
	return err
}

// read downloads a blob by ByteStream.
func (c *client) read(ctx context.Context, d digest.Digest) error {
	stream, err := c.bs.Read(ctx, &bspb.ReadRequest{ResourceName: names.Blob{Digest: d}.String()})
	if err != nil {
		return err
	}
	got := int64(0)
	for {
		piece, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		got += int64(len(piece.GetData()))
	}
	if got != d.Size() {
		return fmt.Errorf("%d of %d bytes came", got, d.Size())
	}
	return nil
}

// pump calls f for 0, 1 and so on, so many at once, until it has called it count times
// or the time is over, and returns how often it did.
func pump(tb testing.TB, at, count int, length time.Duration, f func(i int) error) (calls int) {
	tb.Helper()
	var next, done atomic.Int64
	var working sync.WaitGroup
	end := time.Now().Add(length)
	for range at {
		working.Go(func() {
			for i := next.Add(1) - 1; i < int64(count) && time.Now().Before(end); i = next.Add(1) - 1 {
				if err := f(int(i)); err != nil {
					tb.Errorf("call %d: %v", i, err)
					return
				}
				done.Add(1)
			}
		})
	}
	working.Wait()
	return int(done.Load())
}

// number is a positive number of the environment.
func number(tb testing.TB, name string, without float64) float64 {
	tb.Helper()
	text := os.Getenv(name)
	if text == "" {
		return without
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n <= 0 {
		tb.Fatalf("%s=%q is no positive number", name, text)
	}
	return n
}

// machine tells what the machine was busy with while it was measured.
func machine(tb testing.TB) string {
	tb.Helper()
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		tb.Fatal(err)
	}
	minute, _, _ := strings.Cut(string(text), " ")
	return minute
}
