// Package replay makes of a recorded build the setting in which a simulated
// mesh does it again: with the build's own graph, timings and mesh, or with
// some of that changed. It is pure. Start reading at Setting.
package replay

import (
	"errors"
	"fmt"
	"time"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/workload"
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
	// Kill are lines as `leader@50%`, `PEER@30%` or `PEER@2.5s`.
	Kill []string
	// Faults are lines as fault.Parse reads them; nodes are named by their
	// places among the recorded peers.
	Faults []string
	// Ways are the latencies between two peers.
	Ways []Way
}

// Any reports whether anything is changed.
func (c *Changes) Any() bool {
	return len(c.Add)+len(c.Remove)+len(c.Kill)+len(c.Faults)+len(c.Ways) > 0
}

const (
	// patience is how much longer than it took a build may take in the
	// simulation, in times of it, and leastPatience what it may take anyway.
	patience      = 50
	leastPatience = 10 * time.Minute
)

// Setting returns the setting of a recorded build with some changes. Steps
// whose results were known are not in its graph: they took no time. It
// takes the run time of a step, on whichever peer it was, as the step's cost;
// the cores of a machine on which several peers live are as busy as they were.
func Setting(rec *event.Recording, c Changes) (*setting.Setting, error) {
	if rec.TooLarge || len(rec.Peers) == 0 {
		return nil, fmt.Errorf("replay build %s: it was not recorded", rec.Build)
	}
	graph, err := graphOf(rec)
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
		Name: "replay of build " + rec.Build, Seed: 1, Nodes: t.nodes, Network: t.network(),
		Builds: []setting.Build{{
			Name: rec.Build, Initiator: 0, Graph: graph,
			Modes: steal.Modes{Force: rec.Modes.Force, KeepGoing: rec.Modes.KeepGoing, Local: rec.Modes.Local, Jobs: rec.Modes.Jobs},
		}},
		Limit: limit, Membership: setting.StandardMembership(), Lookup: setting.StandardLookup(), Overheads: m.overheads,
	}
	if s.Faults, err = t.faults(c); err != nil {
		return nil, err
	}
	if len(s.Faults) > 0 {
		s.HealAt = limit
	}
	return s, s.Validate()
}

// Took is how long the build took.
func Took(rec *event.Recording) time.Duration { return micros(rec.Marks.TotalUS) }

// Bound is a time in which nobody could do the build on the mesh of its
// setting: what comes before and after its steps, and the lower bound of those.
func Bound(s *setting.Setting) time.Duration {
	ms := make([]workload.Machine, len(s.Nodes))
	for i := range s.Nodes {
		ms[i] = workload.Machine{BPU: s.Nodes[i].BPU, Slots: s.Nodes[i].Slots}
	}
	return s.Overheads.Plan.Least + workload.LowerBound(s.Builds[0].Graph, ms) + s.Overheads.Place.Least
}

func micros(us int64) time.Duration { return time.Duration(us) * time.Microsecond }
