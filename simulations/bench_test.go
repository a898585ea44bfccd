package simulations

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/buildnet/buildnet/simulations/network"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/workload"
)

// planet is nodes in cells of 200, a build of some 200 steps for each 20 nodes.
func planet(nodes int) *setting.Setting {
	const perCell, sites = 200, 5
	s := &setting.Setting{
		Name: "planet", Seed: 1, Limit: 10 * time.Minute,
		Membership: setting.StandardMembership(), Lookup: setting.StandardLookup(), Overheads: setting.StandardOverheads(),
	}
	for i := range sites {
		s.Network.Sites = append(s.Network.Sites, network.Site{
			Name: fmt.Sprint(i), Local: network.Path{Latency: 5 * time.Millisecond, Jitter: time.Millisecond, Bandwidth: 125e6},
		})
		for j := range i {
			s.Network.Routes = append(s.Network.Routes, network.Route{A: j, B: i, Path: network.Path{Latency: 60 * time.Millisecond, Jitter: 5 * time.Millisecond, Bandwidth: 1.25e9}})
		}
	}
	for i := range nodes {
		s.Network.Site = append(s.Network.Site, i/perCell%sites)
		s.Nodes = append(s.Nodes, setting.Node{BPU: 1, Slots: 4, Cell: i / perCell})
	}
	graph := workload.Compile(170)
	for i := range nodes / 20 {
		own := &workload.Graph{Steps: append([]workload.Step(nil), graph.Steps...)}
		for k := range own.Steps {
			own.Steps[k].Content = fmt.Sprintf("%s of %d", own.Steps[k].Content, i/2)
		}
		s.Builds = append(s.Builds, setting.Build{Initiator: i * 20, At: time.Duration(i%50) * 100 * time.Millisecond, Graph: own})
	}
	return s
}

func BenchmarkPlanet(b *testing.B) {
	for _, nodes := range []int{100, 1000, 10000} {
		b.Run(fmt.Sprint(nodes), func(b *testing.B) {
			for range b.N {
				o, err := Run(context.Background(), planet(nodes), Options{})
				if err != nil || o.Violation != nil {
					b.Fatal(err, o.Violation)
				}
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				b.ReportMetric(o.Ended.Seconds(), "s-world/op")
				b.ReportMetric(float64(o.Events), "events/op")
				b.ReportMetric(float64(m.Sys)/(1<<20), "MiB")
			}
		})
	}
}
