package execute_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/nodetest"
)

// REAPI v2, Execution.Execute and ActionCache.GetActionResult: an action is uploaded
// and executed, its result is in the cache from then on, and serves who executes it
// again.
func TestDemand8AnActionIsExecutedAndThenKnown(t *testing.T) {
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

// The actions of a client's invocation are a build like any other: it is written down
// when nothing is executed for it any more.
func TestDemand10AnInvocationIsABuildOfTheHistory(t *testing.T) {
	n := nodetest.Start(t, 2, "")
	c := connect(t, n)
	c.ok(c.run(c.in("first"), c.upload(shell("cp in out", "out"))))
	c.run(c.in("first"), c.upload(shell("exit 3")))
	c.ok(c.run(c.in("second"), c.upload(shell("cp in out", "out"))))
	want := map[string]event.BuildFinished{
		"bazel 4.2.3 first": {Steps: 2, Executed: 1, Failed: 1}, "bazel 4.2.3 second": {Steps: 1, CachedLocal: 1, OK: true},
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for len(want) > 0 {
		<-tick.C
		records, err := n.Client.Builds(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			w, ok := want[r.Root]
			if !ok {
				continue
			}
			delete(want, r.Root)
			var f event.BuildFinished
			if err := json.Unmarshal(r.Summary, &f); err != nil {
				t.Fatal(err)
			}
			if f.Steps != w.Steps || f.Executed != w.Executed || f.Failed != w.Failed || f.CachedLocal != w.CachedLocal || f.OK != w.OK {
				t.Errorf("%s: %+v", r.Root, f)
			}
			shown, err := n.Client.ShowBuild(t.Context(), r.Build)
			if err != nil {
				t.Fatal(err)
			}
			events, err := json.Marshal(shown.Events)
			if err != nil || !strings.Contains(string(events), "Genrule out") {
				t.Errorf("%s: %s, %v", r.Root, events, err)
			}
		}
	}
}
