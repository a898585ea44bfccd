package check

import (
	"fmt"

	"github.com/buildnet/buildnet/simulations/trace"
)

// Epochs is the rule that no peer obeys an epoch lower than one it saw. A node
// that starts again has no memory, and neither has one that is done with the
// build, or whose worker was told that it is over: it serves whoever says Hello.
type Epochs struct {
	unsettled
	seen map[place]trace.Epoch
	ends map[place]bool // what was heard last is an End
}

// place is a build at a node.
type place struct{ build, node int }

// NewEpochs returns the rule for one run.
func NewEpochs() *Epochs { return &Epochs{seen: map[place]trace.Epoch{}, ends: map[place]bool{}} }

// Name names the rule.
func (*Epochs) Name() string { return "no lower epoch is obeyed" }

// Observe remembers what each node heard.
func (r *Epochs) Observe(_ World, e *trace.Event) string {
	at := place{e.Build, e.Node}
	switch e.Kind {
	case trace.Up, trace.Down:
		for p := range r.seen {
			if p.node == e.Node {
				delete(r.seen, p)
			}
		}
	case trace.Forgot:
		delete(r.seen, at)
	case trace.Heard:
		r.ends[at] = e.Text == "End"
		if r.seen[at].Less(e.Epoch) {
			r.seen[at] = e.Epoch
		}
	case trace.Obeyed:
		if e.Epoch.Less(r.seen[at]) {
			return fmt.Sprintf("node %d obeyed epoch %d of node %d in build %d, and had heard of epoch %d of node %d",
				e.Node, e.Epoch.Number, e.Epoch.Leader, e.Build, r.seen[at].Number, r.seen[at].Leader)
		}
		if r.ends[at] {
			delete(r.seen, at)
		}
	}
	return ""
}
