package execute_test

import (
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/buildnet/buildnet/node/nodetest"
)

// REAPI v2, Execution.Execute and ActionCache.GetActionResult: an action is uploaded
// and executed, its result is in the cache from then on, and serves who executes it
// again.
func TestAnActionIsExecutedAndThenKnown(t *testing.T) {
	n := nodetest.Start(t, 2, "")
	c := connect(t, n)
	act := c.upload(shell("cat in in > out; echo said; echo complained >&2", "out", "never-made"))
	if _, err := c.ac.GetActionResult(c.in("one"), &repb.GetActionResultRequest{ActionDigest: act}); status.Code(err) != codes.NotFound {
		t.Errorf("before it was executed: %v", err)
	}
	first := c.run(c.in("one"), act)
	r := c.ok(first)
	if first.GetCachedResult() || len(r.GetOutputFiles()) != 1 || r.GetOutputFiles()[0].GetPath() != "out" {
		t.Errorf("first: %v", first)
	}
	if got := c.read(r.GetOutputFiles()[0].GetDigest()); got != "hello\nhello\n" {
		t.Errorf("out: %q", got)
	}
	if out, err := c.read(r.GetStdoutDigest()), c.read(r.GetStderrDigest()); out != "said\n" || err != "complained\n" {
		t.Errorf("printed %q and %q", out, err)
	}
	known, err := c.ac.GetActionResult(c.in("one"), &repb.GetActionResultRequest{ActionDigest: act})
	if err != nil || known.GetOutputFiles()[0].GetDigest().GetHash() != r.GetOutputFiles()[0].GetDigest().GetHash() {
		t.Errorf("from the cache: %v, %v", known, err)
	}
	if second := c.run(c.in("two"), act); !second.GetCachedResult() || c.ok(second) == nil {
		t.Errorf("second: %v", second)
	}
}
