//go:build lab && linux

package peers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/simulations/lab"
)

// unoptimised are the same 45 compiles as abseil's, of which the compiler makes
// less: for what does not depend on how long a compile takes.
var unoptimised = cmakeProject("abseil", "abseil", []string{"-DCMAKE_BUILD_TYPE=None", "-DCMAKE_CXX_STANDARD=17"},
	"strings", "time", "str_format_internal")

// repetitions is how often both sides of a comparison of seconds run, unless
// PEERS_ROUNDS says otherwise.
func repetitions(b *testing.B) int {
	b.Helper()
	if os.Getenv("PEERS_ROUNDS") == "" {
		return 5
	}
	return rounds(b)
}

// took is what a command took, its children included.
type took struct{ wall, cpu time.Duration }

// here runs a command that is to succeed on this machine itself, where node is
// the host's: a comparison of whole processes must not measure how hosts are
// entered.
func here(b *testing.B, h *lab.Host, env []string, argv ...string) took {
	b.Helper()
	cmd := exec.CommandContext(context.Background(), argv[0], argv[1:]...)
	cmd.Dir = h.Dir
	cmd.Env = append(append(os.Environ(), "BUILDNET_HOME="+h.Home), env...)
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %v: %s", argv, err, out)
	}
	return took{time.Since(began), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
}

// figures are what a column of a table has.
func figures(runs []took, measure func(took) time.Duration, unit time.Duration, format string) string {
	var xs []float64
	for _, r := range runs {
		xs = append(xs, float64(measure(r))/float64(unit))
	}
	return lab.Spread(xs, format)
}

func wall(t took) time.Duration { return t.wall }
func cpu(t took) time.Duration  { return t.cpu }

// BenchmarkAlone compares a host without others with ninja on the same host, by
// turns: every pair builds all.
func BenchmarkAlone(b *testing.B) {
	lab.NeedQuota(b)
	out := lab.Table{{"alone, on 0.8 of a core", "wall, s", "CPU-s of the host", "ratio of walls", "ratio of CPU"}}
	h := lab.New(b).Host(0.8)
	dir, node := trees(b, h, "ninja"), trees(b, h, "buildnet")
	var theirs, ours []took
	var walls, cpus []float64
	for range repetitions(b) {
		t := onHost(b, h, dir, unoptimised.build(dir, "", 2))
		// A store that has seen nothing.
		if err := os.RemoveAll(h.Home); err != nil {
			b.Fatal(err)
		}
		h.Up()
		lab.Settle(b, []*lab.Host{h})
		o := onHost(b, h, node, append([]string{lab.Binary(b), "build"}, unoptimised.ours(node)...))
		h.Kill()
		theirs, ours = append(theirs, t), append(ours, o)
		walls, cpus = append(walls, float64(o.wall)/float64(t.wall)), append(cpus, float64(o.cpu)/float64(t.cpu))
		b.Logf("ninja %+v, buildnet %+v", t, o)
	}
	out.Add(b, "ninja", figures(theirs, wall, time.Second, "%.1f"), figures(theirs, cpu, time.Second, "%.1f"), "1", "1")
	out.Add(b, "buildnet", figures(ours, wall, time.Second, "%.1f"), figures(ours, cpu, time.Second, "%.1f"), lab.Spread(walls, "%.3f"), lab.Spread(cpus, "%.3f"))
	out.Print(b)
}

// trees makes the project in a directory of the host.
func trees(b *testing.B, h *lab.Host, name string) string {
	b.Helper()
	dir := filepath.Join(h.Dir, name)
	unoptimised.in(b, dir)
	unoptimised.configure(b, dir, "")
	return dir
}

// onHost builds all of a tree, and tells what the host has used for it.
func onHost(b *testing.B, h *lab.Host, dir string, argv []string) took {
	b.Helper()
	unoptimised.clean(b, dir)
	before, began := h.Used(), time.Now()
	if out, err := h.Command(argv...).CombinedOutput(); err != nil {
		b.Fatalf("%v: %v: %s", argv, err, out)
	}
	return took{time.Since(began), h.Used() - before}
}

// BenchmarkCached compares builds after clean, whose results are all known, with
// ninja and ccache, and then builds that have nothing to do with ninja. The node
// may use the whole machine.
func BenchmarkCached(b *testing.B) {
	lab.NeedQuota(b)
	h := lab.New(b).Host(2)
	h.Up()
	direct := filepath.Join(h.Dir, "ccache")
	unoptimised.in(b, direct)
	unoptimised.configure(b, direct, "ccache")
	node := trees(b, h, "buildnet")
	env := []string{"CCACHE_DIR=" + filepath.Join(h.Dir, "ccache-store")}
	theirs, ours := unoptimised.build(direct, "", 2), append([]string{lab.Binary(b), "build"}, unoptimised.ours(node)...)
	here(b, h, env, theirs...)
	here(b, h, nil, ours...)
	var cached, nothing [2][]took
	var used []time.Duration
	for range repetitions(b) {
		unoptimised.clean(b, direct)
		cached[0] = append(cached[0], here(b, h, env, theirs...))
		nothing[0] = append(nothing[0], here(b, h, env, theirs...))
		unoptimised.clean(b, node)
		before := h.Used()
		run := here(b, h, nil, ours...)
		used = append(used, h.Used()-before)
		run.cpu += used[len(used)-1]
		cached[1] = append(cached[1], run)
		nothing[1] = append(nothing[1], here(b, h, nil, ours...))
	}
	out := lab.Table{{"", "all from a cache, ms", "CPU, ms, with the node's", "nothing to do, ms", "CPU of the process, ms"}}
	for i, name := range []string{"ninja and ccache", "buildnet"} {
		ms := time.Millisecond
		out.Add(b, name, figures(cached[i], wall, ms, "%.0f"), figures(cached[i], cpu, ms, "%.0f"),
			figures(nothing[i], wall, ms, "%.0f"), figures(nothing[i], cpu, ms, "%.0f"))
	}
	out.Print(b)
	hits(b, env)
}

// hits checks that ccache has had all from its cache, in its direct mode.
func hits(b *testing.B, env []string) {
	b.Helper()
	cmd := exec.CommandContext(context.Background(), "ccache", "--print-stats")
	cmd.Env = append(os.Environ(), env...)
	stats, err := cmd.Output()
	if err != nil {
		b.Fatal(err)
	}
	count := map[string]int{}
	for line := range strings.Lines(string(stats)) {
		var name string
		var n int
		if _, err := fmt.Sscanf(line, "%s\t%d", &name, &n); err == nil {
			count[name] = n
		}
	}
	if direct, missed := count["direct_cache_hit"], count["cache_miss"]; missed == 0 || direct != repetitions(b)*missed {
		b.Errorf("ccache missed %d at first and had %d hits in %d rounds", missed, direct, repetitions(b))
	}
}
