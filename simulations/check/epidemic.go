package check

import (
	"fmt"
	"time"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/trace"
	"github.com/buildnet/buildnet/simulations/workload"
)

// Epidemic is the rule that a step which kills whoever runs it kills no more
// than steal.MaxLost of them. A worker whose leader could not hear that it had
// begun does not count; that the leader died as well is no excuse, unless it
// was dead before it could hear of it, or the initiator could not hear the
// leader.
type Epidemic struct {
	unsettled
	running map[int]map[stepOf]time.Duration // by node; until when, -1 while it runs
	killed  map[stepOf]int
	hands   *hands
	wrong   *troubles
	// own are the steps that leaders began themselves, by where their logs say
	// so; felled are those with which they died, by build.
	own    map[spending]int64
	felled map[int][]spending
}

// NewEpidemic returns the rule for one run.
func NewEpidemic() *Epidemic {
	return &Epidemic{
		running: map[int]map[stepOf]time.Duration{}, killed: map[stepOf]int{}, hands: newHands(), wrong: newTroubles(),
		own: map[spending]int64{}, felled: map[int][]spending{},
	}
}

// Name names the rule.
func (*Epidemic) Name() string { return "a killing step is no epidemic" }

// Observe counts who dies of what. What is cut with its node is told before
// the node's death, at the same time.
func (r *Epidemic) Observe(w World, e *trace.Event) string {
	text := r.count(w, e)
	r.hands.Observe(e)
	r.wrong.Observe(w, e)
	return text
}

func (r *Epidemic) count(w World, e *trace.Event) string {
	of := stepOf{e.Build, e.Step}
	switch e.Kind {
	case trace.RunBegan:
		if w.Setting().Builds[e.Build].Graph.Steps[e.Step].Nature != workload.Killing {
			return ""
		}
		if r.running[e.Node] == nil {
			r.running[e.Node] = map[stepOf]time.Duration{}
		}
		r.running[e.Node][of] = -1
	case trace.RunCut:
		if _, runs := r.running[e.Node][of]; runs {
			r.running[e.Node][of] = e.At
		}
	case trace.RunEnded:
		delete(r.running[e.Node], of)
	case trace.Logged:
		if e.Text == trace.OpStarted && e.Peer == e.Node {
			r.own[spending{logOf{e.Build, e.Epoch}, e.Step}] = e.Value
		}
	case trace.Led:
		return r.succeeded(e)
	case trace.Down:
		return r.died(w, e)
	}
	return ""
}

// succeeded counts the leaders of whose deaths their successor can know.
func (r *Epidemic) succeeded(e *trace.Event) string {
	felled := r.felled[e.Build]
	delete(r.felled, e.Build)
	for _, f := range felled {
		if r.own[f] <= e.Value {
			if text := r.kills(stepOf{e.Build, f.step}); text != "" {
				return text
			}
		}
	}
	return ""
}

func (r *Epidemic) kills(of stepOf) string {
	if r.killed[of]++; r.killed[of] > steal.MaxLost {
		return fmt.Sprintf("step %d of build %d has killed %d workers", of.step, of.build, r.killed[of])
	}
	return ""
}

func (r *Epidemic) died(w World, e *trace.Event) string {
	at := r.running[e.Node]
	if len(at) == 0 {
		return ""
	}
	delete(r.running, e.Node)
	for b := range w.Setting().Builds {
		for s := range w.Setting().Builds[b].Graph.Steps {
			of := stepOf{b, s}
			if until, ran := at[of]; !ran || until != -1 && until != e.At {
				continue
			}
			a := r.hands.last(of, e.Node)
			if a == nil || r.unknown(e.Node, w.Setting().Builds[b].Initiator, a) {
				continue
			}
			if at := (spending{logOf{b, a.epoch}, s}); e.Node == a.epoch.Leader {
				if r.own[at] > 0 {
					r.felled[b] = append(r.felled[b], at)
				}
			} else if text := r.kills(of); text != "" {
				return text
			}
		}
	}
	return ""
}

// unknown reports whether nobody could know that a worker began on a step: what
// says so takes a moment to be heard and kept.
func (r *Epidemic) unknown(worker, initiator int, a *attempt) bool {
	const moment = 500 * time.Millisecond
	leader := r.wrong.of(a.epoch.Leader).down
	return r.wrong.cutOff(worker, a.epoch.Leader, a.assigned) != "" ||
		r.wrong.cutOff(initiator, a.epoch.Leader, a.assigned) != "" ||
		leader.ever && leader.from >= a.assigned && leader.from <= a.beganAt+moment
}
