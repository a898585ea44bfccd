// Package simulations is a mesh in memory, in which the machines that decide
// in production (steal, elect, place, claim, swarm, rendezvous) run ten
// thousand nodes on one thread with a clock of their own. What a run does
// follows from its setting alone. What is a machine in production is that
// machine; what is a driver, a network or a library there is a model here:
// docs/simulation.md says which. Start reading at Run.
package simulations

import (
	"context"
	"time"

	"github.com/buildnet/buildnet/simulations/check"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
)

// Options are what a run may be given beside its setting.
type Options struct {
	// Rules judge the run; nil runs without any.
	Rules []check.Rule
	// Sinks are told of every event, after the rules.
	Sinks []trace.Sink
	// Progress, if not nil, is called now and then.
	Progress func(Progress)
}

// Progress is how far a run is.
type Progress struct {
	At           time.Duration // in the world
	Events       uint64
	Builds, Over int
	Steps, Done  int
}

// Outcome is what came of a run.
type Outcome struct {
	// Hash is of every event; two runs of one setting have the same.
	Hash   uint64
	Events uint64
	Ended  time.Duration // in the world
	// Violation is the first rule that was broken, with the events before it;
	// nil if none was.
	Violation *check.Violation
	Last      []trace.Event
	// Stopped says that the context ended the run early.
	Stopped bool
	Traffic Traffic
}

// Traffic is what the nodes of a run sent, in bytes, besides what events tell.
type Traffic struct {
	// Gossip, by node.
	Gossip []float64
	// Messages and MessageBytes of builds' streams, by node that sent them.
	Messages, MessageBytes []int64
	// Blobs, by node that sent them.
	Blobs []int64
}

// Run runs a setting to its end: every build is over, or a rule is broken, or
// the time of its setting is up, or ctx ends.
func Run(ctx context.Context, s *setting.Setting, o Options) (*Outcome, error) {
	w, err := newWorld(s, o)
	if err != nil {
		return nil, err
	}
	return w.run(ctx), nil
}
