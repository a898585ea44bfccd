package check

import (
	"fmt"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
)

// Backups is the rule that, while nothing goes wrong, a step is given to a second
// worker only while another has it, to one at a time, and that no more than a
// tenth of the slots are backups, or two. A leader that does not know yet that a
// worker died may give a backup to what nobody has. (That no step is executed
// twice without a declaration says Twice.)
type Backups struct {
	unsettled
	hands *hands
	// declared are those that are not over, by log and step.
	declared map[spending]int
	count    map[logOf]int
}

// NewBackups returns the rule for one run.
func NewBackups() *Backups {
	return &Backups{hands: newHands(), declared: map[spending]int{}, count: map[logOf]int{}}
}

// Name names the rule.
func (*Backups) Name() string { return "backups are few" }

// Observe follows what is declared.
func (r *Backups) Observe(w World, e *trace.Event) string {
	r.hands.Observe(e)
	at := spending{logOf{e.Build, e.Epoch}, e.Step}
	switch {
	case e.Kind == trace.Revoked && r.declared[at] == e.Peer+1:
		r.end(at)
	case e.Kind != trace.Logged:
		return ""
	}
	switch e.Text {
	case trace.OpBackup:
		return r.begin(w.Setting(), at, e)
	case trace.OpDone, trace.OpFailed, trace.OpTried, trace.OpLost, trace.OpReopened:
		r.end(at)
	}
	return ""
}

func (r *Backups) end(at spending) {
	if r.declared[at] > 0 {
		r.count[at.logOf]--
		delete(r.declared, at)
	}
}

// again reports whether a worker is given once more what it has not begun: it gave
// that back, as one does whose slots its owner's commands take, and no op says so.
func (r *Backups) again(at spending, e *trace.Event) bool {
	if r.declared[at] != e.Peer+1 {
		return false
	}
	for _, a := range r.hands.attempts[stepOf{e.Build, e.Step}] {
		if a.node == e.Peer && a.began && a.freed == "" {
			return false
		}
	}
	return true
}

func (r *Backups) begin(s *setting.Setting, at spending, e *trace.Event) string {
	where := fmt.Sprintf("step %d of build %d was given to node %d as well,", e.Step, e.Build, e.Peer)
	other := false
	for _, a := range r.hands.attempts[stepOf{e.Build, e.Step}] {
		other = other || a.node != e.Peer && a.freed == ""
	}
	switch {
	case !other && !troubled(s):
		return where + " and nobody else had it"
	case r.declared[at] > 0 && !r.again(at, e) && !troubled(s):
		return fmt.Sprintf("%s which node %d was already", where, r.declared[at]-1)
	case r.declared[at] == 0:
		r.count[at.logOf]++
	}
	r.declared[at] = e.Peer + 1
	slots := 0
	for i := range s.Nodes {
		slots += s.Nodes[i].Slots
	}
	if most := max(steal.LeastBackups, slots/steal.BackupShare); r.count[at.logOf] > most && !troubled(s) {
		return fmt.Sprintf("%s and is one of %d backups on %d slots", where, r.count[at.logOf], slots)
	}
	return ""
}
