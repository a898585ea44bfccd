package steal

import (
	"fmt"
	"slices"

	"github.com/buildnet/buildnet/sched/action"
)

// An open build begins with a plan, and steps are added to it while it runs. They
// are flat (see package action), and are named by their place, as those of the
// plan are, which come before them: the initiator alone adds, so that there is one
// order.

// maxAddBytes bounds the steps of one message and of one op, by their Size, unless
// that is a single one.
const maxAddBytes = 256 << 10

// portion is how many of some steps go into one message; at least one does.
func portion(steps []action.Step) int {
	size := 0
	for i := range steps {
		if size += steps[i].Size(); i > 0 && size > maxAddBytes {
			return i
		}
	}
	return len(steps)
}

// With returns the plan of an open build that is shut, with all that was added to
// it: a build that is open no more.
func (p *Plan) With(added []action.Step) (*Plan, error) {
	graph, err := p.Graph.Extend(added)
	if err != nil {
		return nil, fmt.Errorf("what was added to a plan: %w", err)
	}
	whole := *p
	whole.Graph, whole.Open, whole.Modes.KeepGoing = graph, false, p.keepsGoing()
	return &whole, nil
}

// keepsGoing reports whether a failure leaves the other steps as they are.
func (p *Plan) keepsGoing() bool { return p.Open || p.Modes.KeepGoing }

// added are the steps that a log adds to its plan.
func added(log []Op) []action.Step {
	var steps []action.Step
	for i := range log {
		if log[i].Kind == OpAdded {
			steps = append(steps, log[i].Steps...)
		}
	}
	return steps
}

// of is what a step is believed to cost, which has this cost or none is known of.
func (m *typical) of(cost float64) float64 {
	if cost > 0 {
		cost = max(cost, minCost)
		m.sum, m.known = m.sum+cost, m.known+1
		return cost
	}
	return m.cost()
}

// grow takes steps that wait for no other, and come when those before them have
// waited for as much.
func (d *deps) grow(steps []action.Step, waited float64) {
	for i := range steps {
		cost := d.mean.of(steps[i].Cost)
		d.below, d.above = append(d.below, nil), append(d.above, nil)
		rank := cost + max(steps[i].Rank, 0)
		d.cost, d.rank, d.turn = append(d.cost, cost), append(d.rank, rank), append(d.turn, rank-waited)
	}
}

// demands are the distinct needs of a build's steps, and the need of each.
type demands struct {
	needs  []need
	needOf []int
	specs  []Spec // the toolchains that they ask for
	needAt map[need]int
	specAt map[version]int
}

// version is a toolchain as it was when a step was made. A later one is asked for anew:
// what was installed meanwhile is there, and no answer from before tells of it.
type version struct {
	Spec
	digest string
}

func newDemands(steps []action.Step) demands {
	d := demands{needAt: map[need]int{}, specAt: map[version]int{}}
	d.add(steps)
	return d
}

func (d *demands) add(steps []action.Step) {
	d.needOf = slices.Grow(d.needOf, len(steps))
	for i := range steps {
		s := &steps[i]
		n := need{spec: -1, initiator: s.Reach == action.InitiatorOnly, home: s.Reach == action.InitiatorFirst}
		n.os, _ = s.Property(action.PropertyOS)
		n.arch, _ = s.Property(action.PropertyArch)
		n.root, _ = s.Property(action.PropertyRoot)
		n.outputs, _ = s.Property(action.PropertyOutputs)
		n.streams, _ = s.Property(action.PropertyStreams)
		if n.toolchain, _ = s.Property(action.PropertyToolchain); n.toolchain != "" {
			v := version{specOf(s), n.toolchain}
			if _, ok := d.specAt[v]; !ok {
				d.specAt[v] = len(d.specs)
				d.specs = append(d.specs, v.Spec)
			}
			n.spec = d.specAt[v]
		}
		if _, ok := d.needAt[n]; !ok {
			d.needAt[n] = len(d.needs)
			d.needs = append(d.needs, n)
		}
		d.needOf = append(d.needOf, d.needAt[n])
	}
}

// specOf is the toolchain that a step asks for, if it does.
func specOf(s *action.Step) (sp Spec) {
	sp.Spec, _ = s.Property(action.PropertyToolchainSpec)
	sp.Dirs, _ = s.Property(action.PropertyToolchainDirs)
	return sp
}

// bears reports whether the toolchains of more steps are within the limit.
func (d *demands) bears(steps []action.Step) bool {
	more := map[version]bool{}
	for i := range steps {
		t, _ := steps[i].Property(action.PropertyToolchain)
		if t == "" {
			continue
		}
		v := version{specOf(&steps[i]), t}
		if _, ok := d.specAt[v]; !ok {
			more[v] = true
		}
	}
	return len(d.specs)+len(more) <= MaxSpecs
}

// extend adds steps to a record.
func (r *Record) extend(o *Op) error {
	switch {
	case !r.open || r.Shut:
		return fmt.Errorf("%w log: steps for a build that takes none", action.ErrInvalid)
	case int(o.Step) != len(r.Steps) || len(o.Steps) == 0:
		return fmt.Errorf("%w log: %d steps from %d on, behind %d", action.ErrInvalid, len(o.Steps), o.Step, len(r.Steps))
	case len(r.Steps)+len(o.Steps) > action.MaxSteps:
		return fmt.Errorf("%w log: more than %d steps", action.ErrInvalid, action.MaxSteps)
	}
	size := r.bytes
	for i := range o.Steps {
		if err := o.Steps[i].CheckFlat(); err != nil {
			return fmt.Errorf("log: %w", err)
		}
		size += o.Steps[i].Size()
	}
	if size > action.MaxGraphBytes {
		return fmt.Errorf("%w log: steps of more than %d bytes", action.ErrInvalid, action.MaxGraphBytes)
	}
	r.bytes = size
	r.steps = append(r.steps, o.Steps...)
	r.Steps = append(r.Steps, make([]StepRecord, len(o.Steps))...)
	return nil
}
