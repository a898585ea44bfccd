// Package action is the vocabulary of work: the steps of a build, the graph
// they form, what came of one, and how a step becomes a Remote Execution API
// action. The package is pure: what it reads of a store comes through
// Directories. Start reading at Step, then at Assemble.
package action

import (
	"fmt"
	"slices"
	"time"

	"github.com/buildnet/buildnet/store/digest"
)

// StepID names a step within its graph: PACKAGE for a package built by one
// command, PACKAGE:OUTPUT (its first output) for a step of several.
type StepID string

// Reach says where a step may run. Do not reorder: the numbers go over the wire.
type Reach uint8

const (
	// Anywhere is any member that has the platform.
	Anywhere Reach = iota + 1
	// InitiatorOnly is the machine where the build was asked for.
	InitiatorOnly
	// InitiatorFirst is that machine while it takes work, then any.
	InitiatorFirst
)

// Sharing says who may use the result of a step later. Do not reorder: the
// numbers go over the wire.
type Sharing uint8

const (
	// Shared results are cached for every member.
	Shared Sharing = iota + 1
	// Unshared results are used by this build alone and never cached.
	Unshared
)

// Property is a name and its value: of the environment, or of a platform.
type Property struct {
	Name, Value string
}

// Names of the platform properties that nodes themselves give meaning to.
const (
	PropertyOS            = "OSFamily"       // value of runtime.GOOS
	PropertyArch          = "Arch"           // value of runtime.GOARCH
	PropertyToolchain     = "toolchain"      // digest of the programs that the step uses
	PropertyToolchainSpec = "toolchain-spec" // of what that digest is
	PropertyToolchainDirs = "toolchain-dirs" // further read-only directories, colon-separated
	PropertyNetwork       = "network"        // "true": the host's network is open to the step
	PropertySandbox       = "sandbox"        // "none": no isolation
	PropertyMemoryBytes   = "memory-bytes"   // limit, decimal
	PropertyRoot          = "root"           // RootAbsolute, or none
	PropertyRootExact     = "root-exact"     // directories that hold inputs alone, colon-separated
	PropertyOutputs       = "outputs"        // OutputsOptional, or none
	PropertyStreams       = "streams"        // StreamsApart, or none

	// PropertyNodeProperties has the names of what of outputs is kept besides their
	// content: see Wanted.
	PropertyNodeProperties = "node-properties"
)

// What clients of the Remote Execution API expect of their actions, where other
// steps are stricter or simpler.
const (
	// OutputsOptional as the PropertyOutputs of a step says that its outputs are
	// what it may make: those that it did not are left out of its result, which is a
	// success nevertheless, and a command that failed has those that it made.
	OutputsOptional = "optional"
	// StreamsApart as the PropertyStreams of a step says that its standard error is
	// kept by itself, in Result.Stderr.
	StreamsApart = "apart"
)

// RootAbsolute as the PropertyRoot of a step says that the root of its paths is
// that of the file system: its input home/u/p/a.c is /home/u/p/a.c when it runs,
// and so is its output home/u/p/a.o. What depends on where a file lies (debug
// information, __FILE__, depfiles) is then as the initiator would make it. Inputs
// below a directory that every action sees, as /usr, are the machine's own files
// where these are the same, and are laid over them where not. Other files of such
// a directory are seen too: its toolchain answers for them, or PropertyRootExact
// names the directory, which then holds its inputs and nothing else.
//
// No such step can have inputs or outputs in /proc, /sys, /dev or /buildnet, nor
// etc/passwd, etc/group and etc/hosts, nor outputs directly in /, /etc, /run or
// /var. It runs in full isolation or not at all.
const RootAbsolute = "absolute"

// Dep says that a step reads outputs of another.
type Dep struct {
	Step StepID
	// Paths are the outputs it reads, from the project's root; nil is all.
	Paths []string
}

// Step is one command of a build, with everything that can change its result.
// All paths are slash-separated, clean, and relative to the project's root, or
// to that of the file system: see RootAbsolute.
type Step struct {
	ID      StepID
	Package string
	Argv    []string
	// Env is sorted by name; a name appears once.
	Env []Property
	// Dir is the working directory, "" for the root.
	Dir string
	// Outputs are files or directories, sorted. Each is a step's alone.
	Outputs []string
	// Inputs is the root Directory (REAPI) of the step's sources.
	Inputs digest.Digest
	// Deps are sorted by step.
	Deps []Dep
	// Platform is sorted by name; a name appears once.
	Platform []Property
	// Timeout bounds the run; it is part of the action.
	Timeout time.Duration
	Reach   Reach
	Sharing Sharing

	// What follows are hints: they say what a run is expected to take, and are
	// not part of the action. 0 is unknown.

	// Cost is the expected work in BPU-seconds.
	Cost float64
	// Memory is the expected peak in bytes.
	Memory int64
	// OutputBytes is how much it is expected to make.
	OutputBytes int64
	// Rank is what waits for the step beyond its graph, in BPU-seconds: the longest
	// chain of what nobody has asked for yet.
	Rank float64
}

// Hints are what a run of a step is expected to take: see Step.
type Hints struct {
	Cost                float64
	Memory, OutputBytes int64
}

// Hint replaces the hints of a step.
func (s *Step) Hint(h Hints) {
	s.Cost, s.Memory, s.OutputBytes = costOf(h.Cost), hintBytes(h.Memory), hintBytes(h.OutputBytes)
}

// Hints of a step are at most that, whoever gives them: sums over a graph stay
// finite.
const (
	MaxCost      = 1e7 // BPU-seconds: beyond every timeout
	MaxHintBytes = 1 << 44
)

// Fits returns an error unless r can be the result of s: one of success has the
// outputs of s and no others, or some of them where they are optional. Who signed
// it may have put anything there.
func (s *Step) Fits(r *Result) error {
	for i := range r.Outputs {
		if _, declared := slices.BinarySearch(s.Outputs, r.Outputs[i].Path); !declared || i > 0 && r.Outputs[i-1].Path >= r.Outputs[i].Path {
			return fmt.Errorf("%w result of %s: %q is none of its outputs", ErrInvalid, s.ID, r.Outputs[i].Path)
		}
	}
	if r.OK() && len(r.Outputs) != len(s.Outputs) && !s.has(PropertyOutputs, OutputsOptional) {
		return fmt.Errorf("%w result of %s: %d of its %d outputs", ErrInvalid, s.ID, len(r.Outputs), len(s.Outputs))
	}
	if !r.Stderr.IsZero() && !s.has(PropertyStreams, StreamsApart) {
		return fmt.Errorf("%w result of %s: its streams are apart, which nobody asked for", ErrInvalid, s.ID)
	}
	return nil
}

func (s *Step) has(name, value string) bool {
	v, ok := s.Property(name)
	return ok && v == value
}

// Property returns the value of a platform property.
func (s *Step) Property(name string) (string, bool) {
	for _, p := range s.Platform {
		if p.Name == name {
			return p.Value, true
		}
	}
	return "", false
}
