//go:build lab && linux

package peers

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/simulations/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

// share is the part of a core that each host of the benchmark has.
const share = 0.2

// BenchmarkPeers builds projects on hosts of a fifth of a core by turns with
// each contender. The environment narrows it down: PEERS_PROJECTS, PEERS_HOSTS
// and PEERS are lists of what is measured, PEERS_ROUNDS how often.
func BenchmarkPeers(b *testing.B) {
	lab.NeedQuota(b)
	out := lab.Table{{"project", "hosts", "with", "wall, s", "of the bound", "CPU-s of all", "CPU-s of the client beside compiling", "compiles elsewhere"}}
	for _, p := range chosen(b, "PEERS_PROJECTS", []project{redis, abseil}, func(p project) string { return p.name }, tommath) {
		b.Run(p.name, func(b *testing.B) {
			alone := aloneOf(b, p)
			out.Add(b, p.name, "1", local.name, fmt.Sprintf("%.1f", alone.wall.Seconds()), "1", fmt.Sprintf("%.1f", alone.used.Seconds()),
				fmt.Sprintf("%.1f", alone.beside.Seconds()), "0 of "+strconv.Itoa(alone.here))
			for _, n := range chosen(b, "PEERS_HOSTS", []int{4, 8}, strconv.Itoa) {
				b.Run(strconv.Itoa(n), func(b *testing.B) { cell(b, &out, p, n, alone) })
			}
		})
	}
	// The log of what has parts is not shown.
	fmt.Println("\n" + out.Markdown())
}

// aloneOf builds a project once on one host.
func aloneOf(b *testing.B, p project) build {
	b.Helper()
	hosts := []*lab.Host{lab.New(b).Host(share)}
	dir := filepath.Join(hosts[0].Dir, local.name)
	p.in(b, dir)
	p.configure(b, dir, "")
	return run(b, p, local, hosts, countCompilers(b, hosts[0]))
}

// chosen are those of all and of more that a list in the environment names, or
// all.
func chosen[T any](b *testing.B, variable string, all []T, name func(T) string, more ...T) (some []T) {
	b.Helper()
	list := os.Getenv(variable)
	if list == "" {
		return all
	}
	names := strings.Split(list, ",")
	for _, x := range append(all, more...) {
		if slices.Contains(names, name(x)) {
			some = append(some, x)
		}
	}
	if len(some) == 0 {
		b.Fatalf("%s=%q names nothing", variable, list)
	}
	return some
}

// rounds is how often each contender builds.
func rounds(b *testing.B) int {
	b.Helper()
	text := os.Getenv("PEERS_ROUNDS")
	if text == "" {
		return 3
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		b.Fatalf("PEERS_ROUNDS=%q is no positive number", text)
	}
	return n
}

// build is what one build took.
type build struct {
	wall time.Duration
	// used is the CPU time of all hosts, beside that of the client without what
	// compilers did there.
	used, beside time.Duration
	// here is how many compiles ran on the client.
	here int
}

// bound is how long n hosts take if all that is no compile is done by one of
// them, and the rest by all.
func (alone build) bound(n int) time.Duration {
	compiling := alone.used - alone.beside
	return time.Duration(float64(alone.beside+compiling/time.Duration(n)) / share)
}

// cell measures one project on n hosts.
func cell(b *testing.B, out *lab.Table, p project, n int, alone build) {
	l := lab.New(b)
	var hosts []*lab.Host
	for i := range n {
		hosts = append(hosts, l.Host(share))
		bindIcecc(b, hosts[i])
	}
	c := countCompilers(b, hosts[0])
	contenders := chosen(b, "PEERS", []contender{distcc, icecc, ours}, func(c contender) string { return c.name })
	took := make([][]build, len(contenders))
	for _, c := range contenders {
		dir := filepath.Join(hosts[0].Dir, c.name)
		p.in(b, dir)
		p.configure(b, dir, c.launcher)
	}
	for range rounds(b) {
		for i, x := range contenders {
			t := run(b, p, x, hosts, c)
			b.Logf("%s on %d hosts with %s: %+v", p.name, n, x.name, t)
			took[i] = append(took[i], t)
			// icecc gives hosts nothing while the whole machine is busy.
			if t.here > alone.here/2 {
				b.Errorf("%s has compiled %d of %d on the client: its figures say nothing", x.name, t.here, alone.here)
			}
		}
	}
	for i, x := range contenders {
		figure := func(f func(t build) float64, format string) string { return lab.Spread(each(took[i], f), format) }
		out.Add(b, p.name, strconv.Itoa(n), x.name,
			figure(func(t build) float64 { return t.wall.Seconds() }, "%.1f"),
			figure(func(t build) float64 { return t.wall.Seconds() / alone.bound(n).Seconds() }, "%.2f"),
			figure(func(t build) float64 { return t.used.Seconds() }, "%.1f"),
			figure(func(t build) float64 { return t.beside.Seconds() }, "%.1f"),
			figure(func(t build) float64 { return float64(alone.here - t.here) }, "%.0f"))
	}
}

func each(took []build, f func(build) float64) (xs []float64) {
	for _, t := range took {
		xs = append(xs, f(t))
	}
	return xs
}

// run is one build with one contender, of which nothing is left running.
func run(b *testing.B, p project, x contender, hosts []*lab.Host, c *compilers) build {
	b.Helper()
	client := hosts[0]
	dir := filepath.Join(client.Dir, x.name)
	p.clean(b, dir)
	env := x.start(b, hosts)
	cmd := client.Command(x.argv(b, p, dir, len(hosts))...)
	cmd.Env = append(cmd.Env, env...)
	before, here, compiling, calls := used(hosts), client.Used(), c.Used(), c.calls.Load()
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v: %s", x.name, err, out)
	}
	took := build{wall: time.Since(began), used: used(hosts) - before, here: int(c.calls.Load() - calls)}
	took.beside = client.Used() - here - (c.Used() - compiling)
	for _, h := range hosts {
		h.Kill()
	}
	return took
}
