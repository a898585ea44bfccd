package makespan

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/buildnet/buildnet/sched/place"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations"
	"github.com/buildnet/buildnet/simulations/network"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
	"github.com/buildnet/buildnet/simulations/workload"
)

// The members of the world in which policies are compared.
const (
	home    = iota // has the sources
	distant        // is the fastest, at another site
	broad          // has most slots
	plain          // is as the initiator, but for the sources
	members
)

// The steps: chains that end in one step.
const chains, length = 5, 21

// placement is who was given the steps of a build, and how long it took. A policy
// gives: of those that were given to the distant one most are called back.
type placement struct {
	watch
	given    [members]int
	packages map[string]*[members]int // how many steps of each
	graph    *workload.Graph
}

// Observe implements trace.Sink.
func (p *placement) Observe(e *trace.Event) {
	p.watch.Observe(e)
	if e.Kind == trace.Assigned {
		p.given[e.Peer]++
		of := p.graph.Steps[e.Step].Package
		if p.packages[of] == nil {
			p.packages[of] = &[members]int{}
		}
		p.packages[of][e.Peer]++
	}
}

// run builds steps of some packages by a policy in a world of unlike members.
func run(t *testing.T, policy place.Policy) *placement {
	t.Helper()
	g := workload.Chains(chains, length)
	for i := range g.Steps {
		s := &g.Steps[i]
		s.Cost, s.InputBytes, s.OutputBytes, s.Package = 0.1, 64<<10, 1<<20, fmt.Sprint(i/chains%4)
		if i%chains == 0 {
			s.Cost = 1 // the one chain that the end of the build waits for
		}
		s.Hint = s.Cost
	}
	lan := network.Path{Latency: 100 * time.Microsecond, Bandwidth: 125e6}
	s := &setting.Setting{
		Name: "policy", Seed: 1, Limit: time.Hour, Membership: setting.StandardMembership(), Lookup: setting.StandardLookup(),
		Overheads: setting.StandardOverheads(),
		Nodes:     []setting.Node{{BPU: 1, Slots: 2}, {BPU: 4, Slots: 2}, {BPU: 2, Slots: 6}, {BPU: 1, Slots: 2}},
		Builds:    []setting.Build{{Name: "policy", Graph: g, Modes: steal.Modes{Policy: policy, Force: true}}},
	}
	s.Network.Sites = []network.Site{{Name: "here", Local: lan}, {Name: "there", Local: lan}}
	s.Network.Routes = []network.Route{{A: 0, B: 1, Path: network.Path{Latency: 25 * time.Millisecond, Bandwidth: 125e6}}}
	s.Network.Site = []int{0, 1, 0, 0}
	p := &placement{packages: map[string]*[members]int{}, graph: g}
	o, err := simulations.Run(t.Context(), s, simulations.Options{Sinks: []trace.Sink{p}})
	if err != nil || o.Violation != nil || !p.completed {
		t.Fatalf("%+v: %v, %v, completed: %v", policy, err, o.Violation, p.completed)
	}
	return p
}

// together is which part of the steps was given to whoever had most of their package.
func (p *placement) together() float64 {
	most, all := 0, 0
	for _, by := range p.packages {
		most += slices.Max(by[:])
	}
	for _, n := range p.given {
		all += n
	}
	return float64(most) / float64(all)
}

func (p *placement) took() time.Duration { return p.last - p.first }

// some reports whether each member had so many steps.
func (p *placement) some(least int) bool { return slices.Min(p.given[:]) >= least }

// TestEachStrategyChangesABuild, and what follows: none is a name alone.
func TestEachStrategyChangesABuild(t *testing.T) {
	ran := map[place.Strategy]*placement{}
	for i := range place.Strategies() {
		ran[place.Strategy(i)] = run(t, place.Policy{Strategy: place.Strategy(i)})
	}
	smart, fastest, locality := ran[place.Smart], ran[place.Fastest], ran[place.Locality]
	for what, holds := range map[string]bool{
		"smart is done soonest":                        smart.took() <= fastest.took() && smart.took()*4 < ran[place.RoundRobin].took()*3,
		"round_robin gives to everybody":               ran[place.RoundRobin].some(10),
		"least_loaded gives most to whoever has slots": ran[place.LeastLoaded].some(10) && slices.Max(ran[place.LeastLoaded].given[:]) == ran[place.LeastLoaded].given[broad],
		"fastest leaves the slow ones alone":           fastest.given[home]+fastest.given[plain] == 0 && fastest.given[distant] >= 20,
		"locality goes to the sources":                 locality.given[distant] == 0 && locality.given[home] >= 20,
	} {
		if !holds {
			t.Errorf("%s: no", what)
		}
	}
	for s, p := range ran {
		t.Log(s, p.given, p.took())
	}
}

func TestEachWeightChangesABuild(t *testing.T) {
	performance, locality := run(t, place.Policy{Weights: place.Weights{Performance: 1}}), run(t, place.Policy{Weights: place.Weights{Locality: 1}})
	latency, availability := run(t, place.Policy{Weights: place.Weights{Latency: 1}}), run(t, place.Policy{Weights: place.Weights{Availability: 1}})
	for what, holds := range map[string]bool{
		"performance goes to the fastest": performance.given[distant] >= 10 && performance.given[home] == 0,
		"locality goes to the sources":    locality.given[home] >= 20 && locality.given[distant] <= 2,
		"latency stays near":              latency.given[distant] <= 2 && latency.given[home] == 0,
		"availability gives to everybody": availability.some(10),
	} {
		if !holds {
			t.Errorf("%s: no", what)
		}
	}
	t.Log(performance.given, locality.given, latency.given, availability.given)
}

func TestEachPartitionChangesABuild(t *testing.T) {
	ran := map[place.Partition]*placement{}
	for i := range place.Partitions() {
		ran[place.Partition(i)] = run(t, place.Policy{Strategy: place.RoundRobin, Partition: place.Partition(i)})
	}
	if together, apart := ran[place.ByPackage].together(), ran[place.ByFile].together(); together < 0.9 || apart > 0.6 {
		t.Errorf("of the steps of a package %.2f are together by package, %.2f by file", together, apart)
	}
	hybrid, byFile := run(t, place.Policy{Strategy: place.Locality}), run(t, place.Policy{Strategy: place.Locality, Partition: place.ByFile})
	if hybrid.given == byFile.given {
		t.Errorf("hybrid is as by file: %v", hybrid.given)
	}
	t.Log(hybrid.given, byFile.given, ran[place.ByPackage].together(), ran[place.ByFile].together())
}
