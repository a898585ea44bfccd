//go:build lab && linux

package lab

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
)

// grind is a project whose steps take a third of a second of a processor each.
func grind(tag string, parts int) Burn { return Burn{Tag: tag, Parts: parts, Loops: 330_000} }

// plainWork is what the steps of a project take of a processor without BuildNet:
// a quarter of them is run.
func plainWork(t *testing.T, h *Host, p Burn) time.Duration {
	t.Helper()
	before := h.Used()
	script := fmt.Sprintf("for part in $(seq %d); do sh -c '%s'; done", p.Parts/4, p.command())
	if o := h.run("sh", "-c", script); o.Exit != 0 {
		t.Fatalf("exit status %d: %s", o.Exit, o.Stderr)
	}
	return 4 * (h.Used() - before)
}

// TestFigureUnequalHosts compares builds on hosts of 0.2, 0.4 and 0.8
// processors with the work that is in them over the power of all.
func TestFigureUnequalHosts(t *testing.T) {
	NeedQuota(t)
	out := Table{{"asked for at the host of", "work, CPU-s", "work / 1.4, s", "took, s", "ratio", "CPU-s of all hosts"}}
	outside := New(t).Host(2)
	for _, powers := range [][]float64{{0.8, 0.4, 0.2}, {0.2, 0.4, 0.8}} {
		hosts := unequal(t, powers)
		var works, bounds, ratios []float64
		var builds []taken
		for n := range 1 + pairsOf(t) {
			p := grind(fmt.Sprint("unequal", powers[0], "-", n), 60)
			dir := p.In(t, hosts[0])
			began, before := time.Now(), usedBy(hosts)
			b, _ := hosts[0].Build(dir)
			built := taken{time.Since(began), usedBy(hosts) - before}
			whole(t, dir, p.Parts)
			t.Logf("host of %v, build %d: %.1f s; %s", powers[0], n, wallOf(built), where(b))
			if n == 0 {
				continue // for what steps cost
			}
			work := plainWork(t, outside, p).Seconds()
			works, bounds, builds = append(works, work), append(bounds, work/total(powers)), append(builds, built)
			ratios = append(ratios, wallOf(built)/(work/total(powers)))
		}
		out.Add(t, fmt.Sprint(powers[0]), Spread(works, "%.1f"), Spread(bounds, "%.1f"), Spread(each(builds, wallOf), "%.1f"),
			Spread(ratios, "%.2f"), Spread(each(builds, cpuTaken), "%.1f"))
		for _, h := range hosts {
			h.Kill()
		}
	}
	out.Print(t)
}

// unequal makes a mesh of hosts with such quotas.
func unequal(t *testing.T, powers []float64) (hosts []*Host) {
	t.Helper()
	l := New(t)
	for _, p := range powers {
		hosts = append(hosts, l.Host(p))
	}
	hosts[0].Up()
	for _, h := range hosts[1:] {
		h.Up("--join", Invite(t, hosts[0], "--lan"))
	}
	for _, h := range hosts {
		Await(t, h, len(hosts), time.Minute)
	}
	return hosts
}

func total(xs []float64) (s float64) {
	for _, x := range xs {
		s += x
	}
	return s
}

// TestFigureSlowedHost lowers the quota of one of three hosts ten times when
// half of the steps are announced, and compares what the rest takes with its
// work over the power that is left.
func TestFigureSlowedHost(t *testing.T) {
	NeedQuota(t)
	const full, slowed = 0.5, 0.05
	out := Table{{"left at half-time, CPU-s", "bound of it, s", "took, s", "ratio", "CPU-s of all hosts"}}
	outside := New(t).Host(2)
	hosts := unequal(t, []float64{full, full, full})
	var left, bounds, took, ratios, cpu []float64
	for n := range 1 + pairsOf(t) {
		p := grind(fmt.Sprint("slowed", n), 60)
		dir := p.In(t, hosts[0])
		before := usedBy(hosts)
		b := hosts[0].Start(dir)
		finishedSteps(b, p.Parts/2)
		hosts[2].Limit(slowed)
		half, begun := time.Now(), 0.0
		for _, h := range hosts {
			begun += h.burnt(p.Tag).Seconds()
		}
		announced := len(b.Announced(len(b.Events())))
		if status := b.Wait(); status != 0 {
			t.Fatalf("exit status %d: %s", status, b.Stderr())
		}
		wall, used := time.Since(half).Seconds(), (usedBy(hosts) - before).Seconds()
		hosts[2].Restore(full)
		whole(t, dir, p.Parts)
		if n == 0 {
			continue // for what steps cost
		}
		rest := plainWork(t, outside, p).Seconds()*float64(p.Parts-announced)/float64(p.Parts) - begun
		bound := rest / (full + full + slowed)
		left, bounds, took = append(left, rest), append(bounds, bound), append(took, wall)
		ratios, cpu = append(ratios, wall/bound), append(cpu, used)
		t.Logf("round %d: %d of %d announced at half-time, bound %.1f s, took %.1f s; %s", n, announced, p.Parts, bound, wall, where(b))
	}
	out.Add(t, Spread(left, "%.1f"), Spread(bounds, "%.1f"), Spread(took, "%.1f"), Spread(ratios, "%.2f"), Spread(cpu, "%.1f"))
	out.Print(t)
}

// whole checks that a burn's outputs are there.
func whole(t *testing.T, dir string, parts int) {
	t.Helper()
	if made, _ := filepath.Glob(filepath.Join(dir, "out", "*.out")); len(made) != parts {
		t.Errorf("%s: %d outputs, want %d", dir, len(made), parts)
	}
}

// where says where the steps of a build that has ended were executed, how many
// were begun more than once, and how long before the end each host was done.
func where(b *Build) string {
	f, begun, again := b.Finished(), map[string]bool{}, 0
	done, end := map[string]time.Time{}, b.at[len(b.at)-1]
	for i, e := range b.Events() {
		switch e := e.(type) {
		case event.StepStarted:
			if begun[e.Step] {
				again++
			}
			begun[e.Step] = true
		case event.StepFinished:
			done[e.Peer] = b.at[i]
		}
	}
	var hosts []string
	for _, peer := range slices.Sorted(maps.Keys(f.ByPeer)) {
		hosts = append(hosts, fmt.Sprintf("%d, the last %.1f s before the end", f.ByPeer[peer], end.Sub(done[peer]).Seconds()))
	}
	return fmt.Sprintf("steps executed by each: %s; %d begun again", strings.Join(hosts, "; "), again)
}
