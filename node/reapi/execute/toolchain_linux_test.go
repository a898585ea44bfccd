package execute_test

import (
	"fmt"
	"sync"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/buildnet/buildnet/node"
	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/nodetest"
	"github.com/buildnet/buildnet/node/toolchain"
)

// Two nodes on which other things are installed: an action of a client goes to those
// alone that have what the node has which it talks to, and its result is found by
// those alone, unless its platform says that its programs are inputs.
func TestDemand6NodesWithOtherProgramsShareNothingUnasked(t *testing.T) {
	n := nodetest.Start(t, 1, "")
	inv, err := n.Client.Invite(t.Context(), api.InviteRequest{Reach: api.Everywhere})
	if err != nil {
		t.Fatal(err)
	}
	bare := toolchain.New(toolchain.Options{System: t.TempDir()})
	m := nodetest.StartOn(t, node.Machine{Toolchains: bare}, 4, inv.Token)
	n.Meets(t, 2)
	m.Meets(t, 2)
	here, there := connect(t, n), connect(t, m)
	const actions = 8
	own, mine := here.each(actions, func(i int) *work { return shell(fmt.Sprintf("sleep 0.2; echo %d > out", i), "out") })
	free, anywhere := here.each(actions, func(i int) *work {
		w := shell(fmt.Sprintf("sleep 0.2; echo inputs %d > out", i), "out")
		w.action.Platform = &repb.Platform{Properties: []*repb.Platform_Property{{Name: "toolchain", Value: "inputs"}}}
		return w
	})
	if self := peerOf(t, n); own[self] != actions {
		t.Errorf("executed by %v, and %s was asked", own, self)
	}
	if free[peerOf(t, m)] == 0 {
		t.Errorf("with their programs among their inputs, by %v: the other has the slots", free)
	}
	// Of the last one it is known there; so it is of the first what is known at all.
	ask := func(act *repb.Digest) error {
		_, err := there.ac.GetActionResult(there.in("asks"), &repb.GetActionResultRequest{ActionDigest: act})
		return err
	}
	for range 200 {
		if err = ask(anywhere[actions-1]); status.Code(err) != codes.NotFound {
			break
		}
	}
	if err != nil {
		t.Errorf("a result that depends on no programs: %v", err)
	}
	if err := ask(mine[0]); status.Code(err) != codes.NotFound {
		t.Errorf("a result of other programs: %v", err)
	}
	r := there.run(there.in("there"), there.upload(shell("sleep 0.2; echo 0 > out", "out")))
	if got := there.ok(r).GetExecutionMetadata().GetWorker(); r.GetCachedResult() || got != peerOf(t, m) {
		t.Errorf("the same action, asked for there: cached %t, by %s", r.GetCachedResult(), got)
	}
}

func peerOf(t *testing.T, n *nodetest.Node) string {
	t.Helper()
	s, err := n.Client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s.Peer
}

// each executes so many actions at once, and returns how many who executed.
func (c *client) each(actions int, of func(int) *work) (by map[string]int, acts []*repb.Digest) {
	c.Helper()
	for i := range actions {
		acts = append(acts, c.upload(of(i)))
	}
	by = map[string]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, act := range acts {
		all.Go(func() {
			r := c.ok(c.run(c.in("each"), act))
			mu.Lock()
			defer mu.Unlock()
			by[r.GetExecutionMetadata().GetWorker()]++
		})
	}
	all.Wait()
	return by, acts
}
