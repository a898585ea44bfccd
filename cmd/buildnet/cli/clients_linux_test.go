package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/node"
	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/nodetest"
	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/node/toolchain"
	"github.com/buildnet/buildnet/store/digest"
)

// bazel asks a node as Bazel does.
type bazel struct {
	*testing.T
	conn *grpc.ClientConn
	id   string
}

// in is the context of a request.
func (b *bazel) in(target string) context.Context {
	said, err := proto.Marshal(&repb.RequestMetadata{
		ToolDetails: &repb.ToolDetails{ToolName: "bazel", ToolVersion: "7.4.1"}, ToolInvocationId: b.id, ActionMnemonic: "Genrule", TargetId: target,
	})
	if err != nil {
		b.Fatal(err)
	}
	return metadata.AppendToOutgoingContext(b.Context(), "build.bazel.remote.execution.v2.requestmetadata-bin", string(said))
}

func (b *bazel) put(m proto.Message) *repb.Digest {
	b.Helper()
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		b.Fatal(err)
	}
	d := names.Message(digest.Of(digest.SHA256, content))
	_, err = repb.NewContentAddressableStorageClient(b.conn).BatchUpdateBlobs(b.Context(), &repb.BatchUpdateBlobsRequest{
		Requests: []*repb.BatchUpdateBlobsRequest_Request{{Digest: d, Data: content}},
	})
	if err != nil {
		b.Fatal(err)
	}
	return d
}

// action uploads one that makes an output.
func (b *bazel) action(script string, outputs ...string) *repb.Digest {
	b.Helper()
	return b.put(&repb.Action{
		CommandDigest:   b.put(&repb.Command{Arguments: []string{"/bin/sh", "-c", script}, OutputPaths: outputs}),
		InputRootDigest: b.put(&repb.Directory{}),
	})
}

func (b *bazel) execute(target string, act *repb.Digest) {
	b.Helper()
	stream, err := repb.NewExecutionClient(b.conn).Execute(b.in(target), &repb.ExecuteRequest{ActionDigest: act})
	for err == nil {
		_, err = stream.Recv()
	}
	if err != io.EOF {
		b.Fatal(err)
	}
}

// TestAnInvocationOfAClientInTheCommandLine runs every command that shows builds on what
// a client asked of a node.
func TestAnInvocationOfAClientInTheCommandLine(t *testing.T) {
	bare := toolchain.New(toolchain.Options{System: t.TempDir()}) // nothing to look at
	n := nodetest.StartOn(t, node.Machine{Toolchains: bare}, 2, "")
	conn, err := grpc.NewClient(n.REAPI(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	const first, second = "5a1b4f3e-8c1f-4f0e-9f57-0f5f5c3b6d11", "c7f2a9d0-3f9e-4d57-8a43-6c1b9b1f7e22"
	b := &bazel{t, conn, first}
	made := b.action("echo 1 > out", "out")
	b.execute("//a:out", made)
	b.execute("//a:bad", b.action("echo oh no >&2; exit 4", "bad"))
	b.id = second
	b.execute("//a:out", b.action("echo 2 > out", "out"))
	if _, err := repb.NewActionCacheClient(conn).GetActionResult(b.in("//b:same"), &repb.GetActionResultRequest{ActionDigest: made}); err != nil {
		t.Fatal(err)
	}

	m := newMachine(t)
	t.Setenv("BUILDNET_HOME", n.Home)
	t.Chdir(t.TempDir()) // no project
	m.run("builds").want(t, 0, "bazel 7.4.1 "+first, "")
	if got := m.run("builds").out; strings.Count(got, "running") != 2 {
		t.Errorf("not all are running:\n%s", got)
	}
	var listed []api.BuildRecord
	if got := m.run("builds", "--json"); json.Unmarshal([]byte(got.out), &listed) != nil || len(listed) != 2 || !listed[0].Running || listed[0].Client != "bazel 7.4.1" {
		t.Errorf("%s", got.out)
	}
	shown := m.run("builds", "show", first)
	shown.want(t, 0, "//a:out", "")
	for _, part := range []string{"executed  Genrule out", "failed    Genrule bad", "oh no", "so far: full, 2 steps: 1 executed, 1 failed, in"} {
		if !strings.Contains(shown.out, part) {
			t.Errorf("%q is missing:\n%s", part, shown.out)
		}
	}
	m.run("builds", "show", listed[0].Build[:8]).want(t, 0, "  saved ", "")
	var record api.BuildRecord
	if got := m.run("builds", "show", second, "--json"); json.Unmarshal([]byte(got.out), &record) != nil || len(record.Events) < 3 || !record.Running {
		t.Errorf("%s", got.out)
	}
	m.run("explain", second, "//a:out").want(t, 0, "echo 1 > out -> echo 2 > out", "")
	m.run("explain", "//b:same").want(t, 0, "it was not run: its result was known", "")
	m.run("explain", first, "Genrule bad").want(t, 0, "it failed on", "")

	m.run("node", "status", "--json").want(t, 0, `"client_steps_cached":1,"client_steps_executed":2,"client_steps_failed":1`, "")

	follow(t, m, b, second)
	m.run("builds", "attach", "ffff").want(t, 2, "", "--output-dir")
}

// follow attaches to an invocation until a step of it is told of.
func follow(t *testing.T, m *machine, b *bazel, id string) {
	r, w := io.Pipe()
	var talk bytes.Buffer
	status := make(chan int, 1)
	go func() { status <- m.runTo(w, &talk, "builds", "attach", id, "--json"); _ = w.Close() }()
	lines := json.NewDecoder(r)
	for want := 3; want > 0; {
		var line json.RawMessage
		if err := lines.Decode(&line); err != nil {
			t.Fatalf("%v: status %d, %s", err, <-status, talk.String())
		}
		e, _ := event.Decode(line)
		if s, ok := e.(event.StepFinished); ok {
			if want--; want == 1 {
				b.execute("//a:later", b.action("echo 3 > later", "later"))
			}
			if want == 0 && s.Step != "Genrule later" {
				t.Errorf("at last %q", s.Step)
			}
		}
	}
	m.signals <- os.Interrupt
	go func() { _, _ = io.Copy(io.Discard, r) }()
	if got := <-status; got != 130 {
		t.Errorf("status %d, %s", got, talk.String())
	}
}
