package steal

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/buildnet/buildnet/sched/action"
)

// What follows is what the initiator of an open build does beside: it adds steps,
// knows what it added across epochs, and tells each leader what that lacks.

// ErrShut says that a build takes no more steps.
var ErrShut = errors.New("the build takes no more steps")

// maxOnWay bounds the bytes of steps that a leader was sent and that its log does
// not have yet, about.
const maxOnWay = 4 << 20

// session is what an initiator of an open build has beside.
type session struct {
	all   []action.Step // of the plan, then what was added
	names map[action.StepID]struct{}
	wants demands
	ends  []int // bytes of what was added, up to each step of it
	shut  bool

	// Of the stream of the present leader: how many steps it had, and how many it
	// was sent or had.
	had, sent int
	// lacks says that it is not followed yet, because it lacks steps. It has the
	// results of some: see Hello.
	lacks  bool
	have   bits
	closes bool // it was told that the build is shut
}

func newSession(p *Plan) session {
	x := session{all: slices.Clip(p.Graph.Steps())}
	if p.Open {
		x.wants, x.names = newDemands(x.all), make(map[action.StepID]struct{}, len(x.all))
		for i := range x.all {
			x.names[x.all[i].ID] = struct{}{}
		}
	}
	return x
}

// bytesTo is how many bytes of what was added lie before a step.
func (o *Origin) bytesTo(s int) int {
	if s -= o.opts.Plan.Graph.Len(); s > 0 {
		return o.ends[s-1]
	}
	return 0
}

// Step returns a step, which nobody may change; nil if there is none.
func (o *Origin) Step(s Step) *action.Step {
	if s < 0 || int(s) >= len(o.all) {
		return nil
	}
	return &o.all[s]
}

// Add adds flat steps to an open build, which are nobody else's from here on, and
// returns the place of the first one. If one cannot be added none is. It may be
// called before there is a leader.
func (o *Origin) Add(now time.Time, steps []action.Step) (first Step, out OriginOutput, err error) {
	o.begin(now)
	if err := o.admits(steps); err != nil {
		return 0, o.out, fmt.Errorf("add %d steps: %w", len(steps), err)
	}
	first = Step(len(o.all))
	size := o.bytesTo(len(o.all))
	for i := range steps {
		o.names[steps[i].ID] = struct{}{}
		size += steps[i].Size()
		o.ends = append(o.ends, size)
	}
	o.all = append(o.all, steps...)
	o.steps = append(o.steps, make([]kept, len(steps))...)
	o.deps.grow(steps, 0)
	o.wants.add(steps)
	o.tellMore()
	return first, o.out, nil
}

// admits returns why steps cannot be added.
func (o *Origin) admits(steps []action.Step) error {
	if !o.opts.Plan.Open || o.shut || o.over || !o.cancelUntil.IsZero() {
		return ErrShut
	}
	size, names := o.bytesTo(len(o.all)), make(map[action.StepID]struct{}, len(steps))
	for i := range steps {
		s := &steps[i]
		if err := s.CheckFlat(); err != nil {
			return err
		}
		_, before := o.names[s.ID]
		if _, again := names[s.ID]; before || again {
			return fmt.Errorf("%w: two steps are called %q", action.ErrInvalid, s.ID)
		}
		names[s.ID] = struct{}{}
		size += s.Size()
	}
	switch {
	case len(o.all)+len(steps) > action.MaxSteps:
		return fmt.Errorf("%w: a build has %d steps at most; begin another", action.ErrInvalid, action.MaxSteps)
	case size > action.MaxGraphBytes:
		return fmt.Errorf("%w: the steps of a build have %d bytes at most; begin another", action.ErrInvalid, action.MaxGraphBytes)
	case !o.wants.bears(steps):
		return fmt.Errorf("%w: a build has %d toolchains at most", action.ErrInvalid, MaxSpecs)
	}
	return nil
}

