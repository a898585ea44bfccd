//go:build lab && linux

package lab

import (
	"testing"
	"time"

	"github.com/buildnet/buildnet/simulations/network"
)

// wide is a way of 20 ms there and back.
var wide = network.Path{Latency: 10 * time.Millisecond, Bandwidth: 12.5e6}

// alive waits until the host lists n alive members, whatever it knows of them:
// gossip reaches further than streams do.
func alive(t *testing.T, h *Host, n int, within time.Duration) {
	t.Helper()
	for deadline := time.Now().Add(within); ; <-time.After(100 * time.Millisecond) {
		count := 0
		ms := h.Members()
		for _, m := range ms {
			if m.State == "alive" {
				count++
			}
		}
		if count == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("host %s: after %v %d members are alive, want %d: %+v", h.Name, within, count, n, ms)
		}
	}
}

// TestMeshBehindMasquerades has two sites that nobody can reach uninvited, and
// a public one. SWIM's probes and the hellos of both sides open the way
// between the two: their mappings are the same for every destination.
func TestMeshBehindMasquerades(t *testing.T) {
	w := NewInternet(t, 1, wide, Routed, Masquerade, Masquerade)
	hosts, nodes := span(t, w, 1, 0.5, "--slots", "2")
	for _, h := range hosts {
		Await(t, h, 3, 30*time.Second)
	}
	for i, m := range []int{1, 2} {
		s := Sleepy{Tag: "masquerade" + hosts[m].Addr, Parts: 40, Step: 400 * time.Millisecond}
		dir := s.In(t, hosts[m])
		b, f := hosts[m].Build(dir)
		s.Check(t, dir)
		t.Logf("behind gateway %d: %.1f s, %v", i+1, f.WallMS/1000, f.ByPeer)
		if len(f.ByPeer) != 3 || !s.executedAll(f) {
			t.Errorf("behind gateway %d: executed by %v, want all three: %+v", i+1, f.ByPeer, last(b.Events(), 3))
		}
	}
	for _, n := range nodes {
		takesPart(t, hosts[1], n)
	}
}

// TestMeshBehindSymmetricNATs is the same with two members a site, behind
// mappings that are different for every destination. Members of the two sites
// hear of one another by gossip and have no way to each other: until there are
// relays, they work with the public ones and with their own site.
func TestMeshBehindSymmetricNATs(t *testing.T) {
	w := NewInternet(t, 1, wide, Routed, Symmetric, Symmetric)
	hosts, nodes := span(t, w, 2, 0.3, "--slots", "2")
	for _, h := range hosts {
		alive(t, h, 6, 30*time.Second)
	}
	for _, i := range []int{2, 3, 4, 0} {
		s := Sleepy{Tag: "symmetric" + hosts[i].Addr, Parts: 40, Step: 400 * time.Millisecond}
		dir := s.In(t, hosts[i])
		b, f := hosts[i].Build(dir)
		s.Check(t, dir)
		t.Logf("asked for on member %d: %.1f s; steps at each site: %d, %d, %d",
			i, f.WallMS/1000, atSite(f, nodes[:2]), atSite(f, nodes[2:4]), atSite(f, nodes[4:]))
		site := nodes[i/2*2 : i/2*2+2]
		if !s.executedAll(f) || atSite(f, nodes[:2]) == 0 || atSite(f, site) == 0 {
			t.Errorf("asked for on member %d: executed by %v: %+v", i, f.ByPeer, last(b.Events(), 3))
		}
	}
	for _, h := range hosts {
		alive(t, h, 6, 10*time.Second)
	}
}

// TestResultBehindAnotherNAT builds what is known already, but lies with a
// member that cannot be reached: it is executed again.
func TestResultBehindAnotherNAT(t *testing.T) {
	w := NewInternet(t, 1, wide, Routed, Symmetric, Symmetric)
	hosts, _ := span(t, w, 1, 0.5, "--slots", "2")
	for _, h := range hosts {
		alive(t, h, 3, 30*time.Second)
	}
	s := Sleepy{Tag: "known", Parts: 20, Step: 400 * time.Millisecond}
	build := func(h *Host, args ...string) {
		dir := s.In(t, h)
		b, f := h.Build(dir, args...)
		s.Check(t, dir)
		t.Logf("%s: %.1f s, %d executed, %d from the mesh", h.Addr, f.WallMS/1000, f.Executed, f.CachedMesh)
		if !s.executedAll(f) {
			t.Errorf("%s: %+v", h.Addr, last(b.Events(), 3))
		}
	}
	build(hosts[1], "--local")
	build(hosts[2])
}
