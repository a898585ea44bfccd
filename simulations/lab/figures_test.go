//go:build lab && linux

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
)

// The figures of docs/performance.md: each compares what it measures with a
// named limit or peer in the same run, by turns, and prints medians. They
// assert nothing about time.

// rounds is how often each side of a comparison runs.
const rounds = 15

func median[T int64 | float64 | time.Duration](xs []T) T {
	slices.Sort(xs)
	return xs[len(xs)/2]
}

// spent runs a command in the host and returns its wall and CPU time, its
// children's included.
func spent(t *testing.T, h *Host, dir string, argv ...string) (wall, cpu time.Duration) {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "BUILDNET_HOME="+h.Home)
	start := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", argv, err, out)
	}
	return time.Since(start), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// plainHost is a host whose commands run on this machine itself: a comparison
// of whole processes must not measure nsenter.
func plainHost(t *testing.T) *Host {
	t.Helper()
	dir := t.TempDir()
	return &Host{t: t, Name: "local", Dir: dir, Home: filepath.Join(dir, "home")}
}

// startPlain runs a node on this machine until the test ends.
func startPlain(t *testing.T, h *Host) *exec.Cmd {
	t.Helper()
	argv := append(program(t), "node", "up", "--listen", "127.0.0.1:0", "--api", "127.0.0.1:0", "--json")
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "BUILDNET_HOME="+h.Home)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatalf("node up: %v", err)
	}
	return cmd
}

