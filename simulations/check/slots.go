package check

import (
	"fmt"

	"github.com/buildnet/buildnet/simulations/trace"
)

// Slots is the rule that no node runs more at once than it has slots, for
// however many builds it works, that it begins nothing for builds of others while
// it lends them none, and that a build with a bound stays within it while nothing
// goes wrong. What runs of a step that nobody needs any more, until its worker has
// heard so, is none of the build's.
type Slots struct {
	unsettled
	nodes, builds map[int]int
	steps         map[stepOf]int // that run
	dropped       map[stepOf]bool
	miserly       map[int]bool // lend no slot
	families      trace.Families
}

// NewSlots returns the rule for one run.
func NewSlots() *Slots {
	return &Slots{nodes: map[int]int{}, builds: map[int]int{}, steps: map[stepOf]int{}, dropped: map[stepOf]bool{}, miserly: map[int]bool{}}
}

// Name names the rule.
func (*Slots) Name() string { return "no node runs more than its slots" }

// Observe counts what runs.
func (r *Slots) Observe(w World, e *trace.Event) string {
	switch e.Kind {
	case trace.RunBegan:
		r.nodes[e.Node]++
		r.count(e, 1)
	case trace.RunEnded, trace.RunCut:
		r.nodes[e.Node]--
		r.count(e, -1)
		return ""
	case trace.Dropped:
		of := stepOf{e.Build, e.Step}
		r.count(e, -r.steps[of])
		r.dropped[of] = true
		return ""
	case trace.Lent:
		r.miserly[e.Node] = e.Value == 0
		return ""
	case trace.Down:
		delete(r.miserly, e.Node)
		return ""
	case trace.Inherited:
		r.families.Fold(*e)
		return ""
	default:
		return ""
	}
	if r.miserly[e.Node] && (w.Setting().Builds[e.Build].Initiator != e.Node || r.families.First(e.Build) != e.Build) {
		return fmt.Sprintf("node %d began step %d of build %d, which is another's, and lends no slot", e.Node, e.Step, e.Build)
	}
	if slots := w.Setting().Nodes[e.Node].Slots; r.nodes[e.Node] > slots {
		return fmt.Sprintf("node %d runs %d steps in %d slots", e.Node, r.nodes[e.Node], slots)
	}
	if jobs := w.Setting().Builds[e.Build].Modes.Jobs; jobs > 0 && r.builds[e.Build] > jobs && !troubled(w.Setting()) {
		return fmt.Sprintf("%d steps of build %d run, which asked for no more than %d", r.builds[e.Build], e.Build, jobs)
	}
	return ""
}

// count counts what runs of a build.
func (r *Slots) count(e *trace.Event, n int) {
	if of := (stepOf{e.Build, e.Step}); !r.dropped[of] {
		r.steps[of] += n
		r.builds[e.Build] += n
	}
}
