package check

import (
	"fmt"

	"github.com/buildnet/buildnet/simulations/trace"
)

// Slots is the rule that no node runs more at once than it has slots, for
// however many builds it works, and that a build with a bound stays within it
// while nothing goes wrong.
type Slots struct {
	unsettled
	nodes, builds map[int]int
}

// NewSlots returns the rule for one run.
func NewSlots() *Slots { return &Slots{nodes: map[int]int{}, builds: map[int]int{}} }

// Name names the rule.
func (*Slots) Name() string { return "no node runs more than its slots" }

// Observe counts what runs.
func (r *Slots) Observe(w World, e *trace.Event) string {
	switch e.Kind {
	case trace.RunBegan:
		r.nodes[e.Node]++
		r.builds[e.Build]++
	case trace.RunEnded, trace.RunCut:
		r.nodes[e.Node]--
		r.builds[e.Build]--
		return ""
	default:
		return ""
	}
	if slots := w.Setting().Nodes[e.Node].Slots; r.nodes[e.Node] > slots {
		return fmt.Sprintf("node %d runs %d steps in %d slots", e.Node, r.nodes[e.Node], slots)
	}
	if jobs := w.Setting().Builds[e.Build].Modes.Jobs; jobs > 0 && r.builds[e.Build] > jobs && !troubled(w.Setting()) {
		return fmt.Sprintf("%d steps of build %d run, which asked for no more than %d", r.builds[e.Build], e.Build, jobs)
	}
	return ""
}
