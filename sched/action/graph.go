package action

import (
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/sched/action/actionpb"
	"github.com/buildnet/buildnet/store/digest"
)

// Limits of a graph. They bound what a leader keeps for a build that another
// member asked for; a build of 100,000 steps is ten times Chromium's.
const (
	MaxSteps      = 200_000
	MaxGraphBytes = 256 << 20
	maxStepArgs   = 100_000
)

// ErrInvalid is matched by errors about steps, graphs, results and entries
// that break the promises of their types.
var ErrInvalid = errors.New("invalid")

// Graph is the work of one build: steps in an order in which each comes after
// all that it depends on. A Graph made by NewGraph or UnmarshalGraph is valid:
// IDs are unique, dependencies exist and come before, and no output is, or
// lies within, another step's. Flat steps, which were added to an open build, come
// last, and may make what others make: see Extend.
type Graph struct {
	steps []Step
	index map[StepID]int
	flat  int // of the last steps
}

// NewGraph checks steps, which must be in topological order, and takes
// ownership of them.
func NewGraph(steps []Step) (*Graph, error) {
	if len(steps) > MaxSteps {
		return nil, fmt.Errorf("%w graph: %d steps, the limit is %d", ErrInvalid, len(steps), MaxSteps)
	}
	g := &Graph{steps: steps, index: make(map[StepID]int, len(steps))}
	owners := map[string]StepID{}
	for i := range steps {
		s := &steps[i]
		if err := s.check(); err != nil {
			return nil, fmt.Errorf("%w step %q: %w", ErrInvalid, s.ID, err)
		}
		if _, twice := g.index[s.ID]; twice {
			return nil, errTwice(s.ID)
		}
		for _, d := range s.Deps {
			if _, ok := g.index[d.Step]; !ok {
				return nil, fmt.Errorf("%w graph: step %q depends on %q, which is not before it", ErrInvalid, s.ID, d.Step)
			}
		}
		g.index[s.ID] = i
		for _, o := range s.Outputs {
			if other, taken := owners[o]; taken {
				return nil, fmt.Errorf("%w graph: steps %q and %q both make %s", ErrInvalid, other, s.ID, o)
			}
			owners[o] = s.ID
		}
	}
	for o, id := range owners {
		for dir := path.Dir(o); dir != "."; dir = path.Dir(dir) {
			if other, taken := owners[dir]; taken {
				return nil, fmt.Errorf("%w graph: %s of step %q lies within %s of step %q", ErrInvalid, o, id, dir, other)
			}
		}
	}
	return g, nil
}

// Len returns the number of steps.
func (g *Graph) Len() int { return len(g.steps) }

// Steps returns the steps in topological order. The caller must not change them.
func (g *Graph) Steps() []Step { return g.steps }

// Step returns the step called id, which the caller must not change.
func (g *Graph) Step(id StepID) (*Step, bool) {
	i, ok := g.index[id]
	if !ok {
		return nil, false
	}
	return &g.steps[i], true
}

// Hint replaces the hints of the step at place i. It may not be called while
// others read the graph.
func (g *Graph) Hint(i int, h Hints) {
	g.steps[i].Hint(h)
}

// Restrict replaces the reach of the step at place i. It may not be called
// while others read the graph.
func (g *Graph) Restrict(i int, r Reach) { g.steps[i].Reach = r }

// CleanPath reports whether p is a path of a step: relative, slash-separated,
// without "." or ".." elements, NUL or newline.
func CleanPath(p string) bool {
	return p != "" && p != "." && p != ".." && path.Clean(p) == p && !path.IsAbs(p) &&
		!strings.HasPrefix(p, "../") && !strings.ContainsAny(p, "\x00\n\\")
}

func (s *Step) check() error {
	switch {
	case s.ID == "" || strings.ContainsAny(string(s.ID), "\x00\n"):
		return errors.New("bad name")
	case len(s.Argv) == 0 || s.Argv[0] == "":
		return errors.New("no command")
	case len(s.Argv) > maxStepArgs:
		return fmt.Errorf("%d arguments, the limit is %d", len(s.Argv), maxStepArgs)
	case s.Dir != "" && !CleanPath(s.Dir):
		return fmt.Errorf("bad working directory %q", s.Dir)
	case s.Inputs.IsZero():
		return errors.New("no input tree")
	case s.Timeout <= 0:
		return fmt.Errorf("timeout %v", s.Timeout)
	case s.Reach < Anywhere || s.Reach > InitiatorFirst:
		return fmt.Errorf("reach %d", s.Reach)
	case s.Sharing != Shared && s.Sharing != Unshared:
		return fmt.Errorf("sharing %d", s.Sharing)
	}
	for _, o := range s.Outputs {
		if !CleanPath(o) {
			return fmt.Errorf("bad output path %q", o)
		}
	}
	if !sortedOnce(s.Env) {
		return errors.New("environment is not sorted by unique names")
	}
	if !sortedOnce(s.Platform) {
		return errors.New("platform is not sorted by unique names")
	}
	return nil
}

func sortedOnce(ps []Property) bool {
	for i := 1; i < len(ps); i++ {
		if ps[i-1].Name >= ps[i].Name {
			return false
		}
	}
	return true
}

