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
	// Jobs bounds the running steps, anywhere; 0 does not.
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
	spec      int    // index into the plan's specs, -1 without one
	initiator bool
	home      bool // the initiator is to be asked first
}

// needs returns the distinct needs of the plan's steps, the need of each step,
// and the toolchains that they ask for.
func (p *Plan) needs() (distinct []need, of []int, specs []Spec) {
	index := map[need]int{}
	specIndex := map[Spec]int{}
	of = make([]int, p.Graph.Len())
	for i := range p.Graph.Steps() {
		s := &p.Graph.Steps()[i]
		n := need{spec: -1, initiator: s.Reach == action.InitiatorOnly, home: s.Reach == action.InitiatorFirst}
		n.os, _ = s.Property(action.PropertyOS)
		n.arch, _ = s.Property(action.PropertyArch)
		n.root, _ = s.Property(action.PropertyRoot)
		n.toolchain, _ = s.Property(action.PropertyToolchain)
		if n.toolchain != "" {
			var sp Spec
			sp.Spec, _ = s.Property(action.PropertyToolchainSpec)
			sp.Dirs, _ = s.Property(action.PropertyToolchainDirs)
			if _, ok := specIndex[sp]; !ok {
				specIndex[sp] = len(specs)
				specs = append(specs, sp)
			}
			n.spec = specIndex[sp]
		}
		if _, ok := index[n]; !ok {
			index[n] = len(distinct)
			distinct = append(distinct, n)
		}
		of[i] = index[n]
	}
	return distinct, of, specs
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
