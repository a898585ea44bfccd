//go:build lab && linux

package lab

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Mesh starts a node on each of n new hosts: the first makes the mesh, the
// others join by a token without addresses. All get args.
func Mesh(t testing.TB, l *Lab, n int, cpus float64, args ...string) ([]*Host, []*Node) {
	t.Helper()
	hosts, nodes := make([]*Host, n), make([]*Node, n)
	for i := range hosts {
		hosts[i] = l.Host(cpus)
	}
	nodes[0] = hosts[0].Up(args...)
	token := Invite(t, hosts[0], "--lan")
	for i := 1; i < n; i++ {
		nodes[i] = hosts[i].Up(append([]string{"--join", token}, args...)...)
	}
	for _, h := range hosts {
		Await(t, h, n, 10*time.Second)
	}
	return hosts, nodes
}

// Invite returns a token by which others join the host's mesh.
func Invite(t testing.TB, h *Host, args ...string) string {
	t.Helper()
	o := h.Buildnet(append([]string{"mesh", "invite"}, args...)...)
	token, rest, _ := strings.Cut(o.Stdout, "\n")
	if o.Exit != 0 || token == "" || rest != "" {
		t.Fatalf("mesh invite: exit status %d, stdout %q, stderr %q", o.Exit, o.Stdout, o.Stderr)
	}
	return token
}

// Await waits until the host lists n alive members with what is known of them.
func Await(t testing.TB, h *Host, n int, within time.Duration) {
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
