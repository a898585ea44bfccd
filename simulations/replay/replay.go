// Package replay makes of a recorded build the setting in which a simulated
// mesh does it again: with the build's own graph, timings and mesh, or with
// some of that changed. It is pure. Start reading at Setting.
package replay

import (
	"errors"
	"fmt"
	"time"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/sched/place"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/setting"
)

// ErrChange is matched by errors about changes that cannot be made.
var ErrChange = errors.New("cannot change the mesh like this")

// Changes are what is to be otherwise than it was.
type Changes struct {
	// Add are machines that were not there.
	Add []Machines
	// Remove names peers that are not to be there: by their name, or by a part
	// of their ID.
	Remove []string
	// Kill are the peers that die.
	Kill []Kill
	// Ways are the latencies between two peers.
	Ways []Way
}

// Any reports whether anything is changed.
func (c *Changes) Any() bool {
	return len(c.Add)+len(c.Remove)+len(c.Kill)+len(c.Ways) > 0
}

const (
	// patience is how much longer than it took a build may take in the
	// simulation, in times of it, and leastPatience what it may take anyway.
	patience      = 50
	leastPatience = 10 * time.Minute
)

// Setting returns the setting of a recorded build with some changes. Steps
// whose results were known are not in its graph: they took no time. The cost of
// a step is its run time on the peer where it ran, without what it waited for
// the cores of a machine on which several peers live.
func Setting(rec *event.Recording, c Changes) (*setting.Setting, error) {
	if rec.TooLarge || len(rec.Peers) == 0 {
		return nil, fmt.Errorf("replay build %s: it was not recorded", rec.Build)
	}
	hosts := hostsOf(rec)
	bpu := speeds(rec, hosts)
	graph, err := graphOf(rec, costs(hosts), bpu)
	if err != nil {
		return nil, err
	}
	m := newMeasures(rec)
	t, err := newTown(rec, m, c)
	if err != nil {
		return nil, err
	}
	limit := max(leastPatience, patience*Took(rec))
	s := &setting.Setting{
		Name: "replay of build " + rec.Build, Seed: 1, Nodes: t.nodes, Hosts: t.hosts(hosts), Network: t.network(),
		Builds: []setting.Build{{
			Name: rec.Build, Initiator: 0, Graph: graph,
			Modes: steal.Modes{Force: rec.Modes.Force, KeepGoing: rec.Modes.KeepGoing, Local: rec.Modes.Local, Jobs: rec.Modes.Jobs, Policy: policyOf(rec.Modes.Policy)},
		}},
		Limit: limit, Membership: setting.StandardMembership(), Lookup: setting.StandardLookup(), Overheads: m.overheads,
	}
	if s.Faults, err = t.faults(c.Kill); err != nil {
		return nil, err
	}
	if len(s.Faults) > 0 {
		s.HealAt = limit
	}
	return s, s.Validate()
}

// policyOf is how the build's steps were placed.
func policyOf(p *event.Policy) place.Policy {
	var out place.Policy
	if p == nil {
		return out
	}
	// Words of another version are none: then it was placed by the standard.
	out.Strategy, _ = place.ParseStrategy(p.Distribution)
	out.Partition, _ = place.ParsePartition(p.Partition)
	if w := p.Weights; w != nil {
		out.Weights = place.Weights(*w)
	}
	return out
}

// Took is how long the build took.
func Took(rec *event.Recording) time.Duration { return micros(rec.Marks.TotalUS) }

// Bound is a time in which nobody could do the build on the mesh of its
// setting: what comes before and after its steps, and the longest chain of them
// on the fastest core, or all of them on all cores.
func Bound(s *setting.Setting) time.Duration {
	power, fastest := 0.0, 0.0
	shares := make([]bool, len(s.Nodes))
	for _, h := range s.Hosts {
		slots, best := 0, 0.0
		for _, at := range h.Nodes {
			shares[at] = true
			slots, best = slots+s.Nodes[at].Slots, max(best, s.Nodes[at].BPU)
		}
		power += best * min(h.Cores, float64(slots))
		fastest = max(fastest, best*min(h.Cores, 1))
	}
	for i := range s.Nodes {
		if n := &s.Nodes[i]; !shares[i] && n.Slots > 0 {
			power, fastest = power+n.BPU*float64(n.Slots), max(fastest, n.BPU)
		}
	}
	around := s.Overheads.Plan.Least + s.Overheads.Place.Least
	if power <= 0 {
		return around
	}
	g := s.Builds[0].Graph
	return around + time.Duration(max(g.CriticalPath()/fastest, g.Work()/power)*float64(time.Second))
}

func micros(us int64) time.Duration { return time.Duration(us) * time.Microsecond }
