package check

import (
	"fmt"

	"github.com/buildnet/buildnet/simulations/trace"
)

// Heirs is the rule that whoever takes a build over does it with no less than it
// said that it keeps of the log of whom it follows. One that the initiator asks
// to lead begins with nothing: the initiator tells it what it knows, and so does
// everybody whom it hears. A node that dies, or is done with the build, keeps
// nothing.
type Heirs struct {
	unsettled
	initiators map[int]int
	keeps      map[place]inheritance
}

// inheritance is how much of the log of an epoch a node keeps.
type inheritance struct {
	of   trace.Epoch
	upTo int64
	// ends says that what was heard last is its End.
	ends bool
}

// NewHeirs returns the rule for one run.
func NewHeirs() *Heirs { return &Heirs{initiators: map[int]int{}, keeps: map[place]inheritance{}} }

// Name names the rule.
func (*Heirs) Name() string { return "a new leader has the log that it kept" }

// Observe keeps who follows whom, and how far.
func (r *Heirs) Observe(_ World, e *trace.Event) string {
	at := place{e.Build, e.Node}
	switch e.Kind {
	case trace.Began:
		r.initiators[e.Build] = e.Node
	case trace.Down:
		for p := range r.keeps {
			if p.node == e.Node {
				delete(r.keeps, p)
			}
		}
	case trace.Forgot:
		delete(r.keeps, at)
	case trace.Heard:
		r.heard(at, e)
	case trace.Obeyed:
		// An initiator that hears an End too early leads itself, with that log.
		if k := r.keeps[at]; k.ends && k.of == e.Epoch && r.initiators[e.Build] != e.Node {
			delete(r.keeps, at)
		}
	case trace.Kept:
		if k := r.keeps[at]; k.of == e.Epoch {
			k.upTo = max(k.upTo, e.Value)
			r.keeps[at] = k
		}
	case trace.Led:
		if k := r.keeps[at]; e.Text != trace.Asked && k.of.Less(e.Epoch) && e.Value < k.upTo {
			return fmt.Sprintf("node %d leads build %d in epoch %d from a log of %d, and said that it keeps %d of that of epoch %d of node %d",
				e.Node, e.Build, e.Epoch.Number, e.Value, k.upTo, k.of.Number, k.of.Leader)
		}
	}
	return ""
}

// heard takes a Hello, with which the log of another epoch begins.
func (r *Heirs) heard(at place, e *trace.Event) {
	k := r.keeps[at]
	if e.Text == "Hello" && k.of.Less(e.Epoch) {
		k = inheritance{of: e.Epoch}
	}
	k.ends = e.Text == "End"
	r.keeps[at] = k
}
