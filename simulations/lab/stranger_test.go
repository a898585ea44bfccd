//go:build lab && linux

package lab

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
)

// TestStranger puts a node of another mesh on the same LAN.
func TestStranger(t *testing.T) {
	l := New(t)
	hosts, nodes := Mesh(t, l, 2, 0.6)
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
		if len(n.Executions(f.Build)) != 0 {
			t.Errorf("%s executed something for a stranger", n.Peer)
		}
	}
}

// flood sends random bytes to an address, 10,000 packets a second for 10 s.
const flood = `
use Socket; use Time::HiRes qw(time sleep);
socket(my $s, PF_INET, SOCK_DGRAM, 0) or die $!;
my $to = pack_sockaddr_in(7946, inet_aton($ARGV[0]));
open(my $random, '<', '/dev/urandom') or die $!;
my ($start, $sent) = (time, 0);
while ((my $now = time - $start) < 10) {
	while ($sent < $now * 10000) {
		read($random, my $packet, 1 + int(rand(1020)));
		send($s, $packet, 0, $to);
		$sent++;
	}
	sleep(0.001);
}
print "$sent\n";
`

// TestFlood sends random packets to a member that builds.
func TestFlood(t *testing.T) {
	l := New(t)
	hosts, _ := Mesh(t, l, 2, 0.6)
	attacker := l.Host(1)
	script := filepath.Join(attacker.Dir, "flood.pl")
	if err := os.WriteFile(script, []byte(flood), 0o644); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(hosts[0].Dir, "zstd")
	Project(t, dir)
	cmd := attacker.Command("perl", script, hosts[0].Addr)
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
	var status struct{ Counters map[string]int64 }
	o := hosts[0].Buildnet("node", "status", "--json")
	if err := json.Unmarshal([]byte(o.Stdout), &status); err != nil || status.Counters["garbage_packets"] < 1000 {
		t.Errorf("garbage is not counted: %v %v %s", status, err, o.Stderr)
	}
	lost := b.Until(func(e event.Event) bool {
		n, ok := e.(event.Notice)
		return ok && n.Level == event.Warning
	})
	if f := b.Finished(); !f.OK || f.RunRemote == 0 || lost {
		t.Errorf("under a flood: %+v %+v", f, last(b.Events(), 4))
	}
}

// TestAnotherCompiler mounts another compiler over one host's.
func TestAnotherCompiler(t *testing.T) {
	l := New(t)
	hosts, _ := Mesh(t, l, 2, 0.6)
	other := l.Host(0.6)
	otherCompiler(t, other)
	foreign := other.Up("--join", Invite(t, hosts[0], "--lan"))
	Await(t, hosts[0], 3, 10*time.Second)

	dir := filepath.Join(hosts[0].Dir, "zstd")
	Project(t, dir)
	_, f := hosts[0].Build(dir, "zstd")
	if n := len(foreign.Executions(f.Build)); n > 1 {
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

// otherCompiler mounts a cc over the host's that does the same and has another
// content: a byte more after its end.
func otherCompiler(t *testing.T, h *Host) {
	t.Helper()
	gcc, err := filepath.EvalSymlinks("/usr/bin/cc")
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(gcc)
	if err != nil {
		t.Fatal(err)
	}
	mine := filepath.Join(h.Dir, "real-cc")
	if err := os.WriteFile(mine, append(content, 'x'), 0o755); err != nil {
		t.Fatal(err)
	}
	h.Bind(mine, gcc)
}

// TestCompilerIsReplaced checks that a build with another compiler is no
// instant skip and takes nothing that the former one made.
func TestCompilerIsReplaced(t *testing.T) {
	h := New(t).Host(1)
	dir := filepath.Join(h.Dir, "c")
	WriteTree(t, dir, map[string]string{".buildnet/config.yaml": `version: 1
packages:
  - name: c
    steps:
      - foreach: "*.c"
        run: ["cc", "-c", "{in}", "-o", "{stem}.o"]
        outputs: ["{stem}.o"]
`, "a.c": "int a;\n", "b.c": "int b;\n"})
	n := h.Up()
	h.Build(dir)
	if _, f := h.Build(dir); f.Tier != event.InstantSkip {
		t.Errorf("nothing changed: %+v", f)
	}
	n.Stop()
	otherCompiler(t, h)
	if _, f := h.Build(dir); f.Tier == event.InstantSkip || f.Executed != 2 {
		t.Errorf("with another compiler, without a node: %+v", f)
	}
	h.Up()
	if _, f := h.Build(dir); f.Executed != 0 {
		t.Errorf("again: %+v", f)
	}
}