// Drop says that nobody needs a step any more. If it has no result by then it is
// given up; either is told.
func (o *Origin) Drop(now time.Time, s Step) OriginOutput {
	o.begin(now)
	if !o.opts.Plan.Open || s < 0 || int(s) >= len(o.steps) || o.steps[s].announced || o.steps[s].dropped {
		return o.out
	}
	o.steps[s].dropped = true
	if o.tells() && !o.lacks && int(s) < o.sent {
		o.reply(o.watch.lead, Drop{Step: s})
	}
	return o.out
}

// Shut says that nothing is added any more. The build ends when every step is
// settled.
func (o *Origin) Shut(now time.Time) OriginOutput {
	o.begin(now)
	o.shut = o.opts.Plan.Open
	o.tellMore()
	return o.out
}

// tells reports whether there is a leader to tell.
func (o *Origin) tells() bool { return o.watch.up && !o.over && o.cancelUntil.IsZero() }

// catchUp tells a leader what it may lack, then that it is followed: before it is
// it begins nothing, and it must not begin what was announced.
func (o *Origin) catchUp(hello Hello) {
	o.have, o.lacks, o.closes = hello.Have, true, false
	o.had = min(max(hello.Steps, o.opts.Plan.Graph.Len()), len(o.all))
	if o.sent = o.had; !o.opts.Plan.Open {
		o.sent = len(o.all)
	}
	o.tellMore()
}

// tellMore tells the leader of steps that it lacks, as many as may be on their way,
// and when it has all of them what else it has to know.
func (o *Origin) tellMore() {
	if !o.tells() {
		return
	}
	for o.sent < len(o.all) && o.bytesTo(o.sent)-o.bytesTo(max(o.had, len(o.record.Steps))) < maxOnWay {
		end := o.sent + portion(o.all[o.sent:])
		o.reply(o.watch.lead, Add{First: Step(o.sent), Steps: o.all[o.sent:end:end]})
		for s := o.sent; s < end && !o.lacks; s++ {
			o.tellDropped(Step(s))
		}
		o.sent = end
	}
	if o.sent < len(o.all) {
		return
	}
	if o.shut && !o.closes {
		o.closes = true
		o.reply(o.watch.lead, Shut{})
	}
	if o.lacks {
		o.lacks = false
		o.tellKnown()
		o.have = nil
	}
}

func (o *Origin) tellDropped(s Step) {
	if k := &o.steps[s]; k.dropped && !k.announced && k.done == nil {
		o.reply(o.watch.lead, Drop{Step: s})
	}
}

// tellKnown tells the leader what its log may lack of the steps, and follows it.
func (o *Origin) tellKnown() {
	of := o.watch.lead
	for i := range o.steps {
		k := &o.steps[i]
		switch {
		case o.have.has(Step(i)):
		case k.announced && !k.secured:
			o.reply(of, Known{Step: Step(i), Failed: k.failed})
		case k.done != nil:
			o.reply(of, Known{Step: Step(i), Done: *k.done, Secured: k.secured})
		case k.unsecured != nil:
			o.reply(of, *k.unsecured)
			o.tellDropped(Step(i))
		default:
			o.tellDropped(Step(i))
		}
	}
	for _, t := range o.tolls {
		if k := &o.steps[t.Step]; !k.announced && k.done == nil {
			o.reply(of, t)
		}
	}
	o.reply(of, Follow{})
}

// apply takes an op of the leader's log into the record. Steps are those that were
// added here, and no others, whatever the leader says.
func (o *Origin) apply(op *Op) error {
	if op.Kind == OpAdded {
		first, end := int(op.Step), int(op.Step)+len(op.Steps)
		if first < 0 || end > len(o.all) || !slices.EqualFunc(o.all[first:end], op.Steps, sameStep) {
			return fmt.Errorf("%w log: steps from %d on, which nobody added", action.ErrInvalid, first)
		}
		op.Steps = o.all[first:end:end]
	}
	return o.record.Apply(*op)
}

func sameStep(a, b action.Step) bool {
	return a.ID == b.ID && a.Inputs == b.Inputs && slices.Equal(a.Argv, b.Argv)
}
