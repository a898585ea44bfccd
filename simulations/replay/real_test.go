//go:build unix

package replay_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node"
	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/api/client"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/simulations/replay"
)

// startTime bounds the start of a node on a busy machine.
const startTime = 30 * time.Second

// start runs a node in this process until the test ends.
func start(t *testing.T, join string) *client.Client {
	t.Helper()
	home := filepath.Join(t.TempDir(), "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	// All nodes are this machine, also where the kernel allows no sandbox.
	if err := os.WriteFile(filepath.Join(home, "node.yaml"), []byte("share_reduced: true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n, err := node.New(node.Config{Home: home, Listen: "127.0.0.1:0", API: node.NoAPI, Slots: 2, Join: join, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	select {
	case <-n.Ready():
	case <-time.After(startTime):
		t.Fatal("node is not ready")
	}
	return client.New(home)
}

// mesh is three nodes that know each other; the first is returned.
func mesh(t *testing.T) *client.Client {
	t.Helper()
	first := start(t, "")
	inv, err := first.Invite(t.Context(), api.InviteRequest{Reach: api.Everywhere})
	if err != nil {
		t.Fatal(err)
	}
	start(t, inv.Token)
	start(t, inv.Token)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for known := 0; known < 3; <-tick.C {
		members, err := first.Members(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		known = 0
		for _, m := range members {
			if m.State == "alive" && m.BPU > 0 && (m.Self || m.RTTMS > 0) {
				known++
			}
		}
	}
	return first
}

// project is steps that keep a core busy, one that reads what they made, and
// one that reads that.
func project(t *testing.T, steps int) string {
	t.Helper()
	root := t.TempDir()
	files := map[string]string{".buildnet/config.yaml": `version: 1
packages:
  - name: busy
    path: .
    steps:
      - foreach: "*.in"
        run: "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; cat {in} >out/{stem}"
        outputs: ["out/{stem}"]
      - run: "cat {outputs:out/*} >all"
        outputs: ["all"]
      - run: "wc -c all >count"
        inputs: ["all"]
        outputs: ["count"]
`}
	for i := range steps {
		files[fmt.Sprintf("part%02d.in", i)] = fmt.Sprint("part ", i)
	}
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

func recordingOf(t *testing.T, c *client.Client, root string) event.Recording {
	t.Helper()
	id := ""
	err := c.Build(t.Context(), api.BuildRequest{Dir: root}, func(line []byte) error {
		e, err := event.Decode(line)
		if f, last := e.(event.BuildFinished); last {
			id = f.Build
			if !f.OK {
				t.Errorf("build: %s", line)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	rec, err := c.Recording(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// TestABuildOfRealNodesIsReplayed is about the whole way from real nodes to a
// forecast. How close that comes is for `calibrate` to say, on a machine that
// does nothing else.
func TestABuildOfRealNodesIsReplayed(t *testing.T) {
	const steps, seeds, wide = 16, 8, 2.0
	c := mesh(t)
	rec := recordingOf(t, c, project(t, steps))
	if len(rec.Steps) != steps+2 || len(rec.Peers) != 3 {
		t.Fatalf("recorded are %d steps and %d peers", len(rec.Steps), len(rec.Peers))
	}
	predict := func(changes replay.Changes) *replay.Forecast {
		t.Helper()
		f, err := replay.Predict(t.Context(), &rec, changes, replay.Options{Seeds: seeds})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	same := predict(replay.Changes{})
	if same.Ratio < 1/wide || same.Ratio > wide || same.Same.Unfinished > 0 {
		t.Errorf("it took %.2f s, and replayed %+v", same.Took, same.Same.Makespan)
	}
	more := predict(replay.Changes{Add: []replay.Machines{{Count: 4, BPU: rec.Peers[0].BPU}}})
	if more.Changed.Makespan.Median > more.Same.Makespan.Median {
		t.Errorf("with more machines %+v, without %+v", more.Changed.Makespan, more.Same.Makespan)
	}
	// A busy machine makes the ways look long, and then the initiator leads,
	// whose death would end the build.
	var near []replay.Way
	for _, p := range rec.Peers[1:] {
		near = append(near, replay.Way{A: rec.Peers[0].Peer, B: p.Peer, Latency: 100 * time.Microsecond})
	}
	calm := predict(replay.Changes{Ways: near})
	dead := predict(replay.Changes{Ways: near, Kill: []replay.Kill{{Who: "leader", When: "50%"}}})
	if dead.Changed.Makespan.Count == 0 || dead.Changed.Makespan.Median <= calm.Changed.Makespan.Median {
		t.Errorf("with the leader killed %+v, without that %+v", dead.Changed.Makespan, calm.Changed.Makespan)
	}
	t.Logf("took %.2f s, replayed %.2f s, with more machines %.2f s, with a dead leader %.2f s",
		same.Took, same.Same.Makespan.Median, more.Changed.Makespan.Median, dead.Changed.Makespan.Median)
}
