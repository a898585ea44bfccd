// Package draw makes settings of seeds: everything about a run that a test of
// the mesh could vary is drawn, each thing independently, so that a few hundred
// seeds meet what nobody would have written down. It is pure. Start reading at
// Setting.
package draw

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/check"
	"github.com/buildnet/buildnet/simulations/fault"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/workload"
)

const (
	// mostSteps bounds the steps of one run, about.
	mostSteps = 60
	// limit is how long a run may take after the last fault, beside its work:
	// deaths are noticed and tries come to nothing meanwhile.
	limit = 2 * time.Minute
	// stream tells this use of a seed from that of the world.
	stream = 0x64726177
)

type drawer struct {
	rng *rand.Rand
	s   *setting.Setting
	// calm runs have no fault and no nature that is one, so that what they take
	// can be judged.
	calm bool
}

// Setting is the run of a seed.
func Setting(seed uint64) *setting.Setting {
	d := &drawer{rng: rand.New(rand.NewPCG(seed, stream)), s: &setting.Setting{Name: "chaos", Seed: seed}}
	d.calm = d.rng.IntN(3) == 0
	d.nodes()
	d.network()
	d.builds()
	d.natures()
	d.faults()
	d.s.Membership = setting.StandardMembership()
	d.s.Lookup = setting.StandardLookup()
	d.s.Overheads = setting.StandardOverheads()
	d.s.Limit = limit + 4*d.alone() + 4*check.Transfers(d.s)
	d.open()
	d.commands()
	return d.s
}

// one is true in one of n cases.
func (d *drawer) one(n int) bool { return d.rng.IntN(n) == 0 }

// pick is one of some values.
func pick[T any](d *drawer, from ...T) T { return from[d.rng.IntN(len(from))] }

func (d *drawer) between(least, most time.Duration) time.Duration {
	return least + time.Duration(d.rng.Int64N(int64(most-least)+1)).Truncate(time.Microsecond)
}

func (d *drawer) nodes() {
	n := 1 + d.rng.IntN(12)
	if d.one(12) {
		n = 13 + d.rng.IntN(28)
	}
	cells := 1
	if n >= 6 && d.one(12) {
		cells = 2
	}
	bpu := pick(d,
		func() float64 { return 1 },
		func() float64 { return 0.5 + 1.5*d.rng.Float64() },
		func() float64 { return pick(d, 0.25, 1, 1, 4) },
	)
	slots := pick(d,
		func() int { return 1 },
		func() int { return 2 },
		func() int { return pick(d, 1, 2, 4, 8) },
		func() int { return pick(d, 0, 1, 2, 4) },
	)
	skewed, late, tools := d.one(2), !d.calm && d.one(4), d.one(3)
	for i := range n {
		node := setting.Node{Name: fmt.Sprintf("n%d", i), BPU: bpu(), Slots: slots(), Cell: i * cells / n}
		if skewed {
			node.Skew = d.between(0, 10*time.Second) - 5*time.Second
		}
		if late && i > 0 && d.one(3) {
			node.Late = d.between(100*time.Millisecond, 8*time.Second)
		}
		if tools && d.one(2) {
			node.Toolchains = []string{"special"}
		}
		d.s.Nodes = append(d.s.Nodes, node)
	}
}

func (d *drawer) builds() {
	n := pick(d, 1, 1, 1, 1, 2, 2, 3)
	shares := d.one(2)
	steps := 1 + d.rng.IntN(mostSteps/n)
	for i := range n {
		b := setting.Build{Name: fmt.Sprintf("b%d", i), Initiator: d.initiator(), Modes: d.modes()}
		if i > 0 {
			b.At = d.between(0, 3*time.Second)
		}
		if i > 0 && shares {
			b.Graph = copied(d.s.Builds[0].Graph)
		} else {
			b.Graph, _ = workload.Draw(d.rng, steps)
			b.Graph.Prefix(b.Name)
		}
		d.s.Builds = append(d.s.Builds, b)
	}
}

// initiator is a node that is there from the beginning: the first one is.
func (d *drawer) initiator() int {
	if n := d.rng.IntN(len(d.s.Nodes)); d.s.Nodes[n].Late == 0 {
		return n
	}
	return 0
}

func (d *drawer) modes() steal.Modes {
	m := steal.Modes{Force: d.one(16), KeepGoing: d.one(2), Local: d.one(24)}
	if d.one(4) {
		m.Jobs = pick(d, 1, 2, 3, 8)
	}
	return m
}

func copied(g *workload.Graph) *workload.Graph {
	c := &workload.Graph{Steps: slices.Clone(g.Steps)}
	for i := range c.Steps {
		c.Steps[i].Deps = slices.Clone(c.Steps[i].Deps)
	}
	return c
}

// natures are drawn for contents, so that equal ones stay equal in all builds.
func (d *drawer) natures() {
	type kind struct {
		nature workload.Nature
		in     int // one in so many steps
	}
	var kinds []kind
	for _, k := range []kind{{workload.Failing, 40}, {workload.Careless, 8}, {workload.Losing, 12}, {workload.Killing, 30}} {
		if faulty := k.nature == workload.Losing || k.nature == workload.Killing; (!faulty || !d.calm) && d.one(3) {
			kinds = append(kinds, k)
		}
	}
	here, tools := d.one(3), d.one(3)
	drawn := map[string]workload.Step{}
	for b := range d.s.Builds {
		for i := range d.s.Builds[b].Graph.Steps {
			s := &d.s.Builds[b].Graph.Steps[i]
			as, again := drawn[s.Content]
			if !again {
				as = *s
				for _, k := range kinds {
					if d.one(k.in) {
						as.Nature = k.nature
					}
				}
				as.Here = here && d.one(12)
				if tools && d.one(10) {
					as.Toolchain = "special"
				}
				drawn[s.Content] = as
			}
			s.Nature, s.Here, s.Toolchain = as.Nature, as.Here, as.Toolchain
		}
	}
}

func (d *drawer) faults() {
	if d.calm {
		return
	}
	d.s.Flaky = pick(d, 0, 0, 0.02, 0.1)
	if d.one(8) && d.s.Flaky > 0 {
		d.s.HealAt = d.between(5*time.Second, 30*time.Second)
		return
	}
	scope := fault.Scope{Nodes: len(d.s.Nodes), Until: d.between(time.Second, 15*time.Second)}
	for i := range d.s.Builds {
		scope.Initiators = append(scope.Initiators, d.s.Builds[i].Initiator)
	}
	d.s.Faults = fault.Draw(d.rng, scope)
	d.s.HealAt = scope.Until + d.between(time.Second, 10*time.Second)
}

// alone is what the slowest node takes for all builds.
func (d *drawer) alone() time.Duration {
	work, slowest := 0.0, d.s.Nodes[0].BPU
	for i := range d.s.Builds {
		work += d.s.Builds[i].Graph.Work()
	}
	for i := range d.s.Nodes {
		slowest = min(slowest, d.s.Nodes[i].BPU)
	}
	return time.Duration(work / slowest * float64(time.Second))
}
