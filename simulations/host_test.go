package simulations_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/buildnet/buildnet/simulations"
	"github.com/buildnet/buildnet/simulations/network"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
	"github.com/buildnet/buildnet/simulations/workload"
)

// ends notes when a build is over.
type ends struct{ at time.Duration }

// Observe implements trace.Sink.
func (o *ends) Observe(e *trace.Event) {
	if e.Kind == trace.Over {
		o.at = e.At
	}
}

func TestNodesOfOneHostShareItsCores(t *testing.T) {
	took := func(hosts ...setting.Host) time.Duration {
		t.Helper()
		s := &setting.Setting{
			Nodes:      []setting.Node{{Name: "a", BPU: 1, Slots: 2}, {Name: "b", BPU: 1, Slots: 2}},
			Network:    network.Config{Sites: []network.Site{{Local: network.Path{Latency: time.Millisecond, Bandwidth: 1e9}}}, Site: []int{0, 0}},
			Hosts:      hosts,
			Membership: setting.StandardMembership(), Lookup: setting.StandardLookup(),
		}
		g := &workload.Graph{}
		for i := range 4 {
			name := fmt.Sprint("step", i)
			g.Steps = append(g.Steps, workload.Step{Name: name, Content: name, Cost: 10})
		}
		s.Builds = []setting.Build{{Name: "b", Graph: g}}
		var o ends
		if _, err := simulations.Run(t.Context(), s, simulations.Options{Sinks: []trace.Sink{&o}}); err != nil {
			t.Fatal(err)
		}
		return o.at.Round(time.Second)
	}
	both := []int{0, 1}
	for want, got := range map[time.Duration]time.Duration{
		10 * time.Second: took(),
		20 * time.Second: took(setting.Host{Nodes: both, Cores: 2}),
		80 * time.Second: took(setting.Host{Nodes: both, Cores: 0.5}),
		5 * time.Second:  took(setting.Host{Nodes: both, Cores: 4, BPU: 2}),
		40 * time.Second: took(setting.Host{Nodes: both, Cores: 1, Lent: 0.01}),
	} {
		if got != want {
			t.Errorf("took %v, want %v", got, want)
		}
	}
}
