package stack

import (
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/simulations/network"
	"github.com/buildnet/buildnet/simulations/packets"
)

// homes is public hosts on the net, and behind a NAT of each kind one host.
func homes(public int, kinds ...packets.Kind) packets.Options {
	local := network.Path{Latency: time.Millisecond, Jitter: time.Millisecond, Bandwidth: 12.5e6}
	o := packets.Options{Seed: 1, Config: network.Config{Sites: []network.Site{{Name: "net", Local: local}}, Site: make([]int, public+len(kinds))}}
	for i, k := range kinds {
		o.NATs = append(o.NATs, packets.NAT{Kind: k, Hosts: []int{public + i}})
	}
	return o
}

// reaches says whether nodes behind NATs of these kinds get streams to each
// other today, by the hellos that both send when they meet: these open a cone
// NAT from both sides. Where one side's port is another for each destination
// (symmetric), the other must let in any port of that address. What remains
// needs a relay.
func reaches(a, b packets.Kind) bool {
	if a > b {
		a, b = b, a
	}
	return b != packets.Symmetric || a <= packets.Restricted
}

// stays lets virtual time pass in which nobody may lose anybody.
func (w *meshes) stays(d time.Duration) {
	w.t.Helper()
	r := w.record()
	pass(d)
	for _, c := range r.all() {
		if c.state != peer.Alive {
			w.t.Errorf("node %d saw %d %s", c.by, w.number(c.who), c.state)
		}
	}
}

func TestMeshBehindConeNATs(t *testing.T) {
	inMeshes(t, homes(2,
		packets.FullCone, packets.FullCone, packets.Restricted, packets.Restricted, packets.PortRestricted, packets.PortRestricted,
	), func(t *testing.T, w *meshes) {
		w.mesh()
		w.within(meetWithin, "whole mesh", w.whole)
		w.stays(5 * time.Minute)
		for i, from := range w.nodes {
			for j, to := range w.nodes {
				if i == j {
					continue
				}
				if err := from.hears(to); err != nil {
					t.Errorf("a stream from %d to %d: %v", i, j, err)
				}
			}
		}
	})
}

// TestMeshBehindSymmetricNAT is of small meshes, in which every member is asked
// to probe for another. In larger ones members behind such a NAT come and go:
// few can reach the address that they tell.
func TestMeshBehindSymmetricNAT(t *testing.T) {
	for kind := packets.FullCone; kind <= packets.Symmetric; kind++ {
		inMeshes(t, homes(2, kind, packets.Symmetric), func(t *testing.T, w *meshes) {
			w.mesh()
			w.within(meetWithin, "whole mesh", w.whole)
			w.stays(5 * time.Minute)
			for i, from := range w.nodes {
				for j, to := range w.nodes {
					if i == j {
						continue
					}
					want := i < 2 || j < 2 || reaches(kind, packets.Symmetric)
					if err := from.hears(to); (err == nil) != want {
						t.Errorf("%s: a stream from %d to %d: %v, want %v", kind, i, j, err, want)
					}
				}
			}
		})
	}
}

func TestMeshOfTwoBehindOneNAT(t *testing.T) {
	for _, hairpin := range []bool{true, false} {
		o := homes(3)
		o.NATs = []packets.NAT{{Kind: packets.Restricted, Hosts: []int{1, 2}, Hairpin: hairpin}}
		inMeshes(t, o, func(t *testing.T, w *meshes) {
			w.mesh()
			w.within(meetWithin, "whole mesh", w.whole)
			w.stays(5 * time.Minute)
			// Members tell the address that others see: without discovery on
			// the LAN nobody learns that the way is short.
			if err := w.nodes[1].hears(w.nodes[2]); (err == nil) != hairpin {
				t.Errorf("hairpin %v: a stream inside: %v", hairpin, err)
			}
			if err := w.nodes[0].hears(w.nodes[2]); err != nil {
				t.Errorf("a stream from outside: %v", err)
			}
		})
	}
}
