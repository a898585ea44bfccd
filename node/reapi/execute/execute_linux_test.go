package execute_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/nodetest"
	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/store/digest"
)

// REAPI v2, Execution.Execute and ActionCache.GetActionResult: an action is uploaded
// and executed, its result is in the cache from then on, and serves who executes it
// again.
func TestDemand8AnActionIsExecutedAndThenKnown(t *testing.T) {
	n := one(t, 2)
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

// All that an invocation of a client asks for is one build, however it is answered: it
// is there while it goes on, and can be followed and explained.
func TestDemand10AnInvocationIsOneBuild(t *testing.T) {
	n := one(t, 2)
	c := connect(t, n)
	copying := c.upload(shell("cp in out", "out"))
	c.ok(c.run(c.in("first"), copying))
	c.run(c.in("first"), c.upload(shell("exit 3")))
	anew := c.execute(c.in("first"), &repb.ExecuteRequest{ActionDigest: copying, SkipCacheLookup: true})
	c.ok(c.response(anew))
	changed := shell("cp in out", "out")
	changed.files["in"] = "other\n"
	c.ok(c.run(c.in("second"), c.upload(changed)))
	if _, err := c.ac.GetActionResult(c.in("second"), &repb.GetActionResultRequest{ActionDigest: copying}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ac.GetActionResult(c.in("cached"), &repb.GetActionResultRequest{ActionDigest: copying}); err != nil {
		t.Fatal(err)
	}
	brings(c, "brought")
	want := map[string]event.BuildFinished{
		"bazel 4.2.3 first":   {Steps: 3, Executed: 2, Failed: 1, RunLocal: 3},
		"bazel 4.2.3 second":  {Steps: 2, Executed: 1, CachedLocal: 1, OK: true, RunLocal: 1},
		"bazel 4.2.3 cached":  {Steps: 1, CachedLocal: 1, OK: true},
		"bazel 4.2.3 brought": {Steps: 1, Executed: 1, OK: true},
	}
	records, err := n.Client.Builds(t.Context(), 0)
	if err != nil || len(records) != len(want) {
		t.Fatalf("%d builds, %v: %+v", len(records), err, records)
	}
	for _, r := range records {
		var f event.BuildFinished
		if err := json.Unmarshal(r.Summary, &f); err != nil {
			t.Fatal(err)
		}
		w := want[r.Root]
		if f.Steps != w.Steps || f.Executed != w.Executed || f.Failed != w.Failed || f.CachedLocal != w.CachedLocal || f.OK != w.OK || f.RunLocal != w.RunLocal || !r.Running {
			t.Errorf("%s, running %t: %+v", r.Root, r.Running, f)
		}
		if f.CachedLocal > 0 && f.SavedMS == 0 {
			t.Errorf("%s: nothing was saved: %+v", r.Root, f)
		}
	}
	explained(t, n)
	followed(t, n, c)
}

// brings has a client bring the result of an action.
func brings(c *client, invocation string) {
	c.Helper()
	act := c.upload(shell("false", "brought"))
	c.put([]byte("by the client"))
	_, err := c.ac.UpdateActionResult(c.in(invocation), &repb.UpdateActionResultRequest{ActionDigest: act, ActionResult: &repb.ActionResult{
		OutputFiles: []*repb.OutputFile{{Path: "brought", Digest: names.Message(digest.Of(c.fn, []byte("by the client")))}},
	}})
	if err != nil {
		c.Fatal(err)
	}
}

// explained asks why steps were run, by what a user may call builds and steps.
func explained(t *testing.T, n *nodetest.Node) {
	x, err := n.Client.Explain(t.Context(), "second", "Genrule out")
	if err != nil || x.Same || len(x.Differences) != 1 || x.Differences[0].Of != event.OfInput || x.Differences[0].Name != "in" || x.Unknown != "" {
		t.Errorf("changed input: %+v, %v", x, err)
	}
	x, err = n.Client.Explain(t.Context(), "first", "Genrule out#2")
	if err != nil || len(x.Because) != 1 || !strings.Contains(x.Because[0].Why, "skip_cache_lookup") {
		t.Errorf("executed anew: %+v, %v", x, err)
	}
	s := x.Step
	if s.Asked == nil || s.Asked.Target != "//:x" || s.Asked.Mnemonic != "Genrule" || s.Asked.Toolchain == "" || s.Peer == "" || len(s.Here) != 1 {
		t.Errorf("the step: %+v", s)
	}
	if x, err = n.Client.Explain(t.Context(), "cached", "//:x"); err != nil || x.Step.Step != "Genrule out" || x.Before == "" {
		t.Errorf("by its target: %+v, %v", x, err)
	}
}

// followed follows an invocation that goes on.
func followed(t *testing.T, n *nodetest.Node, c *client) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	steps := make(chan string, 100)
	over := make(chan error, 1)
	go func() {
		over <- n.Client.Build(ctx, api.BuildRequest{Attach: "second"}, func(line []byte) error {
			if e, err := event.Decode(line); err == nil {
				if s, ok := e.(event.StepFinished); ok {
					steps <- s.Step
				}
			}
			return nil
		})
	}()
	next := func() string {
		select {
		case s := <-steps:
			return s
		case err := <-over:
			t.Fatalf("it is not followed any more: %v", err)
			return ""
		}
	}
	if first, second := next(), next(); first != "Genrule out" || second != "Genrule out#2" {
		t.Errorf("before: %s, %s", first, second)
	}
	c.ok(c.run(c.in("second"), c.upload(shell("cp in later", "later"))))
	if s := next(); s != "Genrule later" {
		t.Errorf("then: %s", s)
	}
	cancel()
	<-over
}
