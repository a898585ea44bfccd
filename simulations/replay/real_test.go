//go:build unix

package replay_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/nodetest"
	"github.com/buildnet/buildnet/simulations/replay"
)

// project is steps that keep a core busy, one that reads what they made, and
// one that reads that.
func project(t *testing.T, steps int) string {
	t.Helper()
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
	return nodetest.Tree(t, files)
}

// chain is what the steps that wait for one another used of the CPU, in seconds: a
// machine that does other things besides makes them take longer, and not less.
func chain(steps []event.RecordedStep) float64 {
	ends, longest := make([]int64, len(steps)), int64(0)
	for i := range steps {
		for _, on := range steps[i].Deps {
			ends[i] = max(ends[i], ends[on])
		}
		ends[i] += steps[i].CPUUS
		longest = max(longest, ends[i])
	}
	return float64(longest) / 1e6
}

// TestABuildOfRealNodesIsReplayed is about the whole way from real nodes to a
// forecast. How close that comes is for `make calibrate` to say, on a machine that
// does nothing else.
func TestABuildOfRealNodesIsReplayed(t *testing.T) {
	const steps, seeds, wide = 16, 8, 2.0
	n := nodetest.Mesh(t, 3, 2)[0]
	f := n.Build(t, project(t, steps))
	if !f.OK {
		t.Errorf("build: %+v", f)
	}
	rec, err := n.Client.Recording(t.Context(), f.Build)
	if err != nil {
		t.Fatal(err)
	}
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
	if least := chain(rec.Steps); same.Same.Makespan.Median < least || same.Ratio > wide || same.Same.Unfinished > 0 {
		t.Errorf("it took %.2f s, its longest chain %.2f s of CPU, and replayed %+v", same.Took, least, same.Same.Makespan)
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
