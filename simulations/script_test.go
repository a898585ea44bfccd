package simulations_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations"
	"github.com/buildnet/buildnet/simulations/check"
	"github.com/buildnet/buildnet/simulations/fault"
	"github.com/buildnet/buildnet/simulations/network"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
	"github.com/buildnet/buildnet/simulations/workload"
)

// TestScripts runs the scenarios of testdata. With -rewrite it writes down what
// came of them; what a script expects is not rewritten, and fails if it does
// not hold.
//
//	mesh nodes=5 [slots=2] [bpu=1] [seed=1] [latency=200us] [sites=1]
//	[node N bpu=0.5 slots=0 toolchain=NAME]...
//
//	build [shape=wide] [n=60] [cost=0.2] [initiator=0] [at=0s] [bytes=32768] [toolchain=NAME] [keep-going] [force] [local] [jobs=N] [hints] [open [graph] [pause=50ms]]
//	[step N killing|failing|careless|losing|here|after=M|delay=1s|dropped=1s]...
//
// The steps of an open build come a pause after one another, each after those that
// it would depend on in a closed one with graph.
//
//	faults [heal=10s] [limit=2m]
//	one line each, as package fault parses them
//
//	commands
//	[node N at=1s for=2s [times=1] [patience=1s]]...
//
//	run
//	[expect once | completed BUILD | cancelled BUILD | runs-on NODE | nothing-on NODE]...
//	[expect announced|gave-up|take-overs|inherited|again|lost|found|waited|ended-ms|backups|modes|quarantines|trusted [<=|>=] NUMBER]...
//
// A build that an heir goes on with is one more, with the next number.
//
//	seeds first=N n=N
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &script{}
		datadriven.RunTest(t, path, s.command)
	})
}

type script struct {
	setting setting.Setting
}

func (s *script) command(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	switch d.Cmd {
	case "mesh":
		return s.mesh(t, d)
	case "build":
		return s.build(t, d)
	case "faults":
		return s.faults(t, d)
	case "commands":
		return s.commands(t, d)
	case "run":
		return s.run(t, d)
	case "seeds":
		return hashes(t, d)
	default:
		d.Fatalf(t, "there is no command %q", d.Cmd)
		return ""
	}
}

// arg is an argument of a command, or what stands for it.
func arg[T any](t *testing.T, d *datadriven.TestData, name, otherwise string, parse func(string) (T, error)) T {
	t.Helper()
	text := otherwise
	if d.HasArg(name) {
		d.ScanArgs(t, name, &text)
	}
	v, err := parse(text)
	if err != nil {
		d.Fatalf(t, "%s=%s: %v", name, text, err)
	}
	return v
}

func float(s string) (float64, error) { return strconv.ParseFloat(s, 64) }

func text(s string) (string, error) { return s, nil }

func (s *script) mesh(t *testing.T, d *datadriven.TestData) string {
	nodes := arg(t, d, "nodes", "5", strconv.Atoi)
	sites := arg(t, d, "sites", "1", strconv.Atoi)
	local := network.Path{Latency: arg(t, d, "latency", "200us", time.ParseDuration), Bandwidth: 125e6}
	s.setting = setting.Setting{
		Name: d.Pos, Seed: uint64(arg(t, d, "seed", "1", strconv.Atoi)), Limit: 2 * time.Minute,
		Membership: setting.StandardMembership(), Lookup: setting.StandardLookup(), Overheads: setting.StandardOverheads(),
	}
	for i := range sites {
		s.setting.Network.Sites = append(s.setting.Network.Sites, network.Site{Name: fmt.Sprintf("site %d", i), Local: local})
		for other := range i {
			s.setting.Network.Routes = append(s.setting.Network.Routes, network.Route{A: other, B: i, Path: network.Path{Latency: 20 * time.Millisecond, Bandwidth: 12.5e6}})
		}
	}
	for i := range nodes {
		s.setting.Nodes = append(s.setting.Nodes, setting.Node{
			Name: fmt.Sprintf("n%d", i), BPU: arg(t, d, "bpu", "1", float), Slots: arg(t, d, "slots", "2", strconv.Atoi),
		})
		s.setting.Network.Site = append(s.setting.Network.Site, i*sites/nodes)
	}
	for line := range strings.Lines(d.Input) {
		s.node(t, d, strings.Fields(line))
	}
	return fmt.Sprintf("%d nodes\n", nodes)
}

