package steal

import (
	"slices"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/place"
)

// Plan is all that a leader needs to begin with.
type Plan struct {
	Graph *action.Graph
	// Given are the steps whose results are known, at most once each.
	Given []Given
	// Candidates are the members that may lead or stand by, best first.
	Candidates []peer.ID
	Modes      Modes
	// Open says that steps are added while the build runs. Such a build keeps going.
	Open bool
}

// Typical is what a step of known cost comes to on average, in BPU-seconds; 0 if
// there is none.
func (p *Plan) Typical() float64 {
	sum, known := 0.0, 0
	for i := range p.Graph.Steps() {
		if c := p.Graph.Steps()[i].Cost; c > 0 {
			sum += c
			known++
		}
	}
	if known == 0 {
		return 0
	}
	return sum / float64(known)
}

// Modes are the user's wishes for a build.
type Modes struct {
	// Force executes every step although its result is known.
	Force bool
	// KeepGoing goes on with what does not depend on a failed step.
	KeepGoing bool
	// Local asks no other member for bytes or work.
	Local bool
	// Jobs bounds the running steps, anywhere, but for those that were taken back and
	// have not heard so yet; 0 does not.
	Jobs int
	// Policy is how the steps are placed.
	Policy   place.Policy
	Exchange Exchange
	Copies   Copies
}

// Given is a step that needs no execution.
type Given struct {
	Step   Step
	Result *action.Result
	// Done is nil if the initiator had the result before the build.
	Done    *Done
	Secured bool
}

// need is what a step asks of a worker. Steps of one build share a few.
type need struct {
	os, arch  string
	toolchain string
	root      string // where its paths begin, if not in a directory of its own
	outputs   string // whether they are optional
	streams   string // whether they are apart
	spec      int    // index into the plan's specs, -1 without one
	initiator bool
	home      bool // the initiator is to be asked first
}

// lacks names the property of n that a worker does not have, or returns "".
func (n need) lacks(j *Join) string {
	switch {
	case n.os != "" && n.os != j.OS:
		return action.PropertyOS + "=" + n.os
	case n.arch != "" && n.arch != j.Arch:
		return action.PropertyArch + "=" + n.arch
	case n.root != "" && (n.root != action.RootAbsolute || !j.Absolute):
		return action.PropertyRoot + "=" + n.root
	case n.outputs != "" && (n.outputs != action.OutputsOptional || !j.Optional):
		return action.PropertyOutputs + "=" + n.outputs
	case n.streams != "" && (n.streams != action.StreamsApart || !j.Optional):
		return action.PropertyStreams + "=" + n.streams
	case n.spec >= 0 && (n.spec >= len(j.Toolchains) || j.Toolchains[n.spec] != n.toolchain):
		return action.PropertyToolchain + "=" + n.toolchain
	default:
		return ""
	}
}

// bits is a set of steps as Hello carries it.
type bits []byte

func newBits(n int) bits { return make(bits, (n+7)/8) }

func (b bits) set(s Step) { b[s/8] |= 1 << (s % 8) }

func (b bits) has(s Step) bool {
	return s >= 0 && int(s/8) < len(b) && b[s/8]&(1<<(s%8)) != 0
}

func without(ids []peer.ID, id peer.ID) []peer.ID {
	return slices.DeleteFunc(slices.Clone(ids), func(other peer.ID) bool { return other == id })
}
