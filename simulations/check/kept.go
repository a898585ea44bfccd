package check

import (
	"fmt"

	"github.com/buildnet/buildnet/simulations/trace"
)

// Kept is the rule that a step is announced only when a standby of the leader,
// if it has one, keeps the report. A build without standbys has nobody who
// could lead it but its initiator, which needs no report.
type Kept struct {
	unsettled
	logs       map[logOf]*keeping
	initiators map[int]int
}

// NewKept returns the rule for one run.
func NewKept() *Kept { return &Kept{logs: map[logOf]*keeping{}, initiators: map[int]int{}} }

// Name names the rule.
func (*Kept) Name() string { return "a standby keeps what is announced" }

// Observe compares announcements with what is kept.
func (r *Kept) Observe(_ World, e *trace.Event) string {
	of := logOf{e.Build, e.Epoch}
	switch e.Kind {
	case trace.Began:
		r.initiators[e.Build] = e.Node
	case trace.Logged, trace.Kept, trace.Committed:
		if r.logs[of] == nil {
			r.logs[of] = &keeping{kept: map[int]int64{}}
		}
		r.logs[of].note(e)
	case trace.Announced:
		return r.announced(r.logs[of], e)
	}
	return ""
}

func (r *Kept) announced(k *keeping, e *trace.Event) string {
	if k == nil {
		return fmt.Sprintf("step %d of build %d was announced, and its leader has no log", e.Step, e.Build)
	}
	if others := k.others(r.initiators[e.Build]); e.Value > others && e.Value > k.alone {
		return fmt.Sprintf("step %d of build %d was announced, op %d of the log of node %d: its %d standbys keep no more than %d",
			e.Step, e.Build, e.Value, e.Epoch.Leader, k.standbys, others)
	}
	return ""
}