// node reads how one node differs from the others.
func (s *script) node(t *testing.T, d *datadriven.TestData, words []string) {
	n := &s.setting.Nodes[number(t, d, words)]
	for _, w := range words[2:] {
		name, value, _ := strings.Cut(w, "=")
		var err error
		switch name {
		case "bpu":
			n.BPU, err = float(value)
		case "slots":
			n.Slots, err = strconv.Atoi(value)
		case "memory":
			n.Memory, err = strconv.ParseInt(value, 10, 64)
		case "toolchain":
			n.Toolchains = append(n.Toolchains, value)
		case "skew":
			n.Skew, err = time.ParseDuration(value)
		default:
			d.Fatalf(t, "a node has no %q", name)
		}
		if err != nil {
			d.Fatalf(t, "%s: %v", w, err)
		}
	}
}

// number is that of a node or step, the second word of its line.
func number(t *testing.T, d *datadriven.TestData, words []string) int {
	t.Helper()
	if len(words) < 2 {
		d.Fatalf(t, "%v: a number is missing", words)
	}
	n, err := strconv.Atoi(words[1])
	if err != nil {
		d.Fatalf(t, "%v: %v", words, err)
	}
	return n
}

var shapes = map[string]func(int) *workload.Graph{
	"wide": workload.Wide, "chain": workload.Chain, "diamond": workload.Diamond, "compile": workload.Compile,
	"layers": func(n int) *workload.Graph { return workload.Layers(n/5, 5) },
}

var natures = map[string]workload.Nature{
	"killing": workload.Killing, "failing": workload.Failing, "careless": workload.Careless, "losing": workload.Losing,
}

func (s *script) build(t *testing.T, d *datadriven.TestData) string {
	shape := shapes[arg(t, d, "shape", "wide", text)]
	if shape == nil {
		d.Fatalf(t, "there is no such shape")
	}
	g := shape(arg(t, d, "n", "60", strconv.Atoi))
	for i := range g.Steps {
		g.Steps[i].Cost = arg(t, d, "cost", "0.2", float)
		if d.HasArg("hints") {
			g.Steps[i].Hint = g.Steps[i].Cost
		}
		g.Steps[i].OutputBytes = int64(arg(t, d, "bytes", "32768", strconv.Atoi))
		g.Steps[i].Toolchain = arg(t, d, "toolchain", "", text)
	}
	arrivals := opened(t, d, g)
	for line := range strings.Lines(d.Input) {
		words := strings.Fields(line)
		at := number(t, d, words)
		for _, w := range words[2:] {
			nature, known := natures[w]
			switch {
			case known:
				g.Steps[at].Nature = nature
			case w == "here":
				g.Steps[at].Here = true
			case arrivals == nil || !arrives(&arrivals[at], w):
				d.Fatalf(t, "a step is not %q", w)
			}
		}
	}
	s.setting.Builds = append(s.setting.Builds, setting.Build{
		Name: fmt.Sprintf("build %d", len(s.setting.Builds)), Initiator: arg(t, d, "initiator", "0", strconv.Atoi),
		At: arg(t, d, "at", "0s", time.ParseDuration), Graph: g, Arrivals: arrivals,
		Modes: steal.Modes{
			KeepGoing: d.HasArg("keep-going"), Force: d.HasArg("force"), Local: d.HasArg("local"),
			Jobs: arg(t, d, "jobs", "0", strconv.Atoi),
		},
	})
	return fmt.Sprintf("%d steps\n", len(g.Steps))
}

