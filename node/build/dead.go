package build

import (
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store/dead"
)

// undone notes a try that came to nothing.
func (o *observer) undone(s steal.Step, on peer.ID, why string) {
	if o.tries == nil {
		o.tries = map[steal.Step][]dead.Try{}
	}
	o.tries[s] = append(o.tries[s], dead.Try{At: time.Now().UTC(), Peer: string(on), Name: o.run.nameOf(on), Cause: why})
}

// bury keeps a step that was given up, if it was tried: what no member can run,
// and what is wrong with the step itself, is no fault of what is around it. A
// build that this node inherited has no tree here.
func (o *observer) bury(s steal.Step, why string) {
	r, tries := o.run, o.tries[s]
	if len(tries) == 0 || r.req.Root == "" {
		return
	}
	err := r.opts.Dead.Put(dead.Letter{
		Owner: r.req.User, At: time.Now().UTC(), Build: string(r.req.ID), Root: r.req.Root, Step: string(o.step(s).ID), Cause: why,
		Tries: slices.Clone(tries), Request: r.req.Again,
	})
	if err != nil {
		r.opts.Log.Warn("dead letter is not kept", "build", r.req.ID, "step", o.step(s).ID, "error", err)
	}
}

// exhume drops the dead letters of what has a good result by now.
func (r *run) exhume() {
	steps := make([]string, 0, len(r.outcomes))
	for id := range r.outcomes { // in any order
		steps = append(steps, string(id))
	}
	if err := r.opts.Dead.Done(r.req.User, dead.Steps{Root: r.req.Root, IDs: steps}, time.Now()); err != nil {
		r.opts.Log.Warn("dead letters of what is done stay", "build", r.req.ID, "error", err)
	}
}
