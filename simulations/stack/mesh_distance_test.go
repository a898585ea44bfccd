package stack

import (
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/simulations/network"
	"github.com/buildnet/buildnet/simulations/packets"
)

// TestMeshKnowsHowNearWhoAnswersLateIs: hosts short of CPU answer late, most of the
// time, and are no farther away for that.
func TestMeshKnowsHowNearWhoAnswersLateIs(t *testing.T) {
	const near, late = time.Millisecond, 200 * time.Millisecond
	busy := packets.Options{Seed: 1, Config: network.Config{
		Sites: []network.Site{{Name: "busy", Local: network.Path{Latency: near, Jitter: late}}}, Site: make([]int, 2),
	}}
	inMeshes(t, busy, func(t *testing.T, w *meshes) {
		w.mesh()
		w.within(meetWithin, "whole mesh", w.whole)
		a, b := w.nodes[0], w.nodes[1]
		for range 30 {
			if err := a.hears(b); err != nil {
				t.Fatal(err)
			}
		}
		pass(time.Minute) // coordinates settle
		for _, m := range a.Members() {
			if m.State != peer.Alive || m.Self {
				continue
			}
			if m.RTT < 2*near || m.RTT > late/2 {
				t.Errorf("round trip %s, want from %s to %s: the mean is %s", m.RTT, 2*near, late/2, 2*near+late)
			}
		}
		for _, got := range []time.Duration{a.Estimate(a.Self(), b.Self()), a.Estimate(b.Self(), a.Self())} {
			if got < 2*near || got > late/2 {
				t.Errorf("estimate %s, want from %s to %s", got, 2*near, late/2)
			}
		}
	})
}
