package action

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/sched/action/actionpb"
)

// Flat steps are added to a build while it runs, one by one or some at a time.
// They depend on no other step, and none depends on them: whoever adds one has
// its inputs.

// Limits of a flat step, which travels in messages.
const (
	// MaxFlatBytes bounds it by its Size: a command line with some thousand files.
	MaxFlatBytes = 1 << 20
	// maxFlatName and maxFlatProperty are in bytes.
	maxFlatName, maxFlatProperty = 16 << 10, 64 << 10
)

// CheckFlat returns an error unless s is a flat step whose hints are within
// their limits.
func (s *Step) CheckFlat() error {
	err := s.check()
	switch {
	case err != nil:
	case len(s.Deps) > 0:
		err = errors.New("it depends on another step, and is to be added by itself")
	case len(s.ID) > maxFlatName:
		err = fmt.Errorf("a name of %d bytes, the limit is %d", len(s.ID), maxFlatName)
	case slices.ContainsFunc(s.Platform, func(p Property) bool { return len(p.Value) > maxFlatProperty }):
		err = fmt.Errorf("a property above %d bytes", maxFlatProperty)
	case s.Size() > MaxFlatBytes:
		err = fmt.Errorf("it has %d bytes, the limit is %d", s.Size(), MaxFlatBytes)
	case costOf(s.Cost) != s.Cost, costOf(s.Rank) != s.Rank, hintBytes(s.Memory) != s.Memory, hintBytes(s.OutputBytes) != s.OutputBytes:
		err = errors.New("what it is expected to take is beyond its limits")
	}
	for text := range s.texts() {
		if err == nil && !utf8.ValidString(text) {
			err = fmt.Errorf("%q is not UTF-8", text)
		}
	}
	if err != nil {
		return fmt.Errorf("%w step %q: %w", ErrInvalid, s.ID, err)
	}
	return nil
}

// texts are all that the step says, but its digest and its numbers.
func (s *Step) texts() iter.Seq[string] {
	return func(yield func(string) bool) {
		if !yield(string(s.ID)) || !yield(s.Package) || !yield(s.Dir) {
			return
		}
		for _, texts := range [][]string{s.Argv, s.Outputs} {
			for _, t := range texts {
				if !yield(t) {
					return
				}
			}
		}
		for _, ps := range [][]Property{s.Env, s.Platform} {
			for _, p := range ps {
				if !yield(p.Name) || !yield(p.Value) {
					return
				}
			}
		}
	}
}

const (
	// stepBytes is what a step takes beside its texts, about, in memory and on the
	// wire; textBytes what each of those takes.
	stepBytes = 256
	textBytes = 8
)

// Size is what the step takes on the wire in bytes, about and rather more.
func (s *Step) Size() int {
	n := stepBytes
	for text := range s.texts() {
		n += textBytes + len(text)
	}
	return n
}

// Extend returns g with flat steps behind its own, whose names are not taken; g
// stays as it is. Each of them is used by itself, so that it may make what others
// make.
func (g *Graph) Extend(steps []Step) (*Graph, error) {
	if len(g.steps)+len(steps) > MaxSteps {
		return nil, fmt.Errorf("%w graph: %d steps, the limit is %d", ErrInvalid, len(g.steps)+len(steps), MaxSteps)
	}
	longer := &Graph{steps: slices.Concat(g.steps, steps), index: maps.Clone(g.index), flat: g.flat + len(steps)}
	for i := range steps {
		s := &steps[i]
		if err := s.CheckFlat(); err != nil {
			return nil, err
		}
		if _, twice := longer.index[s.ID]; twice {
			return nil, errTwice(s.ID)
		}
		longer.index[s.ID] = len(g.steps) + i
	}
	return longer, nil
}

func errTwice(id StepID) error {
	return fmt.Errorf("%w graph: two steps are called %q", ErrInvalid, id)
}

// MarshalSteps encodes flat steps.
func MarshalSteps(steps []Step) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(graphMessage(steps))
}

// UnmarshalSteps decodes what MarshalSteps wrote, and trusts none of it.
func UnmarshalSteps(b []byte) ([]Step, error) {
	var m actionpb.Graph
	if err := proto.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("%w steps: %w", ErrInvalid, err)
	}
	if len(m.GetSteps()) > MaxSteps {
		return nil, fmt.Errorf("%w steps: %d of them, the limit is %d", ErrInvalid, len(m.GetSteps()), MaxSteps)
	}
	steps, err := stepsOf(&m)
	if err != nil {
		return nil, err
	}
	for i := range steps {
		if err := steps[i].CheckFlat(); err != nil {
			return nil, err
		}
	}
	return steps, nil
}
