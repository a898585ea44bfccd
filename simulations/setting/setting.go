// Package setting is all that one run of a simulated world follows from: a
// setting runs the same way each time, on every machine of one architecture (Go
// may fuse multiplications with additions on others). It is pure. Start
// reading at Setting.
package setting

import (
	"time"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/fault"
	"github.com/buildnet/buildnet/simulations/network"
	"github.com/buildnet/buildnet/simulations/workload"
)

// Setting is one run, with nothing left open but what its seed decides while
// the world runs.
type Setting struct {
	Name string
	Seed uint64

	Network network.Config
	Nodes   []Node
	// Hosts are machines on which several nodes live; a node that is on none of
	// them has one of its own.
	Hosts  []Host
	Builds []Build
	// Commands are run outside of builds.
	Commands []Command
	Faults   []fault.Fault

	// Flaky is the chance that resolving, preparing or securing a step fails,
	// until the faults are over.
	Flaky float64
	// HealAt is when the faults are over: what is split, slow, clogged or
	// failing heals, Flaky ends, and nodes that are down stay down. 0 is the
	// beginning: a run without faults.
	HealAt time.Duration
	// Limit is how long after HealAt, and after its own begin, every build
	// whose initiator lives must be over.
	Limit time.Duration

	Membership Membership
	Lookup     Lookup
	Overheads  Overheads
}

// Node is one machine.
type Node struct {
	Name string
	// BPU is the speed of one core. Slots is how many actions run at once; 0
	// runs none.
	BPU   float64
	Slots int
	// Memory in bytes is what actions have; 0 is not known, and no bound.
	Memory int64
	// Cell is the gossip group it is in: it knows the members of that alone.
	Cell int
	// Toolchains are those that it has, besides what every node has.
	Toolchains []string
	// Probe is how long it takes to tell a build's first leader which toolchains
	// it has: a node that never used one has to read it.
	Probe time.Duration
	// Skew is how far its clock is ahead.
	Skew time.Duration
	// Late nodes come at this time instead of the beginning.
	Late time.Duration
}

// Build is one build that somebody asks for.
type Build struct {
	Name      string
	Initiator int
	At        time.Duration
	Graph     *workload.Graph
	Modes     steal.Modes
	// Arrivals are when the steps come, in their order, where the build is an open
	// one; nil if it is not.
	Arrivals []Arrival
}

// Membership is the model of SWIM: what rung 2 measures of serf on the real
// stack, and what the protocol's own constants make of it in larger cells.
type Membership struct {
	// Detect is how long after a death the first member declares it, between
	// DetectLeast and DetectMost; Gossip is how long one round of spreading
	// takes, with Fanout members told a round.
	DetectLeast, DetectMost time.Duration
	Gossip                  time.Duration
	Fanout                  int
	// IdleBytes is what a member sends a second when nothing changes, without
	// the exchange of full states: every PushPull (at up to 32 members; longer
	// by log2 beyond) each member exchanges StateBytes a member with another.
	IdleBytes  float64
	PushPull   time.Duration
	StateBytes float64
	// ChangeBytes is a packet that passes one change on.
	ChangeBytes float64
}

// Lookup is the model of kad-dht across cells.
type Lookup struct {
	// Bucket is k, Parallel is alpha (Maymounkov and Mazieres, Kademlia,
	// section 2).
	Bucket, Parallel int
	// Work is what a hop costs beside the round trip; Timeout is what a dead
	// peer costs.
	Work, Timeout time.Duration
}

// Overheads are what the parts of a step cost that are no machine's decision:
// measured on the real node. Each takes between Least and Most.
type Overheads struct {
	Resolve, Prepare, Start, Store, Secure Span
	// Plan is from asking for a build to its election, Place from its end to
	// the outputs in the tree.
	Plan, Place Span
}

// Span is a range of durations.
type Span struct{ Least, Most time.Duration }
