//go:build lab && linux

package bazel

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/simulations/lab"
	"github.com/buildnet/buildnet/simulations/lab/reapi"
)

// genrules is how many actions the workspace has in which nothing takes time but what
// is around them.
const genrules = 600

// subject is a workspace that is built again and again.
type subject struct {
	name  string
	write func(*kit)
	flags []string
	// floors are servers of package floor to compare with, by how long each of their
	// executions takes.
	floors []time.Duration
}

// contender is a way to build a workspace.
type contender struct {
	name  string
	host  *lab.Host
	flags []string
}

// BenchmarkBazel takes the time of builds by Bazel on a node of one machine, cold and
// with all results known, of Bazel by itself, and with other servers, see reapi.Others:
// by turns, BAZEL_ROUNDS times each.
func BenchmarkBazel(b *testing.B) {
	lab.NeedQuota(b)
	table := lab.Table{{"workspace", "with", "wall, s", "CPU-s of the server", "of sandboxes and actions", "of Bazel", "load", "processes"}}
	for _, s := range []subject{
		{"genrules", writeGenrules, []string{"--jobs=32"}, []time.Duration{0, 25 * time.Millisecond}},
		{"mill", func(*kit) {}, nil, nil},
	} {
		b.Run(s.name, func(b *testing.B) { s.measure(b, &table) })
	}
	// The log of what has parts is not shown.
	fmt.Println("\n" + table.Markdown())
}

func rounds(b *testing.B) int {
	b.Helper()
	text := os.Getenv("BAZEL_ROUNDS")
	if text == "" {
		return 3
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		b.Fatalf("BAZEL_ROUNDS=%q is no positive number", text)
	}
	return n
}

// bench is a workspace, and what may build it.
type bench struct {
	*kit
	b    *testing.B
	host *lab.Host
	node *lab.Node
	// restart has each server of others that executes start anew, which is to remove
	// what it knew.
	restart []func()
}

func (s subject) measure(b *testing.B, table *lab.Table) {
	l := lab.New(b)
	h := l.Host(2)
	x := &bench{kit: newKit(b, filepath.Join(h.Dir, "kit")), b: b, host: h}
	s.write(x.kit)
	onNode := append([]string{"--config=mesh", endpoint}, s.flags...)
	contenders := append([]contender{
		{"one node, cold", h, onNode},
		{"one node, all cached", h, onNode},
		{"Bazel alone, no sandbox", h, append([]string{"--spawn_strategy=local"}, s.flags...)},
		{"Bazel alone, in its sandbox", h, append([]string{"--spawn_strategy=linux-sandbox,local"}, s.flags...)},
	}, append(x.floors(l, s), x.others(l, s.flags)...)...)
	took := make([][]build, len(contenders))
	for round := range rounds(b) {
		x.anew()
		for i, c := range contenders {
			t := x.build(fmt.Sprintf("base-%d-%d", round, i), c)
			b.Logf("%s, %s: %+v", s.name, c.name, t)
			took[i] = append(took[i], t)
		}
	}
	for i, c := range contenders {
		figure := func(f func(build) float64) string { return lab.Spread(each(took[i], f), "%.1f") }
		table.Add(b, s.name, c.name,
			figure(func(t build) float64 { return t.wall.Seconds() }),
			figure(func(t build) float64 { return t.server.Seconds() }),
			figure(func(t build) float64 { return t.actions.Seconds() }),
			figure(func(t build) float64 { return t.bazel.Seconds() }),
			figure(func(t build) float64 { return t.load }), fmt.Sprint(took[i][0].processes))
	}
}

func each(took []build, f func(build) float64) (xs []float64) {
	for _, t := range took {
		xs = append(xs, f(t))
	}
	return xs
}

// floorTakes in the environment has this program be the server of package floor, whose
// executions take so long, where nodes serve on their hosts.
const (
	floorTakes   = "BAZEL_FLOOR"
	floorAddress = "127.0.0.1:9877"
)

// floors are ways to build with servers that do nothing.
func (x *bench) floors(l *lab.Lab, s subject) (all []contender) {
	x.b.Helper()
	for _, takes := range s.floors {
		h := l.Host(2)
		x.restart = append(x.restart, func() {
			h.Kill()
			argv := []string{"env", floorTakes + "=" + takes.String(), os.Args[0]}
			reapi.Program{Name: "floor", Address: floorAddress, Executes: true, Argv: argv}.Start(x.b, h)
		})
		name := "nothing behind it"
		if takes > 0 {
			name += fmt.Sprintf(", one at a time of %v", takes)
		}
		all = append(all, contender{name, h, append([]string{"--config=mesh", endpoint}, s.flags...)})
	}
	return all
}

