//go:build lab && linux

package bazel

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/simulations/lab"
	"github.com/buildnet/buildnet/simulations/lab/bazel/floor"
)

func TestMain(m *testing.M) {
	if takes, err := time.ParseDuration(os.Getenv(floorTakes)); err == nil {
		fmt.Fprintln(os.Stderr, floor.Serve(context.Background(), floorAddress, takes))
		os.Exit(1)
	}
	os.Exit(lab.Main(m))
}

// power is the part of a core that a host has.
const power = 1

// ground is a mesh of hosts and a kit.
type ground struct {
	*kit
	*lab.Ground
}

func newGround(t *testing.T) *ground {
	t.Helper()
	return groundOf(t, lab.NewGround(lab.Mesh(t, lab.New(t), 3, power)))
}

func groundOf(t *testing.T, of *lab.Ground) *ground {
	t.Helper()
	return &ground{newKit(t, filepath.Join(of.Hosts[0].Dir, "kit")), of}
}

// least is how many actions of the workspace are executed at least.
const least = 90

// TestBuildAndTest builds and tests it cold, again with a client that knows nothing,
// through another node, and with outputs that stay in the mesh; and all bytes are
// those of a Bazel by itself.
func TestBuildAndTest(t *testing.T) {
	g := newGround(t)
	cold := g.client(g.Hosts[0], "cold")
	c := cold.bazel(mesh("test")...).ended(t)
	by, _ := g.Executed()
	t.Logf("cold: %v", by)
	if c["remote"] < least {
		t.Errorf("%d actions were remote, want at least %d", c["remote"], least)
	}
	if busy := len(by) - count(by, 0); busy < 2 {
		t.Errorf("%d nodes executed: %v", busy, by)
	}
	for _, again := range []struct {
		name    string
		host    *lab.Host
		command []string
	}{
		{"again", g.Hosts[0], mesh("test")},
		{"through another node", g.Hosts[1], mesh("test")},
		{"with outputs that stay in the mesh", g.Hosts[2], append(mesh("test", "--remote_download_minimal"), "-//links/...")},
	} {
		r := g.client(again.host, strings.ReplaceAll(again.name, " ", "-")).bazel(again.command...).ended(t)
		if by, sum := g.Executed(); r["remote"] > 0 || sum > 0 || r["remote cache hit"] < least-10 {
			t.Errorf("%s: %v; executed %v", again.name, r, by)
		}
	}
	alone := g.client(lab.New(t).Host(2), "alone")
	if r := alone.bazel("test", "--spawn_strategy=local", "//..."); r.exit != 0 {
		t.Fatalf("Bazel by itself exits with %d:\n%s", r.exit, tail(r.log))
	}
	same(t, cold.made(), alone.made())
}

func count(all []int, x int) (n int) {
	for _, y := range all {
		if x == y {
			n++
		}
	}
	return n
}

// made are the files of bazel-bin, and where links lead.
func (c *client) made() map[string][]byte {
	c.k.t.Helper()
	bins, err := filepath.Glob(filepath.Join(c.base, "execroot/*/bazel-out/*/bin"))
	if err != nil || len(bins) == 0 {
		c.k.t.Fatalf("nothing was built below %s: %v", c.base, err)
	}
	all := map[string][]byte{}
	for _, bin := range bins {
		err := filepath.WalkDir(bin, func(p string, d fs.DirEntry, err error) error {
			name := strings.TrimPrefix(p, filepath.Dir(filepath.Dir(bin))+"/")
			switch {
			case err != nil:
				return err
			case d.IsDir():
				all[name+"/"] = nil
				return nil
			}
			if all[name], err = os.ReadFile(p); err != nil { // where a link leads, too
				return err
			}
			return nil
		})
		if err != nil {
			c.k.t.Fatal(err)
		}
	}
	return all
}

// names reports whether Bazel itself has written a file, of where others lie: clients
// differ in that.
func names(p string) bool {
	return strings.HasSuffix(p, "MANIFEST") || strings.Contains(p, ".runfiles")
}

