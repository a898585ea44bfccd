//go:build lab && linux

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/buildnet/buildnet/simulations/network"
)

// thin is a line of 10 Mbit/s and 20 ms, each way.
var thin = network.Path{Latency: 20 * time.Millisecond, Bandwidth: 10e6 / 8}

// useless is the processor of a member that is of next to no use, strong that
// of the others.
const (
	strong  = 0.8
	useless = 0.1
)

// TestFigureNeverSlower compares builds on meshes that are of no use with those
// of the same machine alone.
func TestFigureNeverSlower(t *testing.T) {
	NeedQuota(t)
	out := Table{{"mesh", "build", "alone, s", "on the mesh, s", "ratio", "CPU-s alone", "CPU-s on the mesh", "steps of the other"}}
	for _, m := range []struct {
		name string
		make func(t *testing.T) ([]*Host, []*Node)
		// beside are the hosts that do nothing on the LAN of the one that is alone:
		// on a busy machine a LAN counts for as many hosts as it has.
		beside int
	}{
		{"two equals, 10 Mbit/s, 20 ms each way", func(t *testing.T) ([]*Host, []*Node) {
			return span(t, NewInternet(t, 1, thin, Routed, Routed), 1, strong)
		}, 0},
		{"two on a LAN, one of an eighth of the power", func(t *testing.T) ([]*Host, []*Node) {
			l := New(t)
			hosts := []*Host{l.Host(strong), l.Host(useless)}
			nodes := []*Node{hosts[0].Up()}
			return hosts, append(nodes, hosts[1].Up("--join", Invite(t, hosts[0])))
		}, 1},
	} {
		l := New(t)
		alone := l.Host(strong)
		for range m.beside {
			l.Host(useless)
		}
		alone.Up()
		hosts, nodes := m.make(t)
		for _, h := range hosts {
			Await(t, h, len(hosts), 30*time.Second)
		}
		for _, w := range works {
			compare(t, &out, m.name, w, alone, hosts, nodes[1].Peer)
		}
		alone.Kill()
		for _, h := range hosts {
			h.Kill()
		}
	}
	out.Print(t)
}

// work is a project whose builds are repeated with a change between them.
type work struct {
	name   string
	make   func(t *testing.T, h *Host) (dir string)
	change func(t *testing.T, dir string, n int)
}

var works = []work{
	{"C project, every file changed", zstdIn, func(t *testing.T, dir string, n int) {
		for _, ending := range []string{"*.c", "*.h"} {
			files, err := filepath.Glob(filepath.Join(dir, "lib", ending))
			if err != nil || len(files) == 0 {
				t.Fatalf("%s: no sources: %v", dir, err)
			}
			for _, file := range files {
				appendTo(t, file, fmt.Sprintf("/* %d */\n", n))
			}
		}
	}},
	{"C project, a header changed", zstdIn, func(t *testing.T, dir string, n int) {
		appendTo(t, filepath.Join(dir, "lib", "mem.h"), fmt.Sprintf("/* %d */\n", n))
	}},
	{"100 steps of nothing", func(t *testing.T, h *Host) string {
		return Sleepy{Tag: "nothing", Parts: 100}.In(t, h)
	}, func(t *testing.T, dir string, n int) {
		files, err := filepath.Glob(filepath.Join(dir, "src", "*"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no sources: %v", dir, err)
		}
		for _, file := range files {
			appendTo(t, file, fmt.Sprintf("%d\n", n))
		}
	}},
}

func zstdIn(t *testing.T, h *Host) string {
	t.Helper()
	dir := filepath.Join(h.Dir, "zstd")
	if _, err := os.Stat(dir); err != nil {
		Project(t, dir)
	}
	return dir
}

// compare builds by turns alone and on a mesh. The first two builds are for the
// caches and for what steps cost, and do not count.
func compare(t *testing.T, out *Table, mesh string, w work, alone *Host, hosts []*Host, other string) {
	t.Helper()
	here, there := w.make(t, alone), w.make(t, hosts[0])
	var one, many []taken
	var ratios, away []float64
	for n := range 2 + pairsOf(t) {
		w.change(t, here, n)
		w.change(t, there, n)
		a := clock(t, []*Host{alone}, here)
		began, before := time.Now(), usedBy(hosts)
		_, f := hosts[0].Build(there)
		b := taken{time.Since(began), usedBy(hosts) - before}
		if n < 2 {
			continue
		}
		one, many = append(one, a), append(many, b)
		ratios, away = append(ratios, wallOf(b)/wallOf(a)), append(away, float64(f.ByPeer[other]))
	}
	out.Add(t, mesh, w.name, Spread(each(one, wallOf), "%.2f"), Spread(each(many, wallOf), "%.2f"), Spread(ratios, "%.2f"),
		Spread(each(one, cpuTaken), "%.2f"), Spread(each(many, cpuTaken), "%.2f"), Spread(away, "%.0f"))
}
