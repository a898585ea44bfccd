package check

import (
	"fmt"
	"time"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/trace"
)

// onItsWay is how long a revocation may take to reach a worker.
const onItsWay = time.Second

// Final is the rule that what was announced stays: it is never announced
// again, given up, or executed again. Only a worker that could not hear of it
// in time may begin on it: it was apart from the leader since it was given the
// step, or the revocation is on its way.
type Final struct {
	unsettled
	ends  map[stepOf]ending
	hands *hands
	wrong *troubles
}

type ending struct {
	gaveUp bool
	at     time.Duration
	epoch  trace.Epoch
}

// NewFinal returns the rule for one run.
func NewFinal() *Final {
	return &Final{ends: map[stepOf]ending{}, hands: newHands(), wrong: newTroubles()}
}

// Name names the rule.
func (*Final) Name() string { return "an announced result is kept" }

// Observe compares what happens with what was announced.
func (r *Final) Observe(w World, e *trace.Event) string {
	r.wrong.Observe(w, e)
	attempt := r.hands.Observe(e)
	of := stepOf{e.Build, e.Step}
	before, ended := r.ends[of]
	switch e.Kind {
	case trace.Announced, trace.GaveUp:
		if ended {
			return fmt.Sprintf("step %d of build %d was announced twice: first given up %v, now %v", e.Step, e.Build, before.gaveUp, e.Kind == trace.GaveUp)
		}
		r.ends[of] = ending{e.Kind == trace.GaveUp, e.At, e.Epoch}
	case trace.RunBegan:
		if ended && !before.gaveUp && r.excuse(attempt, before, e.At) == "" {
			return fmt.Sprintf("step %d of build %d is executed on node %d, and was announced at %v", e.Step, e.Build, e.Node, before.at)
		}
	}
	return ""
}

// excuse names why a worker may begin on what was announced, or is "".
func (r *Final) excuse(a *attempt, announced ending, now time.Duration) string {
	if a.freed != "" && a.freedAt+onItsWay >= now && a.assigned < announced.at {
		return "the revocation is on its way"
	}
	since := a.assigned - steal.Bereft
	if why := r.wrong.apart(a.node, announced.epoch.Leader, since); why != "" {
		return why
	}
	return r.wrong.apart(a.epoch.Leader, announced.epoch.Leader, since)
}
