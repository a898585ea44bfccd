package execute_test

import (
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/buildnet/buildnet/node/nodetest"
)

// REAPI v2, ActionCache.GetActionResult: a result is known as long as all is there that
// it names.
func TestDemand8GetActionResultOfLostOutputs(t *testing.T) {
	n := one(t, 2)
	c := connect(t, n)
	act := c.upload(shell("head -c 300000 /dev/zero > out; mkdir d; cp in d/in; date +%N > now", "out", "d", "now"))
	made := c.ok(c.run(c.in("one"), act)).GetOutputFiles()
	if _, err := c.ac.GetActionResult(c.in("one"), &repb.GetActionResultRequest{ActionDigest: act}); err != nil {
		t.Fatal(err)
	}
	lose(t, n)
	if r, err := c.ac.GetActionResult(c.in("one"), &repb.GetActionResultRequest{ActionDigest: act}); status.Code(err) != codes.NotFound {
		t.Errorf("without one of its outputs: %v, %v", r, err)
	}
	again := c.run(c.in("one"), act)
	if files := c.ok(again).GetOutputFiles(); again.GetCachedResult() || files[0].GetDigest().GetHash() == made[0].GetDigest().GetHash() && files[1].GetDigest().GetHash() == made[1].GetDigest().GetHash() {
		t.Errorf("it was not executed again: %v", again)
	}
}

// REAPI v2, ActionCacheUpdateCapabilities.update_enabled: who may not is told so.
func TestDemand8UpdateActionResultIsForWriters(t *testing.T) {
	c := connect(t, nodetest.StartSet(t, "reapi: {uploads: off}\n", 1, ""))
	request := &repb.UpdateActionResultRequest{ActionDigest: c.upload(shell("true")), ActionResult: &repb.ActionResult{}}
	if _, err := c.ac.UpdateActionResult(c.Context(), request); status.Code(err) != codes.PermissionDenied {
		t.Errorf("by a builder: %v", err)
	}
}

// REAPI v2, ActionResult and FindMissingBlobs: what a client was told of stays for a
// while after the build of its invocation.
func TestDemand8WhatAClientWasToldOfIsPromised(t *testing.T) {
	first, second := two(t)
	c := connect(t, first)
	act := c.upload(shell("head -c 300000 /dev/zero > out", "out"))
	r := c.ok(c.run(c.in("one"), act))
	promised := func(n *nodetest.Node) int64 {
		st, err := n.API().CacheStats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return st.Promised
	}
	if got := promised(first); got < 300_000 {
		t.Errorf("%d bytes are promised by the node that executed, want the output", got)
	}
	if got := promised(second); got != 0 {
		t.Errorf("%d bytes are promised by a node that told nobody", got)
	}
	other := connect(t, second)
	if got := other.ok(other.run(other.in("two"), act)); got.GetOutputFiles()[0].GetDigest().GetHash() != r.GetOutputFiles()[0].GetDigest().GetHash() {
		t.Errorf("the other node made %v", got)
	}
	if got := promised(second); got < 300_000 {
		t.Errorf("%d bytes are promised by the node that told of a known result, want the output", got)
	}
}
