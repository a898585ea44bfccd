package build

import (
	"context"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store/costs"
)

const (
	// patience bounds how long a build waits for what members know of its
	// steps: what they say later is for the next one.
	patience = 300 * time.Millisecond
	// worthAsking is how many steps must be unknown: the order of one does not
	// matter.
	worthAsking = 2
)

// expect sets the hints of the steps that are left: by what is known here of
// each, else by what other members know, else by its rule.
func (r *run) expect(ctx context.Context, given []steal.Given) {
	unknown := r.hintSteps(r.left(given))
	if r.ask(ctx, unknown) {
		unknown = r.hintSteps(unknown)
	}
	r.hintRules(unknown)
}

// hintSteps sets the hints of steps of which something is known, and returns
// the others.
func (r *run) hintSteps(places []int) (unknown []int) {
	for _, at := range places {
		if h, ok := r.exp.Hints(costs.StepOf(&r.graph.Steps()[at])); ok {
			r.graph.Hint(at, h)
		} else {
			unknown = append(unknown, at)
		}
	}
	return unknown
}

// hintRules sets the hints of steps by their rules, of which there are few.
func (r *run) hintRules(places []int) {
	type known struct {
		action.Hints
		ok bool
	}
	rules := map[costs.Kind]known{}
	for _, at := range places {
		k := costs.RuleOf(&r.graph.Steps()[at])
		h, looked := rules[k]
		if !looked {
			h.Hints, h.ok = r.exp.Hints(k)
			rules[k] = h
		}
		if h.ok {
			r.graph.Hint(at, h.Hints)
		}
	}
}

// left are the places of the steps that are not given.
func (r *run) left(given []steal.Given) []int {
	isGiven := make([]bool, r.graph.Len())
	for _, g := range given {
		isGiven[g.Step] = true
	}
	left := make([]int, 0, r.graph.Len()-len(given))
	for i, known := range isGiven {
		if !known {
			left = append(left, i)
		}
	}
	return left
}

// ask asks other members for the kinds of steps of which nothing is known here.
// It reports whether there was anybody, and reason, to ask.
func (r *run) ask(ctx context.Context, unknown []int) bool {
	if r.req.Modes.Local || len(unknown) < worthAsking || r.members() == 1 {
		return false
	}
	kinds := make([]costs.Kind, 0, len(unknown)+1)
	rules := map[costs.Kind]bool{}
	for _, at := range unknown {
		k := costs.KindsOf(&r.graph.Steps()[at])
		kinds = append(kinds, k.Step)
		if rules[k.Rule] {
			continue
		}
		rules[k.Rule] = true
		if _, known := r.opts.Costs.Known(k.Rule); !known {
			kinds = append(kinds, k.Rule)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r.opts.Hearsay.Ask(ctx, kinds)
	return true
}

// expectedMS is how long a step is expected to run on a member; 0 says that
// this is not known.
func (r *run) expectedMS(step *action.Step, on peer.ID) int64 {
	return int64(1000 * step.Cost / r.exp.Speed(on))
}

// estimate makes the forecast of the build and tells of it, if there is one.
func (r *run) estimate(given []steal.Given) *estimate {
	e := newEstimate(r.graph.Steps(), r.outcomes, forcesOf(r.opts.Members(), r.req.Modes), time.Now())
	if e != nil {
		r.emit(event.BuildExpected{
			Build: string(r.req.ID), Steps: r.graph.Len() - len(given), Known: e.known, Work: e.work, ETAMS: e.rest.Milliseconds(),
		})
	}
	return e
}

// tellCosts keeps what was learned, and has others told.
func (r *run) tellCosts() {
	if kinds := r.exp.Keep(); len(kinds) > 0 && !r.req.Modes.Local {
		r.opts.Hearsay.Tell(kinds)
	}
}
