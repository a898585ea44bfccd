package execute_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/nodetest"
)

// heap makes 70 MB, more than a store of 64 MiB holds.
const heap = "head -c 70000000 /dev/zero > out"

// starts has an action executed until it has come to a stage.
func (c *client) starts(act *repb.Digest, stage repb.ExecutionStage_Value) *begun {
	c.Helper()
	return c.begin(&repb.ExecuteRequest{ActionDigest: act, DigestFunction: c.function()}, stage)
}

// self is the name of a node in its mesh.
func self(t *testing.T, n *nodetest.Node) string {
	t.Helper()
	members, err := n.Client.Members(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range members {
		if m.Self {
			return m.Peer
		}
	}
	t.Fatal("a node does not know itself")
	return ""
}

// REAPI v2, Execution.Execute: RESOURCE_EXHAUSTED is for want of room. UNAVAILABLE
// would have clients try again until they are through.
func TestWantOfRoomIsSaidSo(t *testing.T) {
	small := nodetest.StartSet(t, "cache: {max: 64MiB}\n", 1, "")
	c := connect(t, small)
	refused := func(t *testing.T, r *repb.ExecuteResponse) {
		t.Helper()
		if got := codes.Code(r.GetStatus().GetCode()); got != codes.ResourceExhausted || !strings.Contains(r.GetStatus().GetMessage(), "cache.max") {
			t.Errorf("%v: %s", got, r.GetStatus().GetMessage())
		}
	}
	t.Run("where it runs", func(t *testing.T) {
		refused(t, c.run(c.in(t.Name()), c.upload(shell(heap+"; echo here", "out"))))
	})
	t.Run("where it is brought to", func(t *testing.T) {
		inv, err := small.Client.Invite(t.Context(), api.InviteRequest{Reach: api.Everywhere})
		if err != nil {
			t.Fatal(err)
		}
		large := nodetest.Start(t, 6, inv.Token)
		small.Meets(t, 2)
		large.Meets(t, 2)
		// The small one has one slot, for which they do not all wait.
		var running []repb.Execution_ExecuteClient
		for i := range 7 {
			stream, err := c.exec.Execute(c.in(t.Name()), &repb.ExecuteRequest{
				ActionDigest: c.upload(shell(fmt.Sprintf("sleep 2; %s; echo there %d", heap, i), "out")), DigestFunction: c.function(),
			})
			if err != nil {
				t.Fatal(err)
			}
			running = append(running, stream)
		}
		workers := map[string]bool{}
		for _, stream := range running {
			ops, err := all(stream)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range ops {
				workers[metadataOf(t, o).GetPartialExecutionMetadata().GetWorker()] = true
			}
			refused(t, c.response(ops))
		}
		if !workers[self(t, large)] {
			t.Errorf("they ran on %v, and none on the large node: it proves nothing", workers)
		}
	})
}

// What an action that waits reads stays until it is done, although nobody was promised
// it: the store has promised all that it may.
func TestInputsOfWhatWaitsStay(t *testing.T) {
	n := nodetest.StartSet(t, "cache: {max: 64MiB}\n", 1, "")
	c := connect(t, n)
	const size = 4_000_000
	fill := func(from, blobs int) {
		for i := range blobs {
			c.put(bytes.Repeat([]byte{byte(from + i)}, size))
		}
	}
	fill(0, 9) // more than half of the store
	st, err := n.API().CacheStats(t.Context())
	if err != nil || st.Promised < st.MaxBytes/2-size {
		t.Fatalf("%+v, %v", st, err)
	}
	sleeper := c.starts(c.upload(shell("sleep 50")), repb.ExecutionStage_EXECUTING)
	reader := shell("wc -c < large", "none")
	reader.files = map[string]string{"large": strings.Repeat("x", 3_900_000)}
	waits := c.starts(c.upload(reader), repb.ExecutionStage_QUEUED)
	fill(20, 20)
	if after, err := n.API().CacheStats(t.Context()); err != nil || after.Evicted <= st.Evicted+10 {
		t.Fatalf("%+v, %v: hardly anything made room, it proves nothing", after, err)
	}
	sleeper.cancelled()
	if got := c.read(c.ok(waits.end()).GetStdoutDigest()); strings.TrimSpace(got) != "3900000" {
		t.Errorf("it read %q", got)
	}
}
