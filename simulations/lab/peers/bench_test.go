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

func TestMain(m *testing.M) {
	if file := os.Getenv(accountMark); file != "" {
		os.Exit(account(file))
	}
	os.Exit(lab.Main(m))
}

// share is the part of a core that each host of the benchmark has.
const share = 0.2

// BenchmarkPeers builds projects on hosts of a fifth of a core by turns with
// each contender. The environment narrows it down: PEERS_PROJECTS, PEERS_HOSTS
// and PEERS are lists of what is measured, PEERS_ROUNDS how often.
func BenchmarkPeers(b *testing.B) {
	for _, p := range chosen(b, "PEERS_PROJECTS", []project{redis, abseil}, func(p project) string { return p.name }, tommath) {
		for _, n := range chosen(b, "PEERS_HOSTS", []int{4, 8}, strconv.Itoa) {
			b.Run(fmt.Sprintf("%s/%d", p.name, n), func(b *testing.B) { cell(b, p, n) })
		}
	}
}

// chosen are those of all and of more that a list in the environment names, or
// all.
func chosen[T any](b *testing.B, variable string, all []T, name func(T) string, more ...T) (some []T) {
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

func rounds(b *testing.B) int {
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
	// used is the CPU time of all hosts, client that of the first without the
	// compiling itself.
	used, client time.Duration
	// here are how many compiles ran on the client.
	here int
}

// cell measures one project on n hosts.
func cell(b *testing.B, p project, n int) {
	l := lab.New(b)
	var hosts []*lab.Host
	for i := range n {
		hosts = append(hosts, l.Host(share))
		bindIcecc(b, hosts[i])
	}
	contenders := chosen(b, "PEERS", []contender{local, distcc, icecc}, func(c contender) string { return c.name })
	for _, c := range contenders {
		dir := filepath.Join(hosts[0].Dir, c.name)
		p.in(b, dir)
		p.configure(b, dir, c.launcher)
	}
	b.ResetTimer()
	for round := range rounds(b) {
		for _, c := range contenders {
			took := run(b, p, c, hosts)
			b.Logf("round %d: %s on %d hosts: %s: %.1f s, CPU of all %.1f s, of the client beside compiles %.2f s, compiles there %d",
				round, p.name, n, c.name, took.wall.Seconds(), took.used.Seconds(), took.client.Seconds(), took.here)
		}
	}
}

// run is one build with one contender, of which nothing is left running.
func run(b *testing.B, p project, c contender, hosts []*lab.Host) build {
	b.Helper()
	dir := filepath.Join(hosts[0].Dir, c.name)
	p.clean(b, dir)
	client := watch(b, hosts[0])
	env := c.start(b, hosts, client)
	cmd := client.Command(client.argv(c.argv(p.build(dir, c.launcher, c.jobs(len(hosts))))...)...)
	cmd.Env = append(cmd.Env, env...)
	mark, before, clientBefore := client.mark(b), used(hosts), client.Used()
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v: %s", c.name, err, out)
	}
	took := build{wall: time.Since(began), used: used(hosts) - before, client: client.Used() - clientBefore}
	var compiling time.Duration
	took.here, compiling = compiles(client.since(b, mark))
	took.client -= compiling
	for _, h := range hosts {
		h.Kill()
	}
	return took
}

func used(hosts []*lab.Host) (sum time.Duration) {
	for _, h := range hosts {
		sum += h.Used()
	}
	return sum
}