// opened has the steps of an open build come over time; nil of others.
func opened(t *testing.T, d *datadriven.TestData, g *workload.Graph) []setting.Arrival {
	if !d.HasArg("open") {
		return nil
	}
	arrivals := setting.Flatten(g)
	for i := range arrivals {
		if !d.HasArg("graph") {
			arrivals[i].After = setting.None
		}
		arrivals[i].Delay = arg(t, d, "pause", "50ms", time.ParseDuration)
	}
	return arrivals
}

// arrives reads how one step comes that differs from the others.
func arrives(a *setting.Arrival, word string) bool {
	name, value, _ := strings.Cut(word, "=")
	var err error
	switch name {
	case "after":
		a.After, err = strconv.Atoi(value)
	case "delay":
		a.Delay, err = time.ParseDuration(value)
	case "dropped":
		a.Dropped, err = time.ParseDuration(value)
	default:
		return false
	}
	return err == nil
}

func (s *script) faults(t *testing.T, d *datadriven.TestData) string {
	s.setting.HealAt = arg(t, d, "heal", "20s", time.ParseDuration)
	s.setting.Limit = arg(t, d, "limit", "2m", time.ParseDuration)
	out := ""
	for line := range strings.Lines(d.Input) {
		f, err := fault.Parse(line)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		s.setting.Faults = append(s.setting.Faults, f)
		out += f.String() + "\n"
	}
	return out
}

// commands reads what is run outside of builds.
func (s *script) commands(t *testing.T, d *datadriven.TestData) string {
	for line := range strings.Lines(d.Input) {
		words := strings.Fields(line)
		c, times := setting.Command{Node: number(t, d, words)}, 1
		for _, w := range words[2:] {
			name, value, _ := strings.Cut(w, "=")
			var err error
			switch name {
			case "at":
				c.At, err = time.ParseDuration(value)
			case "for":
				c.For, err = time.ParseDuration(value)
			case "patience":
				c.Patience, err = time.ParseDuration(value)
			case "times":
				times, err = strconv.Atoi(value)
			default:
				d.Fatalf(t, "a command has no %q", name)
			}
			if err != nil {
				d.Fatalf(t, "%s: %v", w, err)
			}
		}
		for range times {
			s.setting.Commands = append(s.setting.Commands, c)
		}
	}
	return fmt.Sprintf("%d commands\n", len(s.setting.Commands))
}

// run runs the mesh twice, as every seed is, and tells what is worth telling.
func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	told := &account{setting: &s.setting, known: map[[2]int]bool{}, runs: map[[2]int]int{}, byNode: map[int]int{}, outcome: map[int]steal.Reason{}, logged: map[string]int{}}
	o, err := simulations.Run(context.Background(), &s.setting, simulations.Options{Rules: check.All(), Sinks: []trace.Sink{told}})
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	if o.Violation != nil {
		t.Errorf("%s: the rule %q is broken: %s\n%s", d.Pos, o.Violation.Rule, o.Violation.Text, trace.Lines(o.Last, nil))
		return told.String()
	}
	if again, err := simulations.Run(context.Background(), &s.setting, simulations.Options{}); err != nil || again.Hash != o.Hash {
		t.Errorf("%s: two runs differ: %v", d.Pos, err)
	}
	for line := range strings.Lines(d.Input) {
		if expectation, ok := strings.CutPrefix(strings.TrimSpace(line), "expect "); !ok || !told.holds(expectation) {
			t.Errorf("%s: it does not hold: %s\n%s", d.Pos, line, told)
		}
	}
	return told.String()
}

// account is what a script's run comes to.
type account struct {
	setting *setting.Setting
	lines   []string

	announced, gaveUp, takeOvers int
	runs                         map[[2]int]int // by build and step
	byNode                       map[int]int
	outcome                      map[int]steal.Reason
	killed, found, waited        int
	inherited                    int
	known                        map[[2]int]bool // announced
	families                     trace.Families
	logged                       map[string]int
	ended                        time.Duration // the last build
}

