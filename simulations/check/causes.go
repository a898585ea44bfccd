package check

import (
	"fmt"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/trace"
)

// Causes is the rule that a leader takes nobody for lost who was there and
// could answer within the last Lease.
type Causes struct {
	unsettled
	wrong *troubles
}

// NewCauses returns the rule for one run.
func NewCauses() *Causes { return &Causes{wrong: newTroubles()} }

// Name names the rule.
func (*Causes) Name() string { return "nobody is lost without a cause" }

// Observe looks for the cause of each loss.
func (r *Causes) Observe(w World, e *trace.Event) string {
	r.wrong.Observe(w, e)
	if e.Kind != trace.Logged || e.Text != trace.OpGone {
		return ""
	}
	if r.wrong.apart(e.Node, e.Peer, e.At-2*steal.Lease) == "" {
		return fmt.Sprintf("node %d, the leader of build %d, took node %d for lost, which was there", e.Node, e.Build, e.Peer)
	}
	return ""
}