// Marshal encodes the graph.
func (g *Graph) Marshal() ([]byte, error) {
	m := graphMessage(g.steps)
	m.Flat = uint32(g.flat)
	return proto.MarshalOptions{Deterministic: true}.Marshal(m)
}

func graphMessage(steps []Step) *actionpb.Graph {
	m := &actionpb.Graph{Steps: make([]*actionpb.Step, len(steps))}
	for i := range steps {
		m.Steps[i] = steps[i].message()
	}
	return m
}

// UnmarshalGraph decodes what Marshal wrote, and trusts none of it.
func UnmarshalGraph(b []byte) (*Graph, error) {
	if len(b) > MaxGraphBytes {
		return nil, fmt.Errorf("%w graph: %d bytes, the limit is %d", ErrInvalid, len(b), MaxGraphBytes)
	}
	var m actionpb.Graph
	if err := proto.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("%w graph: %w", ErrInvalid, err)
	}
	steps, err := stepsOf(&m)
	if err != nil {
		return nil, err
	}
	if m.GetFlat() == 0 {
		return NewGraph(steps)
	}
	if uint64(m.GetFlat()) > uint64(len(steps)) {
		return nil, fmt.Errorf("%w graph: %d of its %d steps are flat", ErrInvalid, m.GetFlat(), len(steps))
	}
	first := len(steps) - int(m.GetFlat())
	g, err := NewGraph(steps[:first:first])
	if err != nil {
		return nil, err
	}
	return g.Extend(steps[first:])
}

func stepsOf(m *actionpb.Graph) ([]Step, error) {
	steps := make([]Step, len(m.GetSteps()))
	for i, sm := range m.GetSteps() {
		s, err := stepOf(sm)
		if err != nil {
			return nil, fmt.Errorf("%w step %q: %w", ErrInvalid, sm.GetId(), err)
		}
		steps[i] = s
	}
	return steps, nil
}

func (s *Step) message() *actionpb.Step {
	m := &actionpb.Step{
		Id: string(s.ID), Package: s.Package, Argv: s.Argv, Env: propertyMessages(s.Env), Dir: s.Dir,
		Outputs: s.Outputs, Inputs: s.Inputs.Binary(), Platform: propertyMessages(s.Platform),
		Timeout: int64(s.Timeout), Reach: uint32(s.Reach), Sharing: uint32(s.Sharing),
		Cost: s.Cost, Memory: s.Memory, OutputBytes: s.OutputBytes, Rank: s.Rank,
	}
	for _, d := range s.Deps {
		m.Deps = append(m.Deps, &actionpb.Dependency{Step: string(d.Step), Paths: d.Paths})
	}
	return m
}

func stepOf(m *actionpb.Step) (Step, error) {
	inputs, err := digest.FromBinary(m.GetInputs())
	if err != nil {
		return Step{}, fmt.Errorf("inputs: %w", err)
	}
	if m.GetReach() > uint32(InitiatorFirst) || m.GetSharing() > uint32(Unshared) {
		return Step{}, fmt.Errorf("reach %d, sharing %d", m.GetReach(), m.GetSharing())
	}
	s := Step{
		ID: StepID(m.GetId()), Package: m.GetPackage(), Argv: m.GetArgv(), Env: propertiesOf(m.GetEnv()), Dir: m.GetDir(),
		Outputs: m.GetOutputs(), Inputs: inputs, Platform: propertiesOf(m.GetPlatform()),
		Timeout: durationOf(m.GetTimeout()), Reach: Reach(m.GetReach()), Sharing: Sharing(m.GetSharing()),
		Cost: costOf(m.GetCost()), Memory: hintBytes(m.GetMemory()), OutputBytes: hintBytes(m.GetOutputBytes()), Rank: costOf(m.GetRank()),
	}
	for _, d := range m.GetDeps() {
		s.Deps = append(s.Deps, Dep{Step: StepID(d.GetStep()), Paths: d.GetPaths()})
	}
	return s, nil
}

// costOf makes a hint of a peer's number.
func costOf(bpuSeconds float64) float64 {
	if math.IsNaN(bpuSeconds) {
		return 0
	}
	return min(max(bpuSeconds, 0), MaxCost)
}

func hintBytes(n int64) int64 { return min(max(n, 0), MaxHintBytes) }

func propertyMessages(ps []Property) []*actionpb.Property {
	ms := make([]*actionpb.Property, len(ps))
	for i, p := range ps {
		ms[i] = &actionpb.Property{Name: p.Name, Value: p.Value}
	}
	return ms
}

func propertiesOf(ms []*actionpb.Property) []Property {
	if len(ms) == 0 {
		return nil
	}
	ps := make([]Property, len(ms))
	for i, m := range ms {
		ps[i] = Property{Name: m.GetName(), Value: m.GetValue()}
	}
	return ps
}

// Ancestors returns the IDs of the steps that targets need, themselves
// included, in topological order.
func (g *Graph) Ancestors(targets ...StepID) []StepID {
	needed := make(map[StepID]bool, len(targets))
	for _, t := range targets {
		needed[t] = true
	}
	var ids []StepID
	for i := len(g.steps) - 1; i >= 0; i-- {
		s := &g.steps[i]
		if !needed[s.ID] {
			continue
		}
		ids = append(ids, s.ID)
		for _, d := range s.Deps {
			needed[d.Step] = true
		}
	}
	slices.Reverse(ids)
	return ids
}
