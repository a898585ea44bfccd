//go:build lab && linux

package lab

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
)

// TestStranger is the first part of acceptance 7.
func TestStranger(t *testing.T) {
	l := New(t)
	hosts, nodes := mesh(t, l, 2, 0.6)
	stranger := l.Host(0.6)
	foreign := stranger.Up()
	dir := filepath.Join(hosts[0].Dir, "zstd")
	Project(t, dir)
	hosts[0].Build(dir)

	own := filepath.Join(stranger.Dir, "zstd")
	Project(t, own)
	_, f := stranger.Build(own)
	if f.CachedMesh != 0 || f.RunRemote != 0 || f.BytesIn != 0 {
		t.Errorf("a stranger got something of the mesh: %+v", f)
	}
	for _, h := range append(hosts, stranger) {
		for _, m := range h.Members() {
			if h == stranger != (m.Peer == foreign.Peer) {
				t.Errorf("host %s lists %s", h.Name, m.Peer)
			}
		}
	}
	for _, n := range nodes {
		if executions(n, f.Build) != 0 {
			t.Errorf("%s executed something for a stranger", n.Peer)
		}
	}
}

// flood sends random bytes to an address, 10,000 packets a second for 10 s.
const flood = `
import os, socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
to, start, sent = (sys.argv[1], 7946), time.monotonic(), 0
while (now := time.monotonic() - start) < 10:
    while sent < now * 10000:
        n = 1 + os.urandom(1)[0] * 4
        s.sendto(os.urandom(n), to)
        sent += 1
    time.sleep(0.001)
print(sent)
`

// TestFlood is the second part of acceptance 7.
func TestFlood(t *testing.T) {
	l := New(t)
	hosts, _ := mesh(t, l, 2, 0.6)
	attacker := l.Host(1)
	script := filepath.Join(attacker.Dir, "flood.py")
	if err := os.WriteFile(script, []byte(flood), 0o644); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(hosts[0].Dir, "zstd")
	Project(t, dir)
	cmd := attacker.Command("python3", script, hosts[0].Addr)
	start := time.Now()
	b := hosts[0].Start(dir)
	out, err := cmd.Output()
	t.Logf("sent %s packets in %v", strings.TrimSpace(string(out)), time.Since(start))
	if sent, _ := strconv.Atoi(strings.TrimSpace(string(out))); err != nil || sent < 95_000 {
		t.Fatalf("%d packets are no flood: %v", sent, err)
	}
	if status := b.Wait(); status != 0 {
		t.Errorf("exit status %d: %s", status, b.Stderr())
	}
	lost := b.Until(func(e event.Event) bool {
		n, ok := e.(event.Notice)
		return ok && n.Level == event.Warning
	})
	if f := b.Finished(); !f.OK || f.RunRemote == 0 || lost {
		t.Errorf("under a flood: %+v %+v", f, last(b.Events(), 4))
	}
}

// TestAnotherCompiler is acceptance 9.
func TestAnotherCompiler(t *testing.T) {
	l := New(t)
	hosts, _ := mesh(t, l, 2, 0.6)
	other := l.Host(0.6)
	gcc, err := filepath.EvalSymlinks("/usr/bin/cc")
	if err != nil {
		t.Fatal(err)
	}
	real := filepath.Join(other.Dir, "real-cc")
	content, err := os.ReadFile(gcc)
	if err != nil {
		t.Fatal(err)
	}
	// A byte after its end changes a program's content and not what it does.
	if err := os.WriteFile(real, append(content, 'x'), 0o755); err != nil {
		t.Fatal(err)
	}
	other.Bind(real, gcc)
	foreign := other.Up("--join", invite(t, hosts[0], "--lan"))
	await(t, hosts[0], 3, 10*time.Second)

	dir := filepath.Join(hosts[0].Dir, "zstd")
	Project(t, dir)
	_, f := hosts[0].Build(dir, "zstd")
	if n := executions(foreign, f.Build); n > 1 {
		t.Errorf("the host with another cc executed %d steps; the archive alone needs no cc", n)
	}
	second := filepath.Join(other.Dir, "zstd")
	Project(t, second)
	_, f = other.Build(second, "zstd")
	if f.CachedMesh > 1 || f.RunRemote > 1 {
		t.Errorf("the host with another cc got results of the other compiler: %+v", f)
	}
	SameOutputs(t, Outputs(t, second), Outputs(t, dir))
}
