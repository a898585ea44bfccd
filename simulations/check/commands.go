package check

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/buildnet/buildnet/simulations/trace"
)

// Commands is the rule for what is run outside of builds: it takes slots of its
// node, with the steps that were asked for there no more than it has; it takes turns
// with these, and waits for no step that was stolen. Of those nothing begins that
// would make it more than there are slots.
type Commands struct {
	unsettled
	nodes    map[int]*commanded
	families trace.Families
}

// commanded is a node on which commands are run.
type commanded struct {
	own, stolen int // steps that run
	runs        map[int64]time.Duration
	waits       map[int64]*passed
	// idle says that since then something waits that might run.
	idle  bool
	since time.Duration
}

// passed are the steps that began while a command waited.
type passed struct{ own, stolen int }

// starting is what a step may take from its slot to its begin, on a machine that is
// neither slow nor stopped.
const starting = 50 * time.Millisecond

// NewCommands returns the rule for one run.
func NewCommands() *Commands { return &Commands{nodes: map[int]*commanded{}} }

// Name names the rule.
func (*Commands) Name() string { return "commands and steps take turns" }

// Observe counts what runs and what waits.
func (r *Commands) Observe(w World, e *trace.Event) string {
	if e.Node == trace.None || len(w.Setting().Commands) == 0 {
		return ""
	}
	n := r.nodes[e.Node]
	if n == nil {
		n = &commanded{runs: map[int64]time.Duration{}, waits: map[int64]*passed{}}
		r.nodes[e.Node] = n
	}
	if why := r.take(w, e, n); why != "" {
		return why
	}
	return n.waitsFor(w, e)
}

// take takes note of an event.
func (r *Commands) take(w World, e *trace.Event, n *commanded) string {
	switch e.Kind {
	case trace.Inherited:
		r.families.Fold(*e)
	case trace.Down:
		delete(r.nodes, e.Node)
	case trace.CommandCame:
		n.waits[e.Value] = &passed{}
	case trace.CommandBegan:
		delete(n.waits, e.Value)
		n.runs[e.Value] = e.At
		return n.full(w, e)
	case trace.CommandEnded:
		delete(n.waits, e.Value)
		delete(n.runs, e.Value)
	case trace.RunBegan:
		return r.began(w, e, n)
	case trace.RunEnded, trace.RunCut:
		if r.owns(w, e) {
			n.own--
		} else {
			n.stolen--
		}
	}
	return ""
}

func (r *Commands) owns(w World, e *trace.Event) bool {
	return w.Setting().Builds[r.families.First(e.Build)].Initiator == e.Node && r.families.First(e.Build) == e.Build
}

func (r *Commands) began(w World, e *trace.Event, n *commanded) string {
	if r.owns(w, e) {
		n.own++
		for _, c := range n.waiting() {
			p := n.waits[c]
			// Of each build as many as there are slots may have come before it.
			if p.own++; p.own > slotsOf(w, e.Node)*len(w.Setting().Builds) {
				return fmt.Sprintf("command %d waits on node %d, where %d own steps have begun since", c, e.Node, p.own)
			}
		}
		return n.full(w, e)
	}
	n.stolen++
	for _, c := range n.waiting() {
		p := n.waits[c]
		if p.stolen++; p.stolen > slotsOf(w, e.Node) {
			return fmt.Sprintf("command %d waits on node %d, where %d stolen steps have begun since", c, e.Node, p.stolen)
		}
	}
	running := n.own + n.stolen
	for _, since := range n.runs {
		if e.At-since > starting {
			running++
		}
	}
	if slots := slotsOf(w, e.Node); running > slots && !troubled(w.Setting()) {
		return fmt.Sprintf("node %d began a stolen step, and runs %d steps and commands in %d slots", e.Node, running, slots)
	}
	return ""
}

// waitsFor says what is wrong if a command waits for nothing of the user's own.
func (n *commanded) waitsFor(w World, e *trace.Event) string {
	idle := len(n.waits) > 0 && n.own+len(n.runs) < slotsOf(w, e.Node)
	if idle && !n.idle {
		n.since = e.At
	}
	if n.idle = idle; idle && e.At-n.since > starting && !troubled(w.Setting()) {
		return fmt.Sprintf("command %d waits on node %d since %v, and %d own steps and %d commands run there", n.waiting()[0], e.Node, n.since, n.own, len(n.runs))
	}
	return ""
}

// waiting are the commands that wait.
func (n *commanded) waiting() []int64 { return slices.Sorted(maps.Keys(n.waits)) }

// full says what is wrong if more is run of the user's own than there are slots.
func (n *commanded) full(w World, e *trace.Event) string {
	if slots := slotsOf(w, e.Node); n.own+len(n.runs) > slots {
		return fmt.Sprintf("node %d runs %d own steps and %d commands in %d slots", e.Node, n.own, len(n.runs), slots)
	}
	return ""
}

func slotsOf(w World, node int) int { return max(w.Setting().Nodes[node].Slots, 1) }
