//go:build lab && linux

package lab

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// mesh starts a node on each of n new hosts: the first makes the mesh, the
// others join by a token without addresses. All get args.
func mesh(t *testing.T, l *Lab, n int, cpus float64, args ...string) ([]*Host, []*Node) {
	t.Helper()
	hosts, nodes := make([]*Host, n), make([]*Node, n)
	for i := range hosts {
		hosts[i] = l.Host(cpus)
	}
	nodes[0] = hosts[0].Up(args...)
	token := invite(t, hosts[0], "--lan")
	for i := 1; i < n; i++ {
		nodes[i] = hosts[i].Up(append([]string{"--join", token}, args...)...)
	}
	for _, h := range hosts {
		await(t, h, n, 10*time.Second)
	}
	return hosts, nodes
}

func invite(t *testing.T, h *Host, args ...string) string {
	t.Helper()
	o := h.Buildnet(append([]string{"mesh", "invite"}, args...)...)
	token, rest, _ := strings.Cut(o.Stdout, "\n")
	if o.Exit != 0 || token == "" || rest != "" {
		t.Fatalf("mesh invite: exit status %d, stdout %q, stderr %q", o.Exit, o.Stdout, o.Stderr)
	}
	return token
}

// await waits until the host lists n alive members with what is known of them.
func await(t *testing.T, h *Host, n int, within time.Duration) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		ms := h.Members()
		lack := incomplete(ms, n)
		if lack == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("host %s: after %v: %s: %+v", h.Name, within, lack, ms)
		}
		<-time.After(100 * time.Millisecond)
	}
}

func incomplete(ms []Member, n int) string {
	alive := 0
	for _, m := range ms {
		if m.State != "alive" {
			continue
		}
		alive++
		if m.BPU <= 0 || m.Cores <= 0 || m.RTTMS <= 0 && !m.Self {
			return fmt.Sprintf("member %s lacks BPU, cores or RTT", m.Name)
		}
	}
	if alive != n {
		return fmt.Sprintf("%d members are alive, want %d", alive, n)
	}
	return ""
}

// TestMembersFindEachOther joins hosts by a token without addresses.
func TestMembersFindEachOther(t *testing.T) {
	l := New(t)
	hosts := []*Host{l.Host(0.5), l.Host(0.5), l.Host(0.5)}
	hosts[0].Up()
	token := invite(t, hosts[0], "--lan")
	second := hosts[1].Up("--join", token)
	third := hosts[2].Up("--join", token)
	for _, h := range hosts {
		await(t, h, 3, time.Until(third.At.Add(5*time.Second)))
	}
	t.Logf("three members listed on every host %v after the last ready line", time.Since(third.At))

	second.Kill()
	back := hosts[1].Up()
	if back.Peer != second.Peer {
		t.Errorf("came back as %s, was %s", back.Peer, second.Peer)
	}
	for _, h := range hosts {
		await(t, h, 3, time.Until(back.At.Add(5*time.Second)))
	}
}

// TestBuildOnAll builds on three hosts, then copies elsewhere, where nothing is
// executed.
func TestBuildOnAll(t *testing.T) {
	l := New(t)
	hosts, nodes := mesh(t, l, 3, 0.6)
	first := filepath.Join(hosts[0].Dir, "zstd")
	Project(t, first)
	_, f := hosts[0].Build(first)
	t.Logf("full build: %+v", f)
	if len(f.ByPeer) != 3 {
		t.Errorf("steps were executed by %v, want all three hosts", f.ByPeer)
	}
	for _, n := range nodes {
		if logged := len(n.Executions(f.Build)); logged != f.ByPeer[n.Peer] {
			t.Errorf("%s logged %d executions, by_peer says %d", n.Peer, logged, f.ByPeer[n.Peer])
		}
	}

	outside := New(t).Host(2)
	alone := filepath.Join(outside.Dir, "elsewhere")
	Project(t, alone)
	outside.Build(alone, "--local", "--force")
	want := Outputs(t, alone)
	SameOutputs(t, Outputs(t, first), want)

	second := filepath.Join(hosts[2].Dir, "a", "longer", "path")
	Project(t, second)
	_, f = hosts[2].Build(second)
	if f.Executed != 0 || f.CachedLocal+f.CachedMesh != f.Steps {
		t.Errorf("a second copy on host 3: %+v", f)
	}
	SameOutputs(t, Outputs(t, second), want)

	nodes[0].Kill()
	fourth := l.Host(0.6)
	fourth.Up("--join", invite(t, hosts[1], "--lan"))
	third := filepath.Join(fourth.Dir, "zstd")
	Project(t, third)
	_, f = fourth.Build(third)
	if f.Executed != 0 || f.CachedLocal+f.CachedMesh != f.Steps {
		t.Errorf("a new host after the first one's death: %+v", f)
	}
	SameOutputs(t, Outputs(t, third), want)
}
