package makespan

import (
	"flag"
	"math/rand/v2"
	"testing"

	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/workload"
)

var thinSeeds = flag.Int("thin-seeds", 20, "how many builds of each kind BenchmarkThin runs")

// thin is a kind of builds over a line of 10 Mbit/s and 20 ms.
type thin struct {
	name         string
	graph        func(rng *rand.Rand) *workload.Graph
	cost         float64
	hinted       bool
	other        setting.Node
	median, most float64 // of the time alone: half of the builds, nine of ten
}

var (
	equal = setting.Node{BPU: 1, Slots: 4}
	farm  = setting.Node{BPU: 4, Slots: 16}
)

func chainsOf(n, length int) func(*rand.Rand) *workload.Graph {
	return func(*rand.Rand) *workload.Graph { return workload.Chains(n, length) }
}

func tangle(width, depth int) func(*rand.Rand) *workload.Graph {
	return func(rng *rand.Rand) *workload.Graph { return workload.Tangle(rng, width, depth) }
}

func compile(n int) func(*rand.Rand) *workload.Graph {
	return func(*rand.Rand) *workload.Graph { return workload.Compile(n) }
}

var thins = []thin{
	{"a chain of 50 ms", chainsOf(1, 100), 0.05, true, equal, 1.02, 1.03},
	{"a short chain of 50 ms", chainsOf(1, 40), 0.05, true, equal, 1.03, 1.05},
	{"a chain of 300 ms", chainsOf(1, 40), 0.3, true, equal, 1.02, 1.03},
	{"four chains of 50 ms", chainsOf(4, 50), 0.05, true, equal, 1.02, 1.04},
	{"a tangle of 50 ms, four wide", tangle(4, 40), 0.05, true, equal, 1.03, 1.05},
	{"a tangle of 50 ms, sixteen wide", tangle(16, 20), 0.05, true, equal, 1.02, 1.03},
	{"a chain of 50 ms beside a farm", chainsOf(1, 100), 0.05, true, farm, 1.02, 1.04},
	{"a tangle of 50 ms beside a farm", tangle(4, 40), 0.05, true, farm, 1.04, 1.07},
	{"a tangle of 1 s beside a farm", tangle(8, 10), 1, true, farm, 0.35, 0.45},
	{"a hundred compiles of 50 ms", compile(100), 0.05, true, equal, 1, 1.03},
	{"unhinted, a chain of 50 ms", chainsOf(1, 40), 0.05, false, equal, 1.06, 1.08},
	{"unhinted, a tangle of 50 ms", tangle(4, 40), 0.05, false, equal, 1.05, 1.08},
	{"unhinted, twenty compiles of 50 ms", compile(20), 0.05, false, equal, 1.1, 1.2},
	{"unhinted, a hundred compiles of 50 ms", compile(100), 0.05, false, equal, 1.02, 1.05},
	{"unhinted, a hundred compiles of 1 s", compile(100), 1, false, equal, 0.5, 0.5},
	{"unhinted, a tangle of 1 s beside a farm", tangle(8, 10), 1, false, farm, 0.35, 0.45},
	{"unhinted, a hundred compiles of 10 s beside a farm", compile(100), 10, false, farm, 0.06, 0.08},
}

// of is what a build takes of its time alone.
func (c *thin) of(t testing.TB, seed uint64) float64 {
	took := func(others ...setting.Node) float64 {
		rng := rand.New(rand.NewPCG(seed, 0x7468696e))
		s := besides(seed, c.graph(rng), c.cost, 30e3, far, others...)
		for i := range s.Builds[0].Graph.Steps {
			step := &s.Builds[0].Graph.Steps[i]
			if step.SizeHint = step.OutputBytes; !c.hinted {
				step.Hint, step.SizeHint = 0, 0
			}
		}
		r, err := Measure(t.Context(), s)
		if err != nil {
			t.Fatal(c.name, seed, err)
		}
		return r.Took.Seconds()
	}
	return took(c.other) / took()
}

// TestShortStepsOverAThinLine holds what docs/scheduling.md says, on few seeds.
func TestShortStepsOverAThinLine(t *testing.T) {
	for _, c := range thins {
		var of []float64
		for seed := range uint64(10) {
			of = append(of, c.of(t, seed))
		}
		if got := Of(of); got.Median > c.median || got.P90 > c.most {
			t.Errorf("%s: half of the builds take %.3f of what they take alone, nine of ten %.3f; want %.2f and %.2f", c.name, got.Median, got.P90, c.median, c.most)
		}
	}
}

// BenchmarkThin is what builds over a thin line take of their time alone: median
// and 90th percentile. It is a table of docs/scheduling.md.
func BenchmarkThin(b *testing.B) {
	for _, c := range thins {
		b.Run(c.name, func(b *testing.B) {
			for range b.N {
				var of []float64
				for seed := range uint64(*thinSeeds) {
					of = append(of, c.of(b, seed))
				}
				b.ReportMetric(Of(of).Median, "median")
				b.ReportMetric(Of(of).P90, "p90")
			}
		})
	}
}