// ninjaFile writes a build.ninja that does what the example project's library
// does.
func ninjaFile(t *testing.T, dir string) {
	t.Helper()
	var b strings.Builder
	b.WriteString("rule cc\n  command = cc -O0 -DZSTD_LEGACY_SUPPORT=4 -DZSTD_MULTITHREAD=1 -MMD -MF $out.d -c $in -o $out\n  depfile = $out.d\n  deps = gcc\n")
	sources, err := filepath.Glob(filepath.Join(dir, "lib", "*.c"))
	if err != nil || len(sources) < 40 {
		t.Fatalf("%d sources: %v", len(sources), err)
	}
	for _, s := range sources {
		name := strings.TrimSuffix(filepath.Base(s), ".c")
		fmt.Fprintf(&b, "build nobj/%s.o: cc lib/%s.c\n", name, name)
	}
	if err := os.WriteFile(filepath.Join(dir, "build.ninja"), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestFigureNoOp compares a build with nothing to do with ninja's.
func TestFigureNoOp(t *testing.T) {
	h := plainHost(t)
	startPlain(t, h)
	dir := filepath.Join(h.Dir, "zstd")
	other := filepath.Join(h.Dir, "ninja")
	Project(t, dir)
	Project(t, other)
	ninjaFile(t, other)
	spent(t, h, other, "ninja")
	spent(t, h, dir, append(program(t), "build", "zstd")...)
	var ours, theirs, oursCPU, theirsCPU []time.Duration
	for range rounds {
		wall, cpu := spent(t, h, dir, append(program(t), "build", "zstd")...)
		ours, oursCPU = append(ours, wall), append(oursCPU, cpu)
		wall, cpu = spent(t, h, other, "ninja")
		theirs, theirsCPU = append(theirs, wall), append(theirsCPU, cpu)
	}
	t.Logf("no-op: buildnet %v wall %v CPU, ninja %v wall %v CPU, ratio %.2f wall",
		median(ours), median(oursCPU), median(theirs), median(theirsCPU),
		float64(median(ours))/float64(median(theirs)))
}

// TestFigurePerAction compares actions with plain compiler calls, in CPU time
// of the whole node.
func TestFigurePerAction(t *testing.T) {
	h := plainHost(t)
	node := startPlain(t, h)
	dir := filepath.Join(h.Dir, "zstd")
	Project(t, dir)
	objects := filepath.Join(h.Dir, "plain")
	if err := os.MkdirAll(objects, 0o755); err != nil {
		t.Fatal(err)
	}
	script := `for f in lib/*.c; do cc -O0 -DZSTD_LEGACY_SUPPORT=4 -DZSTD_MULTITHREAD=1 -c $f -o ` + objects + `/$(basename $f .c).o; done`
	spent(t, h, dir, append(program(t), "build", "zstd", "--local", "-j", "1")...)
	var plain, ours []float64
	var steps int
	// A minute after its start a node measures its machine: this is over by then.
	for range 3 {
		_, cpu := spent(t, h, dir, "sh", "-c", script)
		plain = append(plain, cpu.Seconds()*1000)
		before := cpuOf(t, node.Process.Pid)
		_, cli := spent(t, h, dir, append(program(t), "build", "zstd", "--local", "--force", "-j", "1")...)
		ours = append(ours, (cpuOf(t, node.Process.Pid)-before+cli).Seconds()*1000)
		sources, _ := filepath.Glob(filepath.Join(dir, "lib", "*.c"))
		steps = len(sources)
	}
	t.Logf("%d compiles: plain cc %.0f ms CPU, buildnet %.0f ms CPU, overhead %.2f ms an action, ratio %.3f",
		steps, median(plain), median(ours), (median(ours)-median(plain))/float64(steps), median(ours)/median(plain))
}

// cpuOf returns the CPU time of a process and of its children that have ended.
func cpuOf(t *testing.T, pid int) time.Duration {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+2:]))
	var ticks int64
	for _, f := range fields[11:15] { // utime, stime, cutime, cstime: proc(5)
		var n int64
		if _, err := fmt.Sscan(f, &n); err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// TestFigureLeaderDeath measures from the kill of a leader to the first step
// that starts under the next epoch.
func TestFigureLeaderDeath(t *testing.T) {
	l := New(t)
	hosts, nodes := Mesh(t, l, 3, 0.6)
	var took []time.Duration
	for round := 0; len(took) < 5; round++ {
		dir := filepath.Join(hosts[0].Dir, fmt.Sprintf("zstd%d", round))
		Project(t, dir)
		b := hosts[0].Start(dir, "--force")
		first := elected(b)
		victim := slices.IndexFunc(nodes, func(n *Node) bool { return n.Peer == first.Leader })
		if victim == 0 {
			b.Interrupt()
			b.Wait()
			continue
		}
		finishedSteps(b, 5)
		nodes[victim].Kill()
		killed := time.Now()
		next := false
		b.Until(func(e event.Event) bool {
			if le, ok := e.(event.LeaderElected); ok && le.Epoch > first.Epoch {
				next = true
			}
			_, started := e.(event.StepStarted)
			return next && started
		})
		took = append(took, time.Since(killed))
		if status := b.Wait(); status != 0 {
			t.Fatalf("exit status %d: %s", status, b.Stderr())
		}
		nodes[victim] = hosts[victim].Up()
		Await(t, hosts[0], 3, 10*time.Second)
	}
	t.Logf("leader's kill to the first step of the next epoch: median %v of %v", median(took), took)
}

// TestFigureMembership measures from the start of a second node to its ready
// line, and from a kill to its detection.
func TestFigureMembership(t *testing.T) {
	l := New(t)
	a, b := l.Host(0.8), l.Host(0.8)
	a.Up()
	token := Invite(t, a)
	b.Up("--join", token)
	Await(t, a, 2, 10*time.Second)
	var ready, detected []time.Duration
	for range 5 {
		b.Kill()
		killed := time.Now()
		Await(t, a, 1, 30*time.Second)
		detected = append(detected, time.Since(killed))
		start := time.Now()
		n := b.Up()
		ready = append(ready, n.At.Sub(start))
		Await(t, a, 2, 10*time.Second)
	}
	t.Logf("start to ready, process start included: median %v; kill to detected: median %v", median(ready), median(detected))
}
