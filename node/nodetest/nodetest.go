// Package nodetest runs whole nodes, with all that they do, in the process of a
// test. Start reading at Mesh.
package nodetest

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node"
	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/api/client"
	"github.com/buildnet/buildnet/node/event"
)

// startTime bounds the start of a node on a busy machine.
const startTime = 30 * time.Second

// Node runs until the test ends.
type Node struct {
	Home   string
	Client *client.Client
	node   *node.Node
}

// REAPI is where the node serves clients of the Remote Execution API.
func (n *Node) REAPI() string { return n.node.Info().REAPI }

// API is the node as its clients see it, without its socket.
func (n *Node) API() api.Node { return n.node.API() }

// Start starts a node with slots for actions, or as many as it takes itself
// for 0. A token brings it into a mesh, an empty one makes another.
func Start(t testing.TB, slots int, token string) *Node {
	t.Helper()
	return StartOn(t, node.Machine{}, slots, token)
}

// StartOn is Start on a machine of which the test stands in for a part.
func StartOn(t testing.TB, machine node.Machine, slots int, token string) *Node {
	t.Helper()
	return start(t, machine, slots, token, "")
}

// StartSet is Start with more lines of settings.
func StartSet(t testing.TB, settings string, slots int, token string) *Node {
	t.Helper()
	return start(t, node.Machine{}, slots, token, settings)
}

func start(t testing.TB, machine node.Machine, slots int, token, settings string) *Node {
	t.Helper()
	home := filepath.Join(t.TempDir(), "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	// All nodes are this machine, also where the kernel allows no sandbox, and
	// none yields to whoever runs the test.
	if err := os.WriteFile(filepath.Join(home, "node.yaml"), []byte("share_reduced: true\nyield: off\n"+settings), 0o600); err != nil {
		t.Fatal(err)
	}
	if machine.Toolchains == nil {
		machine.Toolchains = shared.watched(t)
	}
	n, err := node.New(node.Config{
		Home: home, Listen: "127.0.0.1:0", API: "127.0.0.1:0", REAPI: "127.0.0.1:0", Slots: slots, Join: token, Machine: machine,
		Log: slog.New(slog.NewTextHandler(lines{t}, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	select {
	case <-n.Ready():
	case err := <-ended:
		cancel()
		t.Fatalf("node ended before it was ready: %v", err)
	case <-time.After(startTime):
		cancel()
		<-ended
		t.Fatal("node is not ready")
	}
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return &Node{Home: home, Client: client.New(home), node: n}
}

type lines struct{ t testing.TB }

// Write implements io.Writer.
func (l lines) Write(b []byte) (int, error) {
	l.t.Logf("%s", b)
	return len(b), nil
}

// Mesh starts nodes that know one another, each with slots for actions.
func Mesh(t testing.TB, size, slots int) []*Node {
	t.Helper()
	nodes := []*Node{Start(t, slots, "")}
	inv, err := nodes[0].Client.Invite(t.Context(), api.InviteRequest{Reach: api.Everywhere})
	if err != nil {
		t.Fatal(err)
	}
	for len(nodes) < size {
		nodes = append(nodes, Start(t, slots, inv.Token))
	}
	for _, n := range nodes {
		n.Meets(t, size)
	}
	return nodes
}

// Meets waits until the node knows of size members all that a build needs.
func (n *Node) Meets(t testing.TB, size int) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n.known(t) != size {
		<-tick.C
	}
}

// known counts the members of whom the node knows all that a build needs.
func (n *Node) known(t testing.TB) (count int) {
	t.Helper()
	members, err := n.Client.Members(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range members {
		if m.State == "alive" && m.BPU > 0 && (m.Self || m.RTTMS > 0) {
			count++
		}
	}
	return count
}

// Build builds the project in dir, with the node as its initiator.
func (n *Node) Build(t testing.TB, dir string) event.BuildFinished {
	t.Helper()
	var last event.Event
	err := n.Client.Build(t.Context(), api.BuildRequest{Dir: dir}, func(line []byte) (err error) {
		last, err = event.Decode(line)
		return err
	})
	if err != nil {
		t.Fatalf("build: %v", err)
	}
	f, ok := last.(event.BuildFinished)
	if !ok {
		t.Fatalf("the last event is %#v", last)
	}
	if sum := f.Executed + f.CachedLocal + f.CachedMesh + f.Skipped + f.Failed + f.NotRun; sum != f.Steps {
		t.Errorf("the counts add up to %d of %d steps: %+v", sum, f.Steps, f)
	}
	return f
}

// Tree writes files, content by path, to a directory that it returns.
func Tree(t testing.TB, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}
