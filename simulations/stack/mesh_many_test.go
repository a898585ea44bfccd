package stack

import (
	"flag"
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
)

// stackNodes is how many nodes the tests of a whole mesh run.
var stackNodes = flag.Int("stack-nodes", 20, "nodes of the real stack in virtual time")

// mesh runs all hosts as members of one mesh: the others join by the first,
// all at once.
func (w *meshes) mesh() {
	w.t.Helper()
	w.start(0).up()
	for i := 1; i < len(w.nodes); i++ {
		w.start(i, 0)
	}
	for _, n := range w.nodes {
		n.up()
	}
}

// whole says whether all see exactly all.
func (w *meshes) whole() bool {
	for _, n := range w.nodes {
		if !n.sees(w.nodes...) {
			return false
		}
	}
	return true
}

func TestMeshJoinStorm(t *testing.T) {
	inMeshes(t, lan(*stackNodes), func(t *testing.T, w *meshes) {
		began := time.Now()
		w.mesh()
		t.Logf("all ready after %s", time.Since(began))
		t.Logf("all see all after %s more", w.within(10*time.Second, "whole mesh", w.whole))
	})
}

func TestMeshQuiet(t *testing.T) {
	inMeshes(t, lan(*stackNodes), func(t *testing.T, w *meshes) {
		w.mesh()
		w.within(10*time.Second, "whole mesh", w.whole)
		w.net.Lose(0.1)
		changes := make([]func() []peer.Member, 0)
		for _, n := range w.nodes {
			c, cancel := n.Subscribe()
			defer cancel()
			changes = append(changes, func() (out []peer.Member) {
				for {
					select {
					case e := <-c:
						out = append(out, e.Member)
					default:
						return out
					}
				}
			})
		}
		time.Sleep(5 * time.Minute)
		for i, all := range changes {
			for _, m := range all() {
				if m.State != peer.Alive {
					t.Errorf("node %d saw %s %s", i, m.ID.Short(), m.State)
				}
			}
		}
		sent := w.nodes[3].host.Sent()
		t.Logf("sent %+v, drops %+v", sent, w.net.Drops())
	})
}
