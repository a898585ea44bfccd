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

// expect sets the hints of the steps that are left, by what this node and
// other members know of their kinds.
func (r *run) expect(ctx context.Context, given []steal.Given) {
	left := r.left(given)
	kinds := make([]costs.Kinds, len(left))
	for i, at := range left {
		kinds[i] = costs.KindsOf(&r.graph.Steps()[at])
	}
	r.ask(ctx, kinds)
	for i, at := range left {
		if e, ok := r.opts.Costs.Expect(kinds[i]); ok {
			r.graph.Hint(at, action.Hints{Cost: e.Work(), Memory: int64(e.Memory), OutputBytes: int64(e.Output)})
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

// ask asks other members for what is not known of kinds.
func (r *run) ask(ctx context.Context, all []costs.Kinds) {
	if r.req.Modes.Local {
		return
	}
	var lacking []costs.Kind
	rules := map[costs.Kind]bool{}
	for _, k := range all {
		if _, known := r.opts.Costs.Known(k.Step); known {
			continue
		}
		lacking = append(lacking, k.Step)
		rules[k.Rule] = true
	}
	if len(lacking) < worthAsking || r.members() == 1 {
		return
	}
	for _, k := range all {
		if rules[k.Rule] {
			delete(rules, k.Rule) // once
			if _, known := r.opts.Costs.Known(k.Rule); !known {
				lacking = append(lacking, k.Rule)
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r.opts.Hearsay.Ask(ctx, lacking)
}

// expectedMS is how long a step is expected to run on a member; 0 says that
// this is not known.
func (r *run) expectedMS(step *action.Step, on peer.ID) int64 {
	return int64(1000 * step.Cost / r.capsOf(on).BPU)
}

// estimate makes the forecast of the build and tells of it, if there is one.
func (r *run) estimate(given []steal.Given) *estimate {
	crew := crewOf(r.opts.Members(), r.req.Modes)
	e := newEstimate(r.graph.Steps(), r.outcomes, crew, time.Now())
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
		Wall: min(res.Wall, most), CPU: res.CPU, BPU: caps.BPU, Share: caps.Cores / float64(max(caps.Slots, 1)),
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

// tellCosts has others told what was learned.
func (r *run) tellCosts() {
	if len(r.learned) > 0 && !r.req.Modes.Local {
		r.opts.Hearsay.Tell(r.learned)
	}
}
