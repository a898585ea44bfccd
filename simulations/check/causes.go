package check

import (
	"fmt"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/trace"
)

// Causes is the rule that a leader takes nobody for lost who was there and
// could answer within the last Lease. One that serves a higher epoch answers it
// no more, but by refusing.
type Causes struct {
	unsettled
	wrong *troubles
	seen  map[place]trace.Epoch
}

// NewCauses returns the rule for one run.
func NewCauses() *Causes { return &Causes{wrong: newTroubles(), seen: map[place]trace.Epoch{}} }

// Name names the rule.
func (*Causes) Name() string { return "nobody is lost without a cause" }

// Observe looks for the cause of each loss.
func (r *Causes) Observe(w World, e *trace.Event) string {
	r.wrong.Observe(w, e)
	if at := (place{e.Build, e.Node}); e.Kind == trace.Heard && r.seen[at].Less(e.Epoch) {
		r.seen[at] = e.Epoch
	}
	if e.Kind != trace.Logged || e.Text != trace.OpGone {
		return ""
	}
	if e.Epoch.Less(r.seen[place{e.Build, e.Peer}]) {
		return ""
	}
	if r.wrong.apart(e.Node, e.Peer, e.At-2*steal.Lease) == "" {
		return fmt.Sprintf("node %d, the leader of build %d, took node %d for lost, which was there", e.Node, e.Build, e.Peer)
	}
	return ""
}
