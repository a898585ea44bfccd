package execute_test

import (
	"strings"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"

	"github.com/buildnet/buildnet/node/nodetest"
)

// An action that takes more memory than its memory-bytes is RESOURCE_EXHAUSTED, and one
// that takes less is not; the same is executed again when it is asked for again.
func TestAnActionOverItsMemoryIsResourceExhausted(t *testing.T) {
	c := connect(t, nodetest.Mesh(t, 1, 1)[0])
	limited := func(script string) *work {
		w := shell(script, "out")
		w.action.Platform = &repb.Platform{Properties: []*repb.Platform_Property{{Name: "memory-bytes", Value: "67108864"}}}
		return w
	}
	// The shell keeps what it reads: 4 bytes and more for each.
	got := c.fails(c.run(c.in("over"), c.upload(limited("x=$(head -c 400000000 /dev/zero | tr '\\0' x); echo $x >out"))), codes.ResourceExhausted)
	if !strings.Contains(got.Message(), "memory") {
		t.Errorf("it says %q", got.Message())
	}
	c.ok(c.run(c.in("within"), c.upload(limited("cp in out"))))
}
