package draw

import (
	"fmt"
	"strings"
	"time"

	"github.com/buildnet/buildnet/simulations/network"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/workload"
)

// Describe is all that a setting says, for people, a few lines of each kind of
// thing.
func Describe(s *setting.Setting) string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d nodes, %d builds, %d faults; flaky %g, healed at %v, limit %v\n",
		s.Seed, len(s.Nodes), len(s.Builds), len(s.Faults), s.Flaky, s.HealAt, s.Limit.Round(time.Second))
	for i := range s.Network.Sites {
		fmt.Fprintf(&b, "site %d: %s\n", i, path(s.Network.Sites[i].Local))
	}
	for _, r := range s.Network.Routes {
		fmt.Fprintf(&b, "sites %d and %d: %s\n", r.A, r.B, path(r.Path))
	}
	for i := range s.Nodes {
		fmt.Fprintln(&b, node(s, i))
	}
	for i := range s.Builds {
		fmt.Fprintln(&b, build(s, i))
	}
	for _, c := range s.Commands {
		fmt.Fprintf(&b, "command on node %d at %v for %v", c.Node, c.At, c.For)
		if c.Patience > 0 {
			fmt.Fprintf(&b, ", waits for %v", c.Patience)
		}
		b.WriteByte('\n')
	}
	for i := range s.Faults {
		fmt.Fprintf(&b, "fault: %v\n", s.Faults[i])
	}
	return b.String()
}

func path(p network.Path) string {
	text := fmt.Sprintf("latency %v+%v, %.0f Mbit/s", p.Latency, p.Jitter, p.Bandwidth*8/1e6)
	if p.Loss+p.Duplication+p.Reordering > 0 {
		text += fmt.Sprintf(", loss %.3f, duplication %.3f, reordering %.3f", p.Loss, p.Duplication, p.Reordering)
	}
	return text
}

func node(s *setting.Setting, i int) string {
	n := &s.Nodes[i]
	text := fmt.Sprintf("node %d: site %d, BPU %.3g, %d slots", i, s.Network.Site[i], n.BPU, n.Slots)
	if n.Cell != 0 {
		text += fmt.Sprintf(", cell %d", n.Cell)
	}
	if n.Skew != 0 {
		text += fmt.Sprintf(", skew %v", n.Skew)
	}
	if n.Late != 0 {
		text += fmt.Sprintf(", comes at %v", n.Late)
	}
	if len(n.Toolchains) > 0 {
		text += fmt.Sprintf(", has %s", strings.Join(n.Toolchains, ", "))
	}
	return text
}

func build(s *setting.Setting, i int) string {
	b := &s.Builds[i]
	text := fmt.Sprintf("build %d: of node %d at %v, %d steps, %d deep, work %.3g, longest chain %.3g BPU-seconds",
		i, b.Initiator, b.At, len(b.Graph.Steps), b.Graph.Depth(), b.Graph.Work(), b.Graph.CriticalPath())
	m := b.Modes
	for _, mode := range []struct {
		name string
		on   bool
	}{{"force", m.Force}, {"keep-going", m.KeepGoing}, {"local", m.Local}} {
		if mode.on {
			text += ", " + mode.name
		}
	}
	if m.Jobs > 0 {
		text += fmt.Sprintf(", %d jobs", m.Jobs)
	}
	return text + natures(b.Graph) + arrivals(b)
}

// arrivals tell how the steps of an open build come, where that is not at once.
func arrivals(b *setting.Build) string {
	if b.Arrivals == nil {
		return ""
	}
	text := "; open:"
	for i, a := range b.Arrivals {
		if a == (setting.Arrival{After: setting.None}) {
			continue
		}
		text += fmt.Sprintf(" %d after %v", i, a.Delay)
		if a.After != setting.None {
			text += fmt.Sprintf(" of %d", a.After)
		}
		if a.Dropped > 0 {
			text += fmt.Sprintf(", dropped %v later", a.Dropped)
		}
		text += ","
	}
	return strings.TrimRight(text, ",")
}

func natures(g *workload.Graph) string {
	kinds := [...]struct {
		name string
		is   func(s *workload.Step) bool
	}{
		{"failing", func(s *workload.Step) bool { return s.Nature == workload.Failing }},
		{"killing", func(s *workload.Step) bool { return s.Nature == workload.Killing }},
		{"careless", func(s *workload.Step) bool { return s.Nature == workload.Careless }},
		{"losing", func(s *workload.Step) bool { return s.Nature == workload.Losing }},
		{"here", func(s *workload.Step) bool { return s.Here }},
		{"with a toolchain", func(s *workload.Step) bool { return s.Toolchain != "" }},
	}
	text := ""
	for _, k := range kinds {
		var places []string
		for i := range g.Steps {
			if k.is(&g.Steps[i]) {
				places = append(places, fmt.Sprint(i))
			}
		}
		if len(places) > 0 {
			text += "; " + k.name + ": " + strings.Join(places, " ")
		}
	}
	return text
}
