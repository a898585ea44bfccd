package check

import (
	"fmt"
	"time"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/trace"
)

// wasteOver is what each backup may come to beyond the share that is allowed: the
// time until a leader hears, looks, and is heard. It is no more than what its step
// costs: a run that is short has ended by then.
const wasteOver = 100 * time.Millisecond

// Waste is the rule that where nothing goes wrong backups come to no more than
// steal.MaxWaste of what a build executed, in BPU-seconds.
type Waste struct {
	unsettled
	began map[wasting]time.Duration
	// backed are the steps that were given to a second worker.
	backed map[stepOf]bool
	done   map[stepOf]bool
	work   map[int]float64
	waste  map[int]float64
	// excess is what is allowed beside the share, by build.
	excess map[int]float64
}

// wasting is a step on a node.
type wasting struct {
	stepOf
	node int
}

// NewWaste returns the rule for one run.
func NewWaste() *Waste {
	return &Waste{
		began: map[wasting]time.Duration{}, backed: map[stepOf]bool{}, done: map[stepOf]bool{},
		work: map[int]float64{}, waste: map[int]float64{}, excess: map[int]float64{},
	}
}

// Name names the rule.
func (*Waste) Name() string { return "backups waste little" }

// Observe adds up what runs.
func (r *Waste) Observe(w World, e *trace.Event) string {
	of := stepOf{e.Build, e.Step}
	switch e.Kind {
	case trace.Logged:
		if e.Text == trace.OpBackup {
			r.backed[of] = true
			s := w.Setting()
			r.excess[e.Build] += min(wasteOver.Seconds()*s.Nodes[e.Peer].BPU, s.Builds[e.Build].Graph.Steps[e.Step].Cost)
		}
	case trace.Dropped:
		delete(r.backed, of) // whatever has it is ended because nobody needs it
	case trace.RunBegan:
		r.began[wasting{of, e.Node}] = e.At
	case trace.RunEnded, trace.RunCut:
		r.ran(w, of, e)
	case trace.Over:
		waste, most := r.waste[e.Build], steal.MaxWaste*r.work[e.Build]+r.excess[e.Build]
		if steal.Reason(e.Value) == steal.Completed && waste > most && !troubled(w.Setting()) {
			return fmt.Sprintf("backups of build %d wasted %.3f BPU-seconds, beside work of %.3f", e.Build, waste, r.work[e.Build])
		}
	}
	return ""
}

func (r *Waste) ran(w World, of stepOf, e *trace.Event) {
	took := (e.At - r.began[wasting{of, e.Node}]).Seconds() * w.Setting().Nodes[e.Node].BPU
	switch {
	case e.Kind == trace.RunEnded && !r.done[of]:
		r.done[of] = true
		r.work[of.build] += took
	case r.backed[of]:
		r.waste[of.build] += took
	}
}
