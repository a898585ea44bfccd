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
		if h, ok := r.hintsOf(costs.StepOf(&r.graph.Steps()[at])); ok {
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
			h.Hints, h.ok = r.hintsOf(k)
			rules[k] = h
		}
		if h.ok {
			r.graph.Hint(at, h.Hints)
		}
	}
}

// hintsOf returns what is known of a kind. Memory decides where a step may run at
// all: there nobody else's word counts.
func (r *run) hintsOf(k costs.Kind) (action.Hints, bool) {
	e, ok := r.opts.Costs.Known(k)
	if !ok {
		return action.Hints{}, false
	}
	own, _ := r.opts.Costs.Own(k)
	return action.Hints{Cost: e.Work(), Memory: int64(own.Memory), OutputBytes: int64(e.Output)}, true
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
	return int64(1000 * step.Cost / r.speedOf(on))
}

// speedOf is what a step gets of a member whose slots are all taken, in BPU.
func (r *run) speedOf(id peer.ID) float64 {
	c := r.capsOf(id)
	return c.BPU * c.Share()
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

// learn keeps what a step took, for the order of the next build. The executor's
// word is bounded by what can be seen of it here.
func (r *run) learn(step *action.Step, d *steal.Done) {
	res, caps := &d.Entry.Result, r.capsOf(d.Entry.Executor)
	most := time.Since(r.started)
	k := costs.KindsOf(step)
	err := r.opts.Costs.Learn(k, costs.Run{
		Wall: min(res.Wall, most), CPU: res.CPU, BPU: caps.BPU, Share: caps.Share(),
		Memory: res.MaxRSS, Bytes: outputBytes(res), OK: res.OK(),
	}, time.Now())
	if err != nil {
		r.opts.Log.Debug("what a step took is not kept", "step", step.ID, "error", err)
		return
	}
	r.learned = append(r.learned, k.Step, k.Rule)
}

// capsAge is how old a look at the members may be: there is a question about
// one of them for every step.
const capsAge = time.Second

// capsOf returns what a member can do; of one that is not known, what is usual.
// It is for the goroutine that observes the build.
func (r *run) capsOf(id peer.ID) peer.Capabilities {
	if now := time.Now(); now.Sub(r.capsAt) > capsAge {
		r.caps, r.capsAt = map[peer.ID]peer.Capabilities{}, now
		for _, m := range r.opts.Members() {
			r.caps[m.ID] = m.Caps
		}
	}
	if c, ok := r.caps[id]; ok && c.BPU > 0 {
		return c
	}
	return peer.Capabilities{BPU: 1, Cores: 1, Slots: 1}
}

// tellCosts keeps what was learned, and has others told.
func (r *run) tellCosts() {
	if err := r.opts.Costs.Flush(); err != nil {
		r.opts.Log.Debug("what steps took is not kept", "build", r.req.ID, "error", err)
	}
	if len(r.learned) > 0 && !r.req.Modes.Local {
		r.opts.Hearsay.Tell(r.learned)
	}
}