// others are ways to build with the servers of others. What a mere cache is asked for it
// has been given before.
func (x *bench) others(l *lab.Lab, flags []string) (all []contender) {
	x.b.Helper()
	for _, p := range reapi.Others(x.b) {
		h := l.Host(2)
		if !p.Executes {
			p.Start(x.b, h)
			cache := append([]string{"--spawn_strategy=local", "--remote_cache=grpc://" + p.Address}, flags...)
			x.run(x.client(h, "base-fills"), append([]string{"--remote_upload_local_results"}, cache...))
			all = append(all, contender{p.Name + ", all cached", h, cache})
			continue
		}
		x.restart = append(x.restart, func() { h.Kill(); p.Start(x.b, h) })
		on := append([]string{"--config=mesh", "--remote_executor=grpc://" + p.Address}, flags...)
		all = append(all, contender{p.Name + ", cold", h, on}, contender{p.Name + ", all cached", h, on})
	}
	return all
}

// anew starts what is to know nothing.
func (x *bench) anew() {
	x.b.Helper()
	x.host.Kill()
	if err := os.RemoveAll(x.host.Home); err != nil {
		x.b.Fatal(err)
	}
	x.node = x.host.Up()
	for _, again := range x.restart {
		again()
	}
}

// build is what one build took.
type build struct {
	wall time.Duration
	// server, bazel and actions are CPU times: of the node's process, of Bazel's
	// own server, and of the rest of the host, which is sandboxes and what runs in
	// them. Where another server is, that rest is the server's with all it runs.
	server, bazel, actions time.Duration
	// load is that of the machine over the last minute, as the build begins.
	load      float64
	processes map[string]int
}

// build builds all with a Bazel that knows nothing yet. The clock runs from the end
// of its analysis, when its server is quiet.
func (x *bench) build(base string, by contender) build {
	x.b.Helper()
	c := x.client(by.host, base)
	x.run(c, append([]string{"--nobuild"}, by.flags...))
	pid := c.server()
	lab.Settle(x.b, []*lab.Host{by.host}) // a node has looked at what is installed by then
	minute := load(x.b)
	node, bazel, all := x.node.Used(), x.used(pid), by.host.Used()
	began := time.Now()
	r := x.run(c, by.flags)
	t := build{wall: time.Since(began), load: minute, processes: r.counts()}
	t.server, t.bazel = x.node.Used()-node, x.used(pid)-bazel
	t.actions = by.host.Used() - all - t.bazel
	if by.host == x.host {
		t.actions -= t.server
	} else {
		t.server, t.actions = t.actions, 0
	}
	_ = c.command("shutdown").Run()
	return t
}

func (x *bench) run(c *client, flags []string) run {
	x.b.Helper()
	r := c.bazel(append(append([]string{"build"}, flags...), "//...")...)
	if r.exit != 0 {
		x.b.Fatalf("Bazel exits with %d:\n%s", r.exit, tail(r.log))
	}
	return r
}

func (x *bench) used(pid int) time.Duration {
	x.b.Helper()
	used, err := lab.UsedBy(pid)
	if err != nil {
		x.b.Fatal(err)
	}
	return used
}

// server is the process of Bazel that stays.
func (c *client) server() (pid int) {
	c.k.t.Helper()
	out, err := c.command("info", "server_pid").Output()
	if err == nil {
		pid, err = strconv.Atoi(strings.TrimSpace(string(out)))
	}
	if err != nil {
		c.k.t.Fatalf("ask Bazel for its server: %v", err)
	}
	return pid
}

func load(b *testing.B) (minute float64) {
	b.Helper()
	text, err := os.ReadFile("/proc/loadavg")
	if err == nil {
		_, err = fmt.Sscan(string(text), &minute)
	}
	if err != nil {
		b.Fatal(err)
	}
	return minute
}

// writeGenrules has a workspace of actions that print a word.
func writeGenrules(k *kit) {
	k.workspace = k.at("genrules")
	k.write("genrules/WORKSPACE", "")
	k.write("genrules/BUILD", fmt.Sprintf(
		"[genrule(name = \"word%%d\" %% i, outs = [\"word%%d.txt\" %% i], cmd = \"echo %%d >$@\" %% i) for i in range(%d)]\n", genrules))
}