// shown are the events that a script's output has, but those at the start.
var shown = []trace.Kind{
	trace.Down, trace.Up, trace.Slowed, trace.Lent, trace.Clogged, trace.DiskFailed, trace.LostBlobs, trace.Healed, trace.Led, trace.Deposed,
	trace.Elected, trace.GaveUp, trace.Over, trace.Inherited, trace.CommandBegan, trace.CommandEnded,
}

// told are the ops of logs that it has.
var told = []string{trace.OpGone, trace.OpBackup, trace.OpMode, trace.OpQuarantined, trace.OpTrusted, trace.OpHeir, trace.OpReady}

// Observe implements trace.Sink.
func (a *account) Observe(e *trace.Event) {
	folded := a.families.Fold(*e)
	switch e.Kind {
	case trace.Announced:
		if of := [2]int{folded.Build, e.Step}; !a.known[of] { // an heir announces all again
			a.known[of] = true
			a.announced++
		}
	case trace.GaveUp:
		a.gaveUp++
	case trace.Led:
		if e.Epoch.Number > 1 {
			a.takeOvers++
		}
	case trace.RunBegan:
		a.runs[[2]int{folded.Build, e.Step}]++
		a.byNode[e.Node]++
	case trace.Logged:
		a.logged[e.Text]++
	case trace.Over:
		a.ended = e.At
		if e.Text == "" {
			a.outcome[e.Build] = steal.Reason(e.Value)
		}
	case trace.Down:
		a.killed++
	case trace.Found:
		a.found++
	case trace.Waits:
		a.waited++
	case trace.Inherited:
		a.inherited++
	}
	if slices.Contains(shown, e.Kind) && (e.At > 0 || e.Kind != trace.Up) || e.Kind == trace.Logged && slices.Contains(told, e.Text) {
		names := make([]string, len(a.setting.Nodes))
		for i := range names {
			names[i] = a.setting.Nodes[i].Name
		}
		a.lines = append(a.lines, strings.TrimSpace(e.String(names)))
	}
}

// again is how many executions there were beyond one a step.
func (a *account) again() int {
	n := 0
	for _, times := range a.runs {
		n += times - 1
	}
	return n
}

// holds reports whether an expectation is met.
func (a *account) holds(expectation string) bool {
	words := strings.Fields(expectation)
	if len(words) == 1 && words[0] == "once" {
		return a.again() == 0
	}
	if len(words) != 2 && len(words) != 3 {
		return false
	}
	n, err := strconv.Atoi(words[len(words)-1])
	if err != nil {
		return false
	}
	switch words[0] {
	case "completed":
		return a.outcome[n] == steal.Completed
	case "cancelled":
		return a.outcome[n] == steal.Cancelled
	case "runs-on":
		return a.byNode[n] > 0
	case "nothing-on":
		return a.byNode[n] == 0
	}
	figures := map[string]int{
		"announced": a.announced, "gave-up": a.gaveUp, "take-overs": a.takeOvers, "again": a.again(), "lost": a.killed,
		"found": a.found, "waited": a.waited, "ended-ms": int(a.ended.Milliseconds()),
		"backups": a.logged[trace.OpBackup], "modes": a.logged[trace.OpMode], "quarantines": a.logged[trace.OpQuarantined],
		"trusted": a.logged[trace.OpTrusted], "inherited": a.inherited,
	}
	figure, known := figures[words[0]]
	switch {
	case !known:
		return false
	case len(words) == 2:
		return figure == n
	case words[1] == "<=":
		return figure <= n
	default:
		return words[1] == ">=" && figure >= n
	}
}

// String implements fmt.Stringer.
func (a *account) String() string {
	var b strings.Builder
	for _, line := range a.lines {
		b.WriteString(line + "\n")
	}
	fmt.Fprintf(&b, "announced %d, given up %d, found %d, waited %d, take-overs %d, executed again %d\n",
		a.announced, a.gaveUp, a.found, a.waited, a.takeOvers, a.again())
	for i := range a.setting.Nodes {
		fmt.Fprintf(&b, "%s ran %d\n", a.setting.Nodes[i].Name, a.byNode[i])
	}
	return b.String()
}
