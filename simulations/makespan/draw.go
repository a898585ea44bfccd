package makespan

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/buildnet/buildnet/sched/place"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/network"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/workload"
)

// Shapes are the families of graphs that are drawn, in the order of the table.
var Shapes = []string{"layers", "chains", "fork-join", "compile", "random"}

// What is drawn.
const (
	leastSteps, mostSteps = 100, 1000
	leastNodes, mostNodes = 8, 16
	mostSlots             = 4
	// medianCost in BPU-seconds: a compile of half a second to several, on cores
	// of 8 BPU to 1. Costs are lognormal with a spread of leastSpread to
	// mostSpread.
	medianCost              = 4.0
	leastSpread, mostSpread = 0.3, 1.0
)

// Hints are what is known beforehand of what steps take.
type Hints uint8

const (
	// Near hints are within a factor of e to the 0.2 of the truth, for two thirds
	// of the steps: what a history of the same steps tells.
	Near Hints = iota
	// Exact hints are the truth.
	Exact
	// None is a first build of all.
	None
)

// nearSpread is of Near hints.
const nearSpread = 0.2

// Draw is the build of a seed, of one shape, on machines of its own whose
// cores have 1, 2, 4 and 8 BPU in equal parts, on one LAN.
func Draw(seed uint64, shape string, policy place.Policy, hints Hints) *setting.Setting {
	rng := rand.New(rand.NewPCG(seed, 0x6d616b657370616e))
	g := graph(rng, shape, int(leastSteps*math.Exp(rng.Float64()*math.Log(mostSteps/leastSteps))))
	spread := leastSpread + (mostSpread-leastSpread)*rng.Float64()
	for i := range g.Steps {
		g.Steps[i].Cost = medianCost * math.Exp(rng.NormFloat64()*spread)
	}
	g.DrawSizes(rng, 30e3)
	s := &setting.Setting{
		Name: "makespan", Seed: seed, Limit: time.Hour, Membership: setting.StandardMembership(), Lookup: setting.StandardLookup(),
		Overheads: setting.StandardOverheads(),
	}
	s.Network.Sites = []network.Site{{Name: "lan", Local: network.Path{
		Latency: 100 * time.Microsecond, Jitter: 100 * time.Microsecond, Bandwidth: 125e6,
	}}}
	first := rng.IntN(4)
	for i := range leastNodes + rng.IntN(mostNodes-leastNodes+1) {
		s.Nodes = append(s.Nodes, setting.Node{BPU: float64(int(1) << ((first + i) % 4)), Slots: 1 + rng.IntN(mostSlots)})
		s.Network.Site = append(s.Network.Site, 0)
	}
	for i := range g.Steps {
		switch step := &g.Steps[i]; hints {
		case Exact:
			step.Hint = step.Cost
		case Near:
			step.Hint = step.Cost * math.Exp(rng.NormFloat64()*nearSpread)
		}
	}
	s.Builds = []setting.Build{{Name: shape, Graph: g, Modes: steal.Modes{Policy: policy}}}
	return s
}

func graph(rng *rand.Rand, shape string, n int) *workload.Graph {
	// between is drawn evenly by its logarithm.
	between := func(least, most float64) int { return int(least * math.Exp(rng.Float64()*math.Log(most/least))) }
	switch shape {
	case "layers":
		width := between(4, 100)
		return workload.Tangle(rng, width, max(1, n/width))
	case "chains":
		k := between(4, 64)
		return workload.Chains(k, max(1, n/k))
	case "fork-join":
		var widths []int
		for sum := 0; sum < n; {
			w := 10 + rng.IntN(max(1, n/3))
			widths = append(widths, w)
			sum += w + 1
		}
		return workload.ForkJoin(widths...)
	case "compile":
		return workload.Compile(n * 5 / 6)
	default:
		return workload.Packages(n, rng)
	}
}
