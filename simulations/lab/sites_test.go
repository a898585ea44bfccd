//go:build lab && linux

package lab

import (
	"fmt"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/simulations/network"
)

// continental is a way of 40 ms there and back that loses a packet in a
// hundred.
var continental = network.Path{Latency: 20 * time.Millisecond, Jitter: time.Millisecond, Loss: 0.01, Bandwidth: 12.5e6}

// span starts a node on each of n new hosts of every site, site by site. All
// but the first join by its token.
func span(t *testing.T, w *Internet, n int, cpus float64, args ...string) (hosts []*Host, nodes []*Node) {
	t.Helper()
	var token string
	for _, site := range w.Sites {
		for range n {
			h := site.Host(cpus)
			own := args
			if token != "" {
				own = append([]string{"--join", token}, args...)
			}
			hosts, nodes = append(hosts, h), append(nodes, h.Up(own...))
			if token == "" {
				token = Invite(t, h)
			}
		}
	}
	return hosts, nodes
}

// atSite counts the steps that the nodes of a site have executed.
func atSite(f event.BuildFinished, nodes []*Node) (n int) {
	for _, x := range nodes {
		n += f.ByPeer[x.Peer]
	}
	return n
}

// TestMeshOverTwoSites builds on two LANs with a continent between them.
func TestMeshOverTwoSites(t *testing.T) {
	w := NewInternet(t, 1, continental, Routed, Routed)
	hosts, nodes := span(t, w, 3, 0.3, "--slots", "2")
	for _, h := range hosts {
		Await(t, h, 6, 20*time.Second)
	}
	for i, h := range hosts[:2] { // from one site, and again with what is known there
		s := Sleepy{Tag: fmt.Sprint("span", i), Parts: 90, Step: 400 * time.Millisecond}
		dir := s.In(t, h)
		b, f := h.Build(dir)
		s.Check(t, dir)
		t.Logf("%.1f s, led by %s: %d steps here, %d at the other site", f.WallMS/1000, f.Leader, atSite(f, nodes[:3]), atSite(f, nodes[3:]))
		if !s.executedAll(f) || atSite(f, nodes[:3]) == 0 || atSite(f, nodes[3:]) == 0 {
			t.Errorf("not both sites work: %v %+v", f.ByPeer, last(b.Events(), 3))
		}
	}
	s := Sleepy{Tag: "span0", Parts: 90, Step: 400 * time.Millisecond}
	dir := s.In(t, hosts[5])
	if _, f := hosts[5].Build(dir); f.Executed != 0 {
		t.Errorf("what the other site has built is built again: %+v", f)
	}
	s.Check(t, dir)
}

// TestSitesAreCutApart cuts the way between two sites during a build, wholly
// or in one direction, and heals it.
func TestSitesAreCutApart(t *testing.T) {
	for _, way := range []struct {
		name string
		cuts [][2]int
		// heal is how long after the cut the way is whole again; 0 is after the
		// build.
		heal time.Duration
	}{
		{"both", [][2]int{{0, 1}, {1, 0}}, 0},
		{"both, briefly", [][2]int{{0, 1}, {1, 0}}, 3 * time.Second},
		{"there", [][2]int{{0, 1}}, 3 * time.Second},
		{"back", [][2]int{{1, 0}}, 3 * time.Second},
		{"there, for long", [][2]int{{0, 1}}, 0},
		{"back, for long", [][2]int{{1, 0}}, 0},
	} {
		t.Run(way.name, func(t *testing.T) {
			w := NewInternet(t, 1, continental, Routed, Routed)
			hosts, nodes := span(t, w, 3, 0.3, "--slots", "2")
			for _, h := range hosts {
				Await(t, h, 6, 20*time.Second)
			}
			s := Sleepy{Tag: "cut " + way.name, Parts: 120, Step: 400 * time.Millisecond}
			dir := s.In(t, hosts[0])
			b := hosts[0].Start(dir)
			finishedSteps(b, 15)
			for _, c := range way.cuts {
				w.Cut(c[0], c[1])
			}
			events := len(b.Events())
			if way.heal > 0 {
				<-time.After(way.heal)
				mend(w, way.cuts)
			}
			if status := b.Wait(); status != 0 {
				t.Errorf("exit status %d: %s %+v", status, b.Stderr(), last(b.Events(), 5))
			}
			s.Check(t, dir)
			onceEach(t, b, events, nodes)
			mend(w, way.cuts)
			for _, h := range hosts {
				Await(t, h, 6, 60*time.Second)
			}
			takesPart(t, hosts[0], nodes[5])
			f := b.Finished()
			t.Logf("%.1f s, led by %s in epoch %d: %d steps here, %d at the other site", f.WallMS/1000, f.Leader, f.Epoch, atSite(f, nodes[:3]), atSite(f, nodes[3:]))
		})
	}
}

func mend(w *Internet, cuts [][2]int) {
	for _, c := range cuts {
		w.Heal(c[0], c[1])
	}
}
