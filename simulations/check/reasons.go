package check

import (
	"fmt"
	"slices"
	"time"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/fault"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
)

// Reasons is the rule that a step is given up only when it has taken MaxLost
// workers with it, when MaxTries tries of it came to nothing, or when nobody
// whom its leader can reach may run it. A leader has patience with the last, and
// the members need a while to see who came back. Where a member leaves, which
// takes no more work from then on, and in crews that do not take all, nobody can
// say who might have run it. An heir keeps to what was given up in the build that
// it goes on with: that may have been announced.
type Reasons struct {
	unsettled
	spent map[spending]*spent
	// sound are the steps that some leader gave up for a reason: those after it
	// inherit that.
	sound map[stepOf]bool
	wrong *troubles
}

// spending is a step in the log of an epoch.
type spending struct {
	logOf
	step int
}

type spent struct{ tries, lost int }

// NewReasons returns the rule for one run.
func NewReasons() *Reasons {
	return &Reasons{spent: map[spending]*spent{}, sound: map[stepOf]bool{}, wrong: newTroubles()}
}

// Name names the rule.
func (*Reasons) Name() string { return "a step is given up for a reason" }

// Observe counts what each step cost.
func (r *Reasons) Observe(w World, e *trace.Event) string {
	r.wrong.Observe(w, e)
	of := stepOf{e.Build, e.Step}
	switch e.Kind {
	case trace.Inherited:
		for step := range w.Setting().Builds[e.Build].Graph.Steps {
			if r.sound[stepOf{int(e.Value), step}] {
				r.sound[stepOf{e.Build, step}] = true
			}
		}
	case trace.Dropped:
		r.sound[of] = true // nobody needs it
	case trace.Logged:
		r.logged(w.Setting(), of, e)
	case trace.GaveUp:
		if !r.sound[of] {
			return fmt.Sprintf("step %d of build %d was given up without a reason: %s", e.Step, e.Build, e.Text)
		}
	}
	return ""
}

func (r *Reasons) logged(s *setting.Setting, of stepOf, e *trace.Event) {
	at := spending{logOf{e.Build, e.Epoch}, e.Step}
	if r.spent[at] == nil {
		r.spent[at] = &spent{}
	}
	switch cost := r.spent[at]; e.Text {
	case trace.OpTried:
		cost.tries++
	case trace.OpLost:
		cost.lost++
	case trace.OpFailed:
		if cost.tries >= steal.MaxTries || cost.lost >= steal.MaxLost || !r.runnable(s, of, e) {
			r.sound[of] = true
		}
	}
}

// runnable reports whether the leader can reach somebody who may run the step,
// and could for a while.
func (r *Reasons) runnable(s *setting.Setting, of stepOf, e *trace.Event) bool {
	leaves := func(f fault.Fault) bool { return f.Kind == fault.Leave }
	if len(s.Nodes) > steal.MaxCrew || slices.ContainsFunc(s.Faults, leaves) {
		return false
	}
	since := e.At - steal.Patience - unsure
	for node := range s.Nodes {
		if !runs(s, node, of.build, of.step) || s.Nodes[node].Late > max(0, since) {
			continue
		}
		if node == e.Node || r.wrong.apart(e.Node, node, max(time.Nanosecond, since)) == "" {
			return true
		}
	}
	return false
}
