package check

import (
	"fmt"

	"github.com/buildnet/buildnet/simulations/trace"
)

// stepOf names a step of a build.
type stepOf struct{ build, step int }

// Turns is the rule that a step is announced after all that it depends on, and
// when its outputs are with the initiator: not only by its own word. One that
// lost what it stored has said so before.
type Turns struct {
	unsettled
	secured, done map[stepOf]bool
	lost          map[int]bool // nodes that lost what they stored
}

// NewTurns returns the rule for one run.
func NewTurns() *Turns {
	return &Turns{secured: map[stepOf]bool{}, done: map[stepOf]bool{}, lost: map[int]bool{}}
}

// Name names the rule.
func (*Turns) Name() string { return "a step is announced in its turn" }

// Observe compares announcements with what came before.
func (r *Turns) Observe(w World, e *trace.Event) string {
	of := stepOf{e.Build, e.Step}
	switch e.Kind {
	case trace.LostBlobs:
		r.lost[e.Node] = true
	case trace.Secured:
		r.secured[of] = true
	case trace.GaveUp:
		r.done[of] = true
	case trace.Announced:
		if e.Digest != 0 && !r.secured[of] {
			return fmt.Sprintf("step %d of build %d was announced before its outputs were with the initiator", e.Step, e.Build)
		}
		if e.Digest != 0 && !r.lost[e.Node] && !w.Holds(e.Node, e.Digest) {
			return fmt.Sprintf("step %d of build %d was announced, and the initiator does not have %016x", e.Step, e.Build, e.Digest)
		}
		for _, on := range w.Setting().Builds[e.Build].Graph.Steps[e.Step].Deps {
			if !r.done[stepOf{e.Build, on}] {
				return fmt.Sprintf("step %d of build %d was announced before step %d, of which it is made", e.Step, e.Build, on)
			}
		}
		r.done[of] = true
	}
	return ""
}
