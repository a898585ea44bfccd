package check

import (
	"fmt"
	"slices"
	"time"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/trace"
)

// Parallel is how long a build and what an heir of it goes on with, or what two
// heirs go on with, may live side by side once their initiators can reach each
// other. Members that took each other for dead look for each other every five
// seconds, and find some at a time; a leader calls a lost one again after Rejoin;
// who is called has a second to ask, and ends its build as a leader does that
// has no initiator.
const Parallel = 10*time.Second + steal.Rejoin + time.Second + Overlap

// Continuations is the rule that after the faults a build goes on once on each
// connected side, under whatever name.
type Continuations struct {
	unsettled
	// first is what each build goes on with in the end, by build.
	first map[int]int
	// going are the builds of each first one that go on, in the order in which they
	// began.
	going   map[int][]continuation
	several map[int]bool // first builds with several
	changed time.Duration
	healed  bool
}

type continuation struct {
	build, initiator int
	since            time.Duration
}

// NewContinuations returns the rule for one run.
func NewContinuations() *Continuations {
	return &Continuations{first: map[int]int{}, going: map[int][]continuation{}, several: map[int]bool{}}
}

// Name names the rule.
func (*Continuations) Name() string { return "one continuation a side" }

// Observe keeps which builds go on.
func (r *Continuations) Observe(w World, e *trace.Event) string {
	if shakes(e.Kind) {
		r.changed = e.At
	}
	switch e.Kind {
	case trace.Healed:
		r.healed, r.changed = true, e.At
	case trace.Down:
		r.changed = e.At
		for first := range r.going {
			r.end(first, func(c continuation) bool { return c.initiator == e.Node })
		}
	case trace.Inherited:
		r.first[e.Build] = r.firstOf(int(e.Value))
	case trace.Began:
		first := r.firstOf(e.Build)
		r.going[first] = append(r.going[first], continuation{e.Build, e.Node, e.At})
		r.end(first, func(continuation) bool { return false })
	case trace.Over:
		r.end(r.firstOf(e.Build), func(c continuation) bool { return c.build == e.Build })
	}
	if len(r.several) == 0 || !r.healed && w.Setting().HealAt > 0 || e.At < r.changed+Parallel {
		return ""
	}
	return r.judge(w, e.At)
}

func (r *Continuations) firstOf(build int) int {
	if first, inherited := r.first[build]; inherited {
		return first
	}
	return build
}

func (r *Continuations) end(first int, which func(continuation) bool) {
	r.going[first] = slices.DeleteFunc(r.going[first], which)
	if r.several[first] = len(r.going[first]) > 1; !r.several[first] {
		delete(r.several, first)
	}
}

func (r *Continuations) judge(w World, now time.Duration) string {
	for b := range w.Setting().Builds {
		if !r.several[b] {
			continue
		}
		for i, old := range r.going[b] {
			for _, young := range r.going[b][i+1:] {
				if now >= young.since+Parallel && w.Connected(old.initiator, young.initiator) {
					return fmt.Sprintf("build %d goes on twice: as build %d of node %d, and for %v as build %d of node %d",
						b, old.build, old.initiator, now-young.since, young.build, young.initiator)
				}
			}
		}
	}
	return ""
}
