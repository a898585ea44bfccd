package stack

import (
	"flag"
	"math"
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
)

// stackNodes is how many nodes the tests of a whole mesh run.
var stackNodes = flag.Int("stack-nodes", 20, "nodes of the real stack in virtual time")

const (
	// meetWithin is how long a mesh may take until all see all. Gossip tells
	// everybody within seconds; at a loss of 10 % somebody may have to wait for
	// the exchange of whole states, the first of which is up to twice 30 s
	// after the start.
	meetWithin = 65 * time.Second
	// spreadWithin is from the first member that knows of a death to the last.
	spreadWithin = 5 * time.Second
	// healWithin is how long two halves may take to be one mesh again: a
	// member looks for lost ones every 20 to 25 s, and serf for failed ones.
	healWithin = time.Minute
)

// detectWithin is how long a death may stay unknown: two rounds of probes, and
// the time of suspicion (SWIM, section 4.2; Lifeguard, section IV.B), twice.
func detectWithin(nodes int) time.Duration {
	const probe, suspicion = 700 * time.Millisecond, 5 * 700 * time.Millisecond
	return 2*probe + time.Duration(2*max(1, math.Log10(float64(nodes)))*float64(suspicion))
}

func TestMeshJoinStorm(t *testing.T) {
	inMeshes(t, lan(*stackNodes), func(t *testing.T, w *meshes) {
		began := time.Now()
		w.mesh()
		t.Logf("all ready after %s, all see all after %s more", time.Since(began), w.within(meetWithin, "whole mesh", w.whole))
	})
}

func TestMeshLosesNobodyAtTenPercentLoss(t *testing.T) {
	inMeshes(t, lan(*stackNodes), func(t *testing.T, w *meshes) {
		w.mesh()
		w.within(meetWithin, "whole mesh", w.whole)
		r := w.record()
		w.net.Lose(0.1)
		pass(5 * time.Minute)
		for _, c := range r.all() {
			if c.state != peer.Alive {
				t.Errorf("node %d saw %s %s", c.by, c.who.Short(), c.state)
			}
		}
		if !w.whole() {
			t.Error("not all see all")
		}
	})
}

func TestMeshNoticesADeath(t *testing.T) {
	inMeshes(t, lan(*stackNodes), func(t *testing.T, w *meshes) {
		w.mesh()
		w.within(meetWithin, "whole mesh", w.whole)
		r := w.record()
		dead := w.nodes[len(w.nodes)-1]
		began := time.Now()
		dead.host.Off()
		limit := detectWithin(len(w.nodes))
		pass(limit + spreadWithin)
		first, last, n := r.span(dead.Self(), peer.Failed, len(w.nodes)-1)
		t.Logf("first after %s, last of %d after %s", first.Sub(began), n, last.Sub(began))
		if n != len(w.nodes)-1 {
			t.Errorf("%d of %d saw it fail", n, len(w.nodes)-1)
		}
		if took := first.Sub(began); took > limit {
			t.Errorf("the first saw it after %s, want %s", took, limit)
		}
		if took := last.Sub(first); took > spreadWithin {
			t.Errorf("the last saw it %s later, want %s", took, spreadWithin)
		}
		for _, c := range r.all() {
			if c.state == peer.Failed && c.who != dead.Self() && c.by != len(w.nodes)-1 {
				t.Errorf("node %d saw %s fail, which lives", c.by, c.who.Short())
			}
		}
	})
}

func TestMeshOfTwoHalvesHeals(t *testing.T) {
	inMeshes(t, lan(*stackNodes), func(t *testing.T, w *meshes) {
		w.mesh()
		w.within(meetWithin, "whole mesh", w.whole)
		half := len(w.nodes) / 2
		var a, b []int
		for i := range w.nodes {
			if i < half {
				a = append(a, i)
			} else {
				b = append(b, i)
			}
		}
		w.net.Split(a, b)
		limit := 2*detectWithin(len(w.nodes)) + spreadWithin
		took := w.within(limit, "two halves", func() bool {
			return w.see(w.nodes[:half], w.nodes[:half]) && w.see(w.nodes[half:], w.nodes[half:])
		})
		t.Logf("each half sees the other as failed after %s", took)
		pass(time.Minute)
		w.net.Heal()
		t.Logf("all see all %s after the heal", w.within(healWithin, "whole mesh", w.whole))
	})
}

// TestMeshRemembersWhoLeft: all know at once that it is gone. Whom the farewell
// itself misses believes for a while that it failed.
func TestMeshRemembersWhoLeft(t *testing.T) {
	inMeshes(t, lan(*stackNodes), func(t *testing.T, w *meshes) {
		w.mesh()
		w.within(meetWithin, "whole mesh", w.whole)
		rest := w.nodes[:len(w.nodes)-1]
		gone := w.nodes[len(rest)]
		r := w.record()
		began := time.Now()
		if err := gone.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		gone.stop()
		t.Logf("gone for all after %s", w.within(spreadWithin, "parting", func() bool { return w.see(rest, rest) }))
		pass(meetWithin)
		_, last, n := r.span(gone.Self(), peer.Left, len(rest))
		t.Logf("the last of %d heard the farewell after %s", n, last.Sub(began))
		if n != len(rest) {
			t.Errorf("%d of %d heard the farewell", n, len(rest))
		}
	})
}
