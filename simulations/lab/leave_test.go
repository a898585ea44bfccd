//go:build lab && linux

package lab

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestNodeInTheBackground checks up --detach, status, down and SIGTERM.
func TestNodeInTheBackground(t *testing.T) {
	h := New(t).Host(0.6)
	o := h.Buildnet("node", "up", "--detach", "--json")
	var ready Ready
	if err := json.Unmarshal([]byte(o.Stdout), &ready); o.Exit != 0 || err != nil || ready.Event != "ready" {
		t.Fatalf("node up --detach: exit status %d, %v, %q %s", o.Exit, err, o.Stdout, o.Stderr)
	}
	o = h.Buildnet("node", "status", "--json")
	var status struct {
		Peer, Isolation, Listen, Version string
		PID                              int
		Cores, BPU                       float64
	}
	if err := json.Unmarshal([]byte(o.Stdout), &status); o.Exit != 0 || err != nil {
		t.Fatalf("node status: exit status %d, %v, %q %s", o.Exit, err, o.Stdout, o.Stderr)
	}
	if status.Peer != ready.Peer || status.Listen != ready.Listen || status.Isolation != "full" || status.BPU <= 0 {
		t.Errorf("status %+v of node %+v", status, ready)
	}
	if !rights.rootless && status.Cores != 0.6 {
		t.Errorf("a host of 0.6 cores has %v", status.Cores)
	}
	if o = h.Buildnet("node", "down"); o.Exit != 0 {
		t.Errorf("node down: exit status %d: %s", o.Exit, o.Stderr)
	}
	if left := h.Processes(); len(left) > 0 {
		t.Errorf("after node down: %v", left)
	}
	if o = h.Buildnet("node", "status"); o.Exit != 3 || !strings.Contains(o.Stderr, "node up") {
		t.Errorf("status without a node: exit status %d: %s", o.Exit, o.Stderr)
	}
	if o = h.Buildnet("node", "down"); o.Exit != 3 {
		t.Errorf("down without a node: exit status %d: %s", o.Exit, o.Stderr)
	}

	n := h.Up()
	n.Stop()
	if status := n.cmd.ProcessState.ExitCode(); status != 0 {
		t.Errorf("after SIGTERM: exit status %d: %s", status, n.Log())
	}
	if _, err := os.Stat(filepath.Join(h.Home, "node.sock")); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
}

// TestSIGTERMDrains checks that a node that is told to end lets its build end,
// and that a worker's end costs a build nothing.
func TestSIGTERMDrains(t *testing.T) {
	l := New(t)
	hosts, nodes := Mesh(t, l, 2, 0.6, "--slots", "2")
	s := Sleepy{Tag: "drain", Parts: 20, Step: 400 * time.Millisecond}
	dir := s.In(t, hosts[0])
	b := hosts[0].Start(dir)
	finishedSteps(b, 4)
	nodes[1].Stop()
	if status := nodes[1].cmd.ProcessState.ExitCode(); status != 0 {
		t.Errorf("a worker after SIGTERM: exit status %d: %s", status, nodes[1].Log())
	}
	nodes[0].Stop()
	if status := nodes[0].cmd.ProcessState.ExitCode(); status != 0 {
		t.Errorf("the initiator after SIGTERM: exit status %d: %s", status, nodes[0].Log())
	}
	if status := b.Wait(); status != 0 {
		t.Errorf("the build: exit status %d: %s", status, b.Stderr())
	}
	s.Check(t, dir)
}

// gone waits until the host lists nobody under peer.
func gone(t *testing.T, h *Host, peer string, within time.Duration) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		listed := false
		for _, m := range h.Members() {
			listed = listed || m.Peer == peer && m.State != "left"
		}
		if !listed {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("host %s still lists %s: %+v", h.Name, peer, h.Members())
		}
		<-time.After(100 * time.Millisecond)
	}
}

// TestLeave checks that who leaves is gone at once, alone, and stays so until
// it is invited again.
func TestLeave(t *testing.T) {
	l := New(t)
	hosts, nodes := Mesh(t, l, 3, 0.5)
	if o := hosts[2].Buildnet("mesh", "leave"); o.Exit != 0 {
		t.Fatalf("mesh leave: exit status %d: %s", o.Exit, o.Stderr)
	}
	for _, h := range hosts[:2] {
		gone(t, h, nodes[2].Peer, 5*time.Second)
		Await(t, h, 2, time.Second)
	}
	nodes[2].Kill()
	nodes[2] = hosts[2].Up()
	Await(t, hosts[2], 1, time.Second)
	Await(t, hosts[0], 2, time.Second)
	nodes[2].Stop()
	hosts[2].Up("--join", Invite(t, hosts[0], "--lan"))
	for _, h := range hosts {
		Await(t, h, 3, 10*time.Second)
	}
}

// TestRevoke checks that who is revoked is out for good, and that a member
// which was down meanwhile comes back.
func TestRevoke(t *testing.T) {
	l := New(t)
	hosts, nodes := Mesh(t, l, 4, 0.5)
	old, oldHere := Invite(t, hosts[0], "--lan"), Invite(t, hosts[0])
	sleeper, thief := hosts[3], hosts[2]
	nodes[3].Stop()
	if o := hosts[0].Buildnet("mesh", "revoke", nodes[2].Peer); o.Exit != 0 {
		t.Fatalf("mesh revoke: exit status %d: %s", o.Exit, o.Stderr)
	}
	for _, h := range hosts[:2] {
		gone(t, h, nodes[2].Peer, 5*time.Second)
	}
	Await(t, thief, 1, 30*time.Second)

	nodes[2].Kill()
	for _, token := range []string{"", old, oldHere} {
		args := []string{"node", "up", "--detach"}
		if token != "" {
			args = append(args, "--join", token)
		}
		switch o := thief.Buildnet(args...); o.Exit {
		case 3: // nobody answers, which is all that it is told
		case 0:
			Await(t, thief, 1, time.Second) // alone
			thief.Buildnet("node", "down")
		default:
			t.Errorf("the revoked host with its home, %v: exit status %d: %s%s", args, o.Exit, o.Stdout, o.Stderr)
		}
	}
	fresh := l.Host(0.5)
	if o := fresh.Buildnet("node", "up", "--join", oldHere); o.Exit != 3 {
		t.Errorf("a new host with a token from before: exit status %d: %s%s", o.Exit, o.Stdout, o.Stderr)
	}

	nodes[3] = sleeper.Up()
	others := []*Host{hosts[0], hosts[1], sleeper}
	for _, h := range others {
		Await(t, h, 3, 15*time.Second)
		gone(t, h, nodes[2].Peer, time.Second)
	}
	takesPart(t, hosts[0], nodes[3])
	if o := fresh.Buildnet("node", "up", "--detach", "--join", Invite(t, hosts[1])); o.Exit != 0 {
		t.Errorf("a new host with a token from after: exit status %d: %s%s", o.Exit, o.Stdout, o.Stderr)
	}
	for _, h := range others {
		Await(t, h, 4, 10*time.Second)
	}
}
