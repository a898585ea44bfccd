//go:build lab && linux

package lab

import (
	"os"
	"strings"
	"testing"
	"time"
)

// TestWholeMeshRestarts checks that members find each other again after a
// power failure of all, at the addresses that they had or at others.
func TestWholeMeshRestarts(t *testing.T) {
	l := New(t)
	hosts, nodes := Mesh(t, l, 3, 0.6)
	for _, n := range nodes {
		n.Kill()
	}
	for i, h := range hosts {
		peer := nodes[i].Peer
		if nodes[i] = h.Up(); nodes[i].Peer != peer {
			t.Errorf("host %s came back as %s, was %s", h.Name, nodes[i].Peer, peer)
		}
	}
	for _, h := range hosts {
		Await(t, h, 3, 15*time.Second)
	}

	// The third machine gets another address.
	nodes[2].Kill()
	moved := l.Host(0.6)
	if err := os.Rename(hosts[2].Home, moved.Home); err != nil {
		t.Fatal(err)
	}
	n := moved.Up()
	if n.Peer != nodes[2].Peer {
		t.Errorf("came back as %s, was %s", n.Peer, nodes[2].Peer)
	}
	for _, h := range []*Host{hosts[0], hosts[1], moved} {
		Await(t, h, 3, 30*time.Second)
		for _, m := range h.Members() {
			if m.Peer == n.Peer && !m.Self && !strings.HasPrefix(m.Addr, moved.Addr+":") {
				t.Errorf("host %s knows the moved one at %s, it is at %s", h.Name, m.Addr, moved.Addr)
			}
		}
	}
	takesPart(t, hosts[0], n)
}
