package makespan

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/buildnet/buildnet/simulations/network"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/workload"
)

var (
	near = network.Path{Latency: 100 * time.Microsecond, Jitter: 100 * time.Microsecond, Bandwidth: 125e6}
	far  = network.Path{Latency: 10 * time.Millisecond, Bandwidth: 10e6 / 8}
)

// beside is a build of a hundred steps, of known cost and unknown outputs, on a
// machine of two slots of 1 BPU, and others on another site.
func beside(seed uint64, cost, bytes float64, way network.Path, others ...setting.Node) *setting.Setting {
	return besides(seed, workload.Compile(100), cost, bytes, way, others...)
}

// besides is a build of any graph in that place.
func besides(seed uint64, g *workload.Graph, cost, bytes float64, way network.Path, others ...setting.Node) *setting.Setting {
	rng := rand.New(rand.NewPCG(seed, 0x616c6f6e65))
	for i := range g.Steps {
		g.Steps[i].Cost = cost * (0.5 + rng.Float64())
		g.Steps[i].Hint = g.Steps[i].Cost * (0.8 + 0.4*rng.Float64())
	}
	g.DrawSizes(rng, bytes)
	s := &setting.Setting{
		Name: "beside", Seed: seed, Limit: time.Hour, Membership: setting.StandardMembership(), Lookup: setting.StandardLookup(),
		Overheads: setting.StandardOverheads(), Builds: []setting.Build{{Name: "beside", Graph: g}},
		Nodes: append([]setting.Node{{BPU: 1, Slots: 2}}, others...),
	}
	s.Network = network.Config{
		Sites: []network.Site{{Name: "here", Local: near}, {Name: "there", Local: near}}, Routes: []network.Route{{A: 0, B: 1, Path: way}},
		Site: []int{0},
	}
	for range others {
		s.Network.Site = append(s.Network.Site, 1)
	}
	return s
}

// TestABuildIsNoSlowerThanAlone compares builds on one machine with the same ones
// beside another machine.
func TestABuildIsNoSlowerThanAlone(t *testing.T) {
	for _, c := range []struct {
		name        string
		cost, bytes float64
		way         network.Path
		other       setting.Node
		most        float64
	}{
		{"10 Mbit/s and 20 ms, outputs of a second", 0.1, 1e6, far, setting.Node{BPU: 1, Slots: 4}, 1.03},
		{"10 Mbit/s and 20 ms, steps of 10 ms", 0.01, 30e3, far, setting.Node{BPU: 1, Slots: 4}, 1.05},
		{"10 Mbit/s and 20 ms, long steps", 1, 30e3, far, setting.Node{BPU: 1, Slots: 4}, 0.5},
		{"a twentieth of the speed", 0.1, 30e3, near, setting.Node{BPU: 0.05, Slots: 2}, 1.03},
		{"a fast one near by", 0.1, 30e3, near, setting.Node{BPU: 2, Slots: 4}, 0.3},
	} {
		var of []float64
		for seed := range uint64(3) {
			alone, err := Measure(t.Context(), beside(seed, c.cost, c.bytes, c.way))
			if err != nil {
				t.Fatal(err)
			}
			both, err := Measure(t.Context(), beside(seed, c.cost, c.bytes, c.way, c.other))
			if err != nil {
				t.Fatal(err)
			}
			of = append(of, both.Took.Seconds()/alone.Took.Seconds())
		}
		if slices.Max(of) > c.most {
			t.Errorf("%s: builds take %.3f of what they take alone, want %.2f at most", c.name, of, c.most)
		}
	}
}
