package check

import (
	"fmt"
	"time"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/fault"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
)

// Ends is the rule that every build whose initiator lives is over within the
// setting's limit of the last fault, and of its own begin; and that it
// completed, unless somebody cancelled it. One that is left to nodes without slots,
// as an heir may be, waits for somebody who has some.
type Ends struct {
	over, lost map[int]bool
	down       map[int]bool  // nodes
	done       map[int]int   // announced or given up, by build
	looked     time.Duration // when no build was late
}

// NewEnds returns the rule for one run.
func NewEnds() *Ends {
	return &Ends{over: map[int]bool{}, lost: map[int]bool{}, down: map[int]bool{}, done: map[int]int{}}
}

// lookEvery is how often builds that are late are looked for.
const lookEvery = 100 * time.Millisecond

// Name names the rule.
func (*Ends) Name() string { return "every build ends" }

// Observe looks at how each build ends.
func (r *Ends) Observe(w World, e *trace.Event) string {
	builds := w.Setting().Builds
	switch e.Kind {
	case trace.Up:
		r.down[e.Node] = false
	case trace.Down:
		r.down[e.Node] = true
		for b := range builds {
			r.lost[b] = r.lost[b] || builds[b].Initiator == e.Node && e.At <= r.deadline(w.Setting(), b)
		}
	case trace.Announced, trace.GaveUp:
		r.done[e.Build]++
	case trace.Over:
		r.over[e.Build] = true
		if steal.Reason(e.Value) == steal.Cancelled && e.Text != trace.Yielded && !cancelled(w.Setting(), e.Build) && !r.lost[e.Build] {
			return fmt.Sprintf("build %d was given up by its initiator, and nobody cancelled it", e.Build)
		}
	}
	if e.At < r.looked+lookEvery {
		return ""
	}
	r.looked = e.At
	for b := range builds {
		if e.At > r.deadline(w.Setting(), b) && !r.over[b] && !r.lost[b] && r.slots(w.Setting()) {
			return r.late(w, b)
		}
	}
	return ""
}

// Settle looks for builds that never ended.
func (r *Ends) Settle(w World) string {
	for b := range w.Setting().Builds {
		if !r.over[b] && !r.lost[b] && r.slots(w.Setting()) {
			return r.late(w, b)
		}
	}
	return ""
}

// slots reports whether a node that is up has any.
func (r *Ends) slots(s *setting.Setting) bool {
	for i := range s.Nodes {
		if s.Nodes[i].Slots > 0 && !r.down[i] {
			return true
		}
	}
	return false
}

func (r *Ends) late(w World, b int) string {
	return fmt.Sprintf("build %d is not over at %v: %d of its %d steps are", b, r.deadline(w.Setting(), b), r.done[b],
		len(w.Setting().Builds[b].Graph.Steps))
}

func (*Ends) deadline(s *setting.Setting, build int) time.Duration {
	return max(s.HealAt, s.Builds[build].At) + s.Limit
}

func cancelled(s *setting.Setting, build int) bool {
	for i := range s.Faults {
		if f := &s.Faults[i]; f.Kind == fault.Cancel && f.Target.Build == build {
			return true
		}
	}
	return false
}
