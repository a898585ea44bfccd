package execute_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"testing"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/buildnet/buildnet/node/nodetest"
	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/store/digest"
)

// client speaks to a node as Bazel does.
type client struct {
	testing.TB
	fn   digest.Function
	exec repb.ExecutionClient
	ops  longrunningpb.OperationsClient
	ac   repb.ActionCacheClient
	cas  repb.ContentAddressableStorageClient
}

func connect(t testing.TB, n *nodetest.Node) *client {
	t.Helper()
	conn, err := grpc.NewClient(n.REAPI(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &client{
		t, digest.SHA256, repb.NewExecutionClient(conn), longrunningpb.NewOperationsClient(conn),
		repb.NewActionCacheClient(conn), repb.NewContentAddressableStorageClient(conn),
	}
}

func (c *client) function() repb.DigestFunction_Value { return names.Value(c.fn) }

// in is the context of an invocation.
func (c *client) in(id string) context.Context {
	said, err := proto.Marshal(&repb.RequestMetadata{
		ToolDetails: &repb.ToolDetails{ToolName: "bazel", ToolVersion: "4.2.3"}, ToolInvocationId: id, ActionMnemonic: "Genrule", TargetId: "//:x",
	})
	if err != nil {
		c.Fatal(err)
	}
	return metadata.AppendToOutgoingContext(c.Context(), "build.bazel.remote.execution.v2.requestmetadata-bin", string(said))
}

// put uploads bytes.
func (c *client) put(content []byte) *repb.Digest {
	c.Helper()
	d := names.Message(digest.Of(c.fn, content))
	r, err := c.cas.BatchUpdateBlobs(c.Context(), &repb.BatchUpdateBlobsRequest{
		DigestFunction: c.function(), Requests: []*repb.BatchUpdateBlobsRequest_Request{{Digest: d, Data: content}},
	})
	if err != nil || r.GetResponses()[0].GetStatus().GetCode() != 0 {
		c.Fatalf("upload: %v, %v", r, err)
	}
	return d
}

func (c *client) putMessage(m proto.Message) *repb.Digest {
	c.Helper()
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		c.Fatal(err)
	}
	return c.put(content)
}

// read downloads a blob.
func (c *client) read(d *repb.Digest) string {
	c.Helper()
	r, err := c.cas.BatchReadBlobs(c.Context(), &repb.BatchReadBlobsRequest{DigestFunction: c.function(), Digests: []*repb.Digest{d}})
	if err != nil || r.GetResponses()[0].GetStatus().GetCode() != 0 {
		c.Fatalf("read %v: %v, %v", d, r, err)
	}
	return string(r.GetResponses()[0].GetData())
}

// work is an action before it is uploaded.
type work struct {
	command *repb.Command
	action  *repb.Action
	files   map[string]string
	links   []*repb.SymlinkNode
	omit    bool // of the inputs
}

// shell is a command that makes out of in.
func shell(script string, outputs ...string) *work {
	return &work{
		command: &repb.Command{Arguments: []string{"/bin/sh", "-c", script}, OutputPaths: outputs},
		action:  &repb.Action{Timeout: durationpb.New(60e9)},
		files:   map[string]string{"in": "hello\n"},
	}
}

// upload gives the digest of the action.
func (c *client) upload(w *work) *repb.Digest {
	c.Helper()
	root := &repb.Directory{Symlinks: w.links}
	for _, name := range slices.Sorted(maps.Keys(w.files)) {
		content := w.files[name]
		d := names.Message(digest.Of(c.fn, []byte(content)))
		if !w.omit {
			c.put([]byte(content))
		}
		root.Files = append(root.Files, &repb.FileNode{Name: name, Digest: d})
	}
	w.action.CommandDigest, w.action.InputRootDigest = c.putMessage(w.command), c.putMessage(root)
	return c.putMessage(w.action)
}

// operations are all that an execution says of itself.
func (c *client) execute(ctx context.Context, r *repb.ExecuteRequest) []*longrunningpb.Operation {
	c.Helper()
	r.DigestFunction = c.function()
	stream, err := c.exec.Execute(ctx, r)
	if err != nil {
		c.Fatal(err)
	}
	ops, err := all(stream)
	if err != nil {
		c.Fatalf("execute: %v", err)
	}
	return ops
}

func all(stream interface {
	Recv() (*longrunningpb.Operation, error)
}) (ops []*longrunningpb.Operation, err error) {
	for {
		o, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return ops, nil
		}
		if err != nil {
			return ops, err
		}
		ops = append(ops, o)
	}
}

// run executes an action, and returns what came of it.
func (c *client) run(ctx context.Context, act *repb.Digest) *repb.ExecuteResponse {
	c.Helper()
	return c.response(c.execute(ctx, &repb.ExecuteRequest{ActionDigest: act}))
}

func (c *client) response(ops []*longrunningpb.Operation) *repb.ExecuteResponse {
	c.Helper()
	last := ops[len(ops)-1]
	var r repb.ExecuteResponse
	if !last.GetDone() || last.GetError() != nil || last.GetResponse().UnmarshalTo(&r) != nil {
		c.Fatalf("the operation ends as %v", last)
	}
	return &r
}

func (c *client) ok(r *repb.ExecuteResponse) *repb.ActionResult {
	c.Helper()
	if r.GetStatus().GetCode() != 0 || r.GetResult().GetExitCode() != 0 {
		c.Fatalf("status %v, %s, result %v", r.GetStatus(), r.GetMessage(), r.GetResult())
	}
	return r.GetResult()
}

func (c *client) fails(r *repb.ExecuteResponse, want codes.Code) *status.Status {
	c.Helper()
	got := status.FromProto(r.GetStatus())
	if got.Code() != want {
		c.Fatalf("status %v %q, want %v; result %v", got.Code(), got.Message(), want, r.GetResult())
	}
	return got
}