func same(t *testing.T, a, b map[string][]byte) {
	t.Helper()
	compared := 0
	for p := range a {
		if names(p) {
			continue
		}
		if other, is := b[p]; !is || !bytes.Equal(a[p], other) {
			t.Errorf("%s is not as Bazel makes it by itself (is there: %v)", p, is)
		}
		compared++
	}
	for p := range b {
		if _, is := a[p]; !is && !names(p) {
			t.Errorf("%s is missing", p)
		}
	}
	t.Logf("%d files and directories are the same", compared)
	if compared < least {
		t.Errorf("%d files are too few", compared)
	}
}

// busy waits until so many actions were executed.
func (g *ground) busy(n int) {
	g.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); <-tick.C {
		all := 0
		for _, node := range g.Nodes {
			all += len(node.Executions(""))
		}
		if all >= n {
			return
		}
	}
	g.t.Fatalf("no %d executions", n)
}

// TestANodeDies kills a worker in the middle of a build: Bazel does not hear of it.
func TestANodeDies(t *testing.T) {
	g := newGround(t)
	wait := g.client(g.Hosts[0], "dies").start(mesh("test")...)
	g.busy(20)
	g.Nodes[2].Kill()
	wait().ended(t)
}

// TestLeaderDies kills the leader of Bazel's build, where that is not Bazel's node.
func TestLeaderDies(t *testing.T) {
	// The strongest leads: Bazel's own node is the weakest.
	l := lab.New(t)
	hosts := []*lab.Host{l.Host(power / 2.0), l.Host(power), l.Host(power)}
	nodes := []*lab.Node{hosts[0].Up()}
	token := lab.Invite(t, hosts[0], "--lan")
	for _, h := range hosts[1:] {
		nodes = append(nodes, h.Up("--join", token))
	}
	for _, h := range hosts {
		lab.Await(t, h, len(hosts), 10*time.Second)
	}
	g := groundOf(t, lab.NewGround(hosts, nodes))
	wait := g.client(hosts[0], "dies").start(mesh("test")...)
	g.busy(20)
	leader := -1
	for i, n := range nodes {
		if strings.Contains(n.Log(), "msg=leading") {
			leader = i
		}
	}
	t.Logf("node %d leads", leader)
	if leader <= 0 {
		t.Fatalf("node %d leads, want one of the stronger ones", leader)
	}
	nodes[leader].Kill()
	wait().ended(t)
}

// TestItsNodeIsRestarted kills the node that Bazel talks to, and starts it again:
// Bazel's own retries carry it through, and what was finished is not run again.
func TestItsNodeIsRestarted(t *testing.T) {
	g := newGround(t)
	wait := g.client(g.Hosts[0], "restarted").start(mesh("test", "--remote_retries=8")...)
	g.busy(30)
	crashed := g.Nodes[0]
	crashed.Crash()
	g.Nodes[0] = g.Hosts[0].Up()
	wait().ended(t)
	ran := map[string]int{}
	for _, n := range append(g.Nodes, crashed) {
		for _, e := range n.Executions("") {
			ran[e.Action]++
		}
	}
	again := 0
	for _, times := range ran {
		again += times - 1
	}
	// An execution that ends as the node dies is nowhere to be found: one for each slot.
	t.Logf("%d actions; %d were executed again", len(ran), again)
	if again > len(g.Nodes) {
		t.Errorf("%d actions were executed again", again)
	}
}

// TestTwoClients build the same through two nodes at once: each action is executed
// once.
func TestTwoClients(t *testing.T) {
	g := newGround(t)
	first := g.client(g.Hosts[0], "first").start(mesh("build")...)
	second := g.client(g.Hosts[1], "second").start(mesh("build")...)
	first().ended(t)
	second().ended(t)
	ran := map[string]int{}
	for _, n := range g.Nodes {
		for _, e := range n.Executions("") {
			ran[e.Action]++
		}
	}
	t.Logf("%d actions", len(ran))
	for action, times := range ran {
		if times > 1 {
			t.Errorf("%s was executed %d times", action, times)
		}
	}
}
