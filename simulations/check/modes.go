package check

import (
	"fmt"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/trace"
)

// Modes is the rule that nothing is given to a second worker while a build has
// lost half of its workers.
type Modes struct {
	unsettled
	mode map[logOf]steal.Mode
}

// NewModes returns the rule for one run.
func NewModes() *Modes { return &Modes{mode: map[logOf]steal.Mode{}} }

// Name names the rule.
func (*Modes) Name() string { return "who lost half does nothing twice" }

// Observe follows the mode of each log.
func (r *Modes) Observe(_ World, e *trace.Event) string {
	if e.Kind != trace.Logged {
		return ""
	}
	of := logOf{e.Build, e.Epoch}
	switch {
	case e.Text == trace.OpMode:
		r.mode[of] = steal.Mode(e.Digest)
	case e.Text == trace.OpBackup && r.mode[of] != steal.Whole:
		return fmt.Sprintf("step %d of build %d was given to node %d as well, and the build is %v", e.Step, e.Build, e.Peer, r.mode[of])
	}
	return ""
}
