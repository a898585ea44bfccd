//go:build lab && linux

package bazel

import (
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/simulations/lab"
)

// TestTwoCompilers has two hosts with different compilers, and a client on each: they
// share nothing, and each has what its own compiler makes.
func TestTwoCompilers(t *testing.T) {
	usual, other := lab.TwoCompilers(t)
	l := lab.New(t)
	hosts := []*lab.Host{l.Host(power), l.Host(power)}
	hosts[1].Bind(other, usual)
	nodes := []*lab.Node{hosts[0].Up()}
	nodes = append(nodes, hosts[1].Up("--join", lab.Invite(t, hosts[0], "--lan")))
	for _, h := range hosts {
		lab.Await(t, h, len(hosts), 20*time.Second)
	}
	g := groundOf(t, lab.NewGround(hosts, nodes))
	var made [2]map[string][]byte
	for i, h := range hosts {
		c := g.client(h, "compilers")
		r := c.bazel(mesh("build")...).ended(t)
		by, _ := g.Executed()
		t.Logf("from %s: %v, executed %v", h.Name, r, by)
		if r["remote cache hit"] > 0 || by[1-i] > 0 {
			t.Errorf("%s had results of the other's compiler: %v, executed %v", h.Name, r, by)
		}
		made[i] = c.made()
	}
	differ := 0
	for p, b := range made[0] {
		if strings.HasSuffix(p, ".o") && string(b) != string(made[1][p]) {
			differ++
		}
	}
	if differ == 0 {
		t.Error("both compilers make the same: the test shows nothing")
	}
	outside := lab.New(t).Host(2)
	outside.Bind(other, usual)
	alone := g.client(outside, "alone")
	if r := alone.bazel("build", "--spawn_strategy=local", "//..."); r.exit != 0 {
		t.Fatalf("Bazel by itself exits with %d:\n%s", r.exit, tail(r.log))
	}
	same(t, made[1], alone.made())
}
