package check

import (
	"fmt"
	"time"

	"github.com/buildnet/buildnet/simulations/trace"
)

// Slots is the rule that no node runs more at once than it has slots, for
// however many builds it works, that it begins nothing for builds of others while
// it lends them none, and that a build with a bound stays within it while nothing
// goes wrong. What its leader took back, because there is a result, does not count
// while it may not have heard that yet: to wait for that would hold up the build.
// Nor does what nobody needs any more, until its worker has heard so.
type Slots struct {
	unsettled
	nodes    map[int]int
	runs     map[int]map[hand]bool // by build
	taken    map[hand]time.Duration
	dropped  map[stepOf]bool
	miserly  map[int]bool // lend no slot
	families trace.Families
}

// hand is a step of a build on a node.
type hand struct {
	stepOf
	node int
}

// NewSlots returns the rule for one run.
func NewSlots() *Slots {
	return &Slots{
		nodes: map[int]int{}, runs: map[int]map[hand]bool{}, taken: map[hand]time.Duration{}, dropped: map[stepOf]bool{}, miserly: map[int]bool{},
	}
}

// Name names the rule.
func (*Slots) Name() string { return "no node runs more than its slots" }

// Observe counts what runs.
func (r *Slots) Observe(w World, e *trace.Event) string {
	of := stepOf{e.Build, e.Step}
	switch e.Kind {
	case trace.RunBegan:
		r.nodes[e.Node]++
		if r.runs[e.Build] == nil {
			r.runs[e.Build] = map[hand]bool{}
		}
		r.runs[e.Build][hand{of, e.Node}] = true
	case trace.RunEnded, trace.RunCut:
		r.nodes[e.Node]--
		delete(r.runs[e.Build], hand{of, e.Node})
		return ""
	case trace.Assigned:
		delete(r.taken, hand{of, e.Peer})
		return ""
	case trace.Dropped:
		r.dropped[of] = true
		return ""
	case trace.Revoked:
		r.taken[hand{of, e.Peer}] = e.At
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
	// Where commands are run as well there is a rule of its own: see Commands.
	if slots := w.Setting().Nodes[e.Node].Slots; r.nodes[e.Node] > slots && len(w.Setting().Commands) == 0 {
		return fmt.Sprintf("node %d runs %d steps in %d slots", e.Node, r.nodes[e.Node], slots)
	}
	if jobs := w.Setting().Builds[e.Build].Modes.Jobs; jobs > 0 && !troubled(w.Setting()) {
		if runs := r.running(e.Build, e.At); runs > jobs {
			return fmt.Sprintf("%d steps of build %d run, which asked for no more than %d", runs, e.Build, jobs)
		}
	}
	return ""
}

func (r *Slots) running(build int, now time.Duration) (n int) {
	for h := range r.runs[build] {
		if at, taken := r.taken[h]; !r.dropped[h.stepOf] && (!taken || now-at > onItsWay) {
			n++
		}
	}
	return n
}
