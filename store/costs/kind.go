package costs

import (
	"encoding/hex"
	"path"
	"strings"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

// Kind names what is estimated together: a hash, the same on every machine.
type Kind [16]byte

// String returns the beginning of it, for logs.
func (k Kind) String() string { return hex.EncodeToString(k[:4]) }

// Kinds are those that a run of a step tells something of.
type Kinds struct {
	// Step is the step by name, package and tool, whatever its sources and its
	// other arguments are, and wherever the project lies. Projects that use the
	// same names share it.
	Step Kind
	// Rule is all that the same tool makes with the same ending: what is
	// expected of a step that was never seen.
	Rule Kind
}

// KindsOf returns the kinds of a step.
//
//	step  "step", package, ID, tool, toolchain spec
//	rule  "rule", tool, toolchain spec, ending of the first output
//
// A step without outputs, a check, has no ending. The digest of the toolchain
// is no part of either: a compiler's next version takes about as long.
func KindsOf(s *action.Step) Kinds {
	return Kinds{Step: StepOf(s), Rule: RuleOf(s)}
}

// StepOf returns the kind that is a step alone.
func StepOf(s *action.Step) Kind {
	spec, _ := s.Property(action.PropertyToolchainSpec)
	return kindOf("step", s.Package, string(s.ID), path.Base(s.Argv[0]), spec)
}

// RuleOf returns the kind that is a step's rule.
func RuleOf(s *action.Step) Kind {
	spec, _ := s.Property(action.PropertyToolchainSpec)
	return kindOf("rule", path.Base(s.Argv[0]), spec, ending(s.Outputs))
}

func ending(outputs []string) string {
	if len(outputs) == 0 {
		return ""
	}
	return path.Ext(outputs[0])
}

// kindOf hashes parts, none of which holds a NUL.
func kindOf(parts ...string) (k Kind) {
	hash := digest.Of(digest.BLAKE3, []byte(strings.Join(parts, "\x00"))).Hash()
	copy(k[:], hash[:])
	return k
}
