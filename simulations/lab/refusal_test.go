//go:build lab && linux

package lab

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestTokensThatAreNoUse checks what a machine is told that joins with one.
func TestTokensThatAreNoUse(t *testing.T) {
	l := New(t)
	inviter, joiner := l.Host(0.5), l.Host(0.5)
	node := inviter.Up()
	good := Invite(t, inviter)
	flipped := []byte(good)
	if flipped[len(flipped)/2]++; flipped[len(flipped)/2] > 'z' {
		flipped[len(flipped)/2] = 'a'
	}
	for name, token := range map[string]string{
		"garbage":   "no token at all",
		"cut short": good[:len(good)-3],
		"a typo":    string(flipped),
	} {
		o := joiner.Buildnet("node", "up", "--join", token)
		if o.Exit != 2 || !strings.Contains(o.Stderr, "not a usable invitation token") || o.Stdout != "" {
			t.Errorf("%s: exit status %d, %q, %q", name, o.Exit, o.Stdout, o.Stderr)
		}
	}

	node.Stop()
	start := time.Now()
	o := joiner.Buildnet("node", "up", "--join", good)
	if o.Exit != 3 || !strings.Contains(o.Stderr, "no member of the mesh answered") {
		t.Errorf("nobody answers: exit status %d, %q", o.Exit, o.Stderr)
	}
	t.Logf("said after %v that nobody answers: %s", time.Since(start), o.Stderr)

	inviter.Up()
	joiner.Up("--join", good) // the failures before have left nothing behind
	Await(t, inviter, 2, 10*time.Second)
}

// TestTokenOfAnotherMesh checks that a member gives nothing away to a machine
// that knows its address and another secret, and logs it once.
func TestTokenOfAnotherMesh(t *testing.T) {
	l := New(t)
	host, stranger := l.Host(0.5), l.Host(0.5)
	host.Up()
	foreign := Invite(t, host)
	host.Kill()
	if err := os.RemoveAll(host.Home); err != nil {
		t.Fatal(err)
	}
	node := host.Up() // at the address that the token tells, in a new mesh
	for range 2 {
		o := stranger.Buildnet("node", "up", "--join", foreign)
		if o.Exit != 3 || o.Stdout != "" {
			t.Errorf("exit status %d, %q, %q", o.Exit, o.Stdout, o.Stderr)
		}
	}
	if n := strings.Count(node.Log(), stranger.Addr); n != 1 {
		t.Errorf("the member logged the stranger's address %d times", n)
	}
	Await(t, host, 1, time.Second)
}

// TestSecondNodeOnAHome checks that it is refused and says who has the home.
func TestSecondNodeOnAHome(t *testing.T) {
	h := New(t).Host(0.5)
	n := h.Up()
	for range 2 {
		o := h.Buildnet("node", "up", "--listen", "0.0.0.0:7950", "--api", "127.0.0.1:9950")
		if o.Exit != 3 || !strings.Contains(o.Stderr, fmt.Sprint(n.cmd.Process.Pid)) || !strings.Contains(o.Stderr, h.Home) {
			t.Errorf("exit status %d, does not name process %d: %q", o.Exit, n.cmd.Process.Pid, o.Stderr)
		}
	}
	Await(t, h, 1, time.Second)
	n.Stop()
	h.Up()
}

// TestCopiedHome checks that a second machine with the same identity is
// refused and the first one stays.
func TestCopiedHome(t *testing.T) {
	l := New(t)
	hosts, nodes := Mesh(t, l, 2, 0.6)
	thief := l.Host(0.6)
	nodes[1].Stop()
	if out, err := run("cp", "-a", hosts[1].Home, thief.Home); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	nodes[1] = hosts[1].Up()
	Await(t, hosts[0], 2, 10*time.Second)
	o := thief.Buildnet("node", "up")
	if o.Exit == 0 || !strings.Contains(o.Stderr, "copied") || o.Stdout != "" {
		t.Errorf("the copy: exit status %d, %q, %q", o.Exit, o.Stdout, o.Stderr)
	}
	for i, h := range hosts {
		Await(t, h, 2, 5*time.Second)
		for _, m := range h.Members() {
			if strings.HasPrefix(m.Addr, thief.Addr+":") {
				t.Errorf("host %d lists the copy: %+v", i+1, m)
			}
		}
	}
	select {
	case <-nodes[1].done:
		t.Error("the first node ended for the copy's sake")
	default:
	}
}
