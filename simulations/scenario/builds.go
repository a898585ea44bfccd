package scenario

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/workload"
)

func (p *plan) builds() error {
	for i := range p.file.Builds {
		b := &p.file.Builds[i]
		n := b.number(len(p.out.Nodes))
		from, err := p.initiators(b, i, n)
		if err != nil {
			return fmt.Errorf("builds[%d].from: %w", i, err)
		}
		project := p.graph(b, p.rng(buildStream, i<<16))
		for k := range n {
			one := p.build(b, i, k, n, project)
			one.Initiator = from[k%len(from)]
			p.names[one.Name] = len(p.out.Builds)
			p.out.Builds = append(p.out.Builds, one)
		}
	}
	return nil
}

// initiators are nodes that may ask for the builds, in a drawn order: no node
// asks for a second one before all have asked for one. Who comes late asks for
// nothing.
func (p *plan) initiators(b *build, i, n int) ([]int, error) {
	var from []int
	if len(b.From) > 0 {
		var err error
		if from, err = p.places(b.From); err != nil {
			return nil, err
		}
	} else {
		for node := range p.out.Nodes {
			from = append(from, node)
		}
	}
	from = slices.DeleteFunc(from, func(node int) bool { return p.out.Nodes[node].Late > 0 })
	if len(from) == 0 {
		return nil, fmt.Errorf("all of these nodes come late; name one that is there from the beginning")
	}
	rng := p.rng(buildStream, i<<16|0xffff)
	rng.Shuffle(len(from), func(x, y int) { from[x], from[y] = from[y], from[x] })
	return from[:min(n, len(from))], nil
}

// build is number k of n of an entry.
func (p *plan) build(b *build, i, k, n int, project *workload.Graph) setting.Build {
	rng := p.rng(buildStream, i<<16|k+1)
	name := b.Name
	if n > 1 {
		name += "-" + strconv.Itoa(k+1)
	}
	var g *workload.Graph
	if b.Shared > 0 {
		g = variant(project, b.Name, name, b.Shared, rng)
	} else {
		g = p.graph(b, rng)
		g.Prefix(name)
	}
	return setting.Build{
		Name: name, At: b.At.draw(rng), Graph: g,
		Modes: steal.Modes{Force: b.Force, KeepGoing: b.KeepGoing, Local: b.Local, Jobs: b.Jobs},
	}
}

// variant is a project as one of its users has it: that share of the steps'
// sources are everybody's.
func variant(project *workload.Graph, everybody, own string, shared float64, rng *rand.Rand) *workload.Graph {
	g := &workload.Graph{Steps: slices.Clone(project.Steps)}
	for i := range g.Steps {
		whose := everybody
		if rng.Float64() >= shared {
			whose = own
		}
		g.Steps[i].Content = whose + "/" + g.Steps[i].Content
	}
	return g
}

// perObject is how many steps workload.Compile makes of a dozen objects.
const perObject = 14. / 12

// graph draws one graph of an entry.
func (p *plan) graph(b *build, rng *rand.Rand) *workload.Graph {
	var g *workload.Graph
	switch n := b.Steps.draw(rng); b.Shape {
	case "chain":
		g = workload.Chain(n)
	case "wide":
		g = workload.Wide(n - 1)
	case "layers":
		width := min(b.Width, n)
		g = workload.Layers(width, n/width)
	case "diamond":
		g = workload.Diamond(max(1, n-2))
	case "compile":
		g = workload.Compile(max(1, int(float64(n)/perObject)))
	default:
		g = workload.Packages(n, rng)
	}
	for i := range g.Steps {
		b.drawStep(&g.Steps[i], rng)
	}
	return g
}

// drawStep draws always the same number of times, so that one share leaves the
// rest as it is.
func (b *build) drawStep(s *workload.Step, rng *rand.Rand) {
	s.Cost, s.Hint = b.Cost.draw(rng), 0
	if rng.Float64() < b.Known {
		s.Hint = s.Cost
	}
	s.InputBytes, s.OutputBytes, s.Toolchain = b.Inputs.draw(rng), b.Outputs.draw(rng), b.Toolchain
	s.Here = rng.Float64() < b.Here
	at := rng.Float64()
	for _, n := range []struct {
		share  float64
		nature workload.Nature
	}{{b.Failing, workload.Failing}, {b.Killing, workload.Killing}, {b.Careless, workload.Careless}, {b.Losing, workload.Losing}} {
		if at >= 0 && at < n.share {
			s.Nature = n.nature
		}
		at -= n.share
	}
}
