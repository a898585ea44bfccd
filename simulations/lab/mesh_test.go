//go:build lab && linux

package lab

import (
	"path/filepath"
	"testing"
	"time"
)

// TestMembersFindEachOther joins hosts by a token without addresses.
func TestMembersFindEachOther(t *testing.T) {
	l := New(t)
	hosts := []*Host{l.Host(0.5), l.Host(0.5), l.Host(0.5)}
	hosts[0].Up()
	token := Invite(t, hosts[0], "--lan")
	second := hosts[1].Up("--join", token)
	third := hosts[2].Up("--join", token)
	for _, h := range hosts {
		Await(t, h, 3, time.Until(third.At.Add(5*time.Second)))
	}
	t.Logf("three members listed on every host %v after the last ready line", time.Since(third.At))

	second.Kill()
	back := hosts[1].Up()
	if back.Peer != second.Peer {
		t.Errorf("came back as %s, was %s", back.Peer, second.Peer)
	}
	for _, h := range hosts {
		Await(t, h, 3, time.Until(back.At.Add(5*time.Second)))
	}
}

// TestBuildOnAll builds on three hosts, then copies elsewhere, where nothing is
// executed.
func TestBuildOnAll(t *testing.T) {
	l := New(t)
	hosts, nodes := Mesh(t, l, 3, 0.6)
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
	fourth.Up("--join", Invite(t, hosts[1], "--lan"))
	third := filepath.Join(fourth.Dir, "zstd")
	Project(t, third)
	_, f = fourth.Build(third)
	if f.Executed != 0 || f.CachedLocal+f.CachedMesh != f.Steps {
		t.Errorf("a new host after the first one's death: %+v", f)
	}
	SameOutputs(t, Outputs(t, third), want)
}
