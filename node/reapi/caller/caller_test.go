package caller_test

import (
	"context"
	"strings"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/node/reapi/caller"
)

func said(raw string) context.Context {
	return metadata.NewIncomingContext(context.Background(), metadata.Pairs("build.bazel.remote.execution.v2.requestmetadata-bin", raw))
}

// REAPI v2, RequestMetadata.
func TestRequestMetadata(t *testing.T) {
	raw, err := proto.Marshal(&repb.RequestMetadata{
		ToolInvocationId: "one", TargetId: strings.Repeat("x", 4096),
		ToolDetails: &repb.ToolDetails{ToolName: strings.Repeat("y", 4096)},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := caller.Metadata(said(string(raw)))
	if got.ToolInvocationId != "one" || got.TargetId != "" || got.ToolDetails != nil {
		t.Errorf("metadata %v", got)
	}
	for name, ctx := range map[string]context.Context{"none": context.Background(), "garbage": said("\xff\xff")} {
		if got := caller.Metadata(ctx); got == nil || got.ToolInvocationId != "" {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestWhoNobodyLetInMayDoNothing(t *testing.T) {
	if got := caller.Of(context.Background()); got != (caller.Caller{}) || got.Role >= caller.Builder {
		t.Errorf("caller %+v", got)
	}
	want := caller.Caller{Name: "ci", Role: caller.Writer}
	if got := caller.Of(caller.With(context.Background(), want)); got != want {
		t.Errorf("caller %+v", got)
	}
}
