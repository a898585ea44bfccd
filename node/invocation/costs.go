package invocation

import (
	"context"
	"time"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/costs"
)

// patience bounds how long members are asked for what they know of a rule. Nobody
// waits for that: it is for the commands that come later.
const patience = 3 * time.Second

// Hearsay exchanges with other members what kinds of actions cost.
type Hearsay interface {
	// Ask brings into the book of costs what members know. It returns when that
	// is done, or ctx has ended.
	Ask(ctx context.Context, kinds []costs.Kind)
	// Tell has others told what the book knows. It does not wait.
	Tell(kinds []costs.Kind)
}

// hint sets what is known of a step whose source has that size: by its name, else
// by its rule and that size.
func (v *invocation) hint(step *action.Step, source int64) {
	h, known := v.exp.Hints(costs.StepOf(step))
	if !known {
		rule := costs.RuleOf(step)
		if h, known = v.exp.Hints(rule); !known {
			v.ask(rule)
		}
		if work, sized := v.exp.Sized(step, source); sized {
			h.Cost, known = work, true
		}
	}
	if known {
		step.Hint(h)
	}
}

// ask asks members for a rule of which nothing is known here, once.
func (v *invocation) ask(rule costs.Kind) {
	if v.modes.Local || !v.others() {
		return
	}
	v.mu.Lock()
	asked := v.asked[rule]
	v.asked[rule] = true
	v.mu.Unlock()
	if asked {
		return
	}
	v.running.Go(func() {
		ctx, cancel := context.WithTimeout(v.life, patience)
		defer cancel()
		v.s.opts.Hearsay.Ask(ctx, []costs.Kind{rule})
	})
}

// tellCosts keeps what was learned, and has others told.
func (v *invocation) tellCosts() {
	if kinds := v.exp.Keep(); len(kinds) > 0 && !v.modes.Local {
		v.s.opts.Hearsay.Tell(kinds)
	}
}
