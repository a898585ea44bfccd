package execute_test

import (
	"testing"

	"github.com/buildnet/buildnet/node/nodetest"
)

// REAPI v2, ActionResult and FindMissingBlobs: what a client was told of stays for a
// while after the build of its invocation.
func TestDemand8WhatAClientWasToldOfIsPromised(t *testing.T) {
	nodes := nodetest.Mesh(t, 2, 2)
	c := connect(t, nodes[0])
	act := c.upload(shell("head -c 300000 /dev/zero > out", "out"))
	r := c.ok(c.run(c.in("one"), act))
	promised := func(n *nodetest.Node) int64 {
		st, err := n.API().CacheStats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return st.Promised
	}
	if got := promised(nodes[0]); got < 300_000 {
		t.Errorf("%d bytes are promised by the node that executed, want the output", got)
	}
	if got := promised(nodes[1]); got != 0 {
		t.Errorf("%d bytes are promised by a node that told nobody", got)
	}
	other := connect(t, nodes[1])
	if got := other.ok(other.run(other.in("two"), act)); got.GetOutputFiles()[0].GetDigest().GetHash() != r.GetOutputFiles()[0].GetDigest().GetHash() {
		t.Errorf("the other node made %v", got)
	}
	if got := promised(nodes[1]); got < 300_000 {
		t.Errorf("%d bytes are promised by the node that told of a known result, want the output", got)
	}
}
