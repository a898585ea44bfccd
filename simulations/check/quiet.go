package check

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/trace"
)

const (
	// quietAfter is within which nothing of a build runs that is over, or whose
	// initiator is lost: what the times of package steal add up to.
	quietAfter = 2 * time.Second
	// quietAgain is that when something else goes wrong meanwhile: whoever takes
	// over then has to notice that the initiator is lost.
	quietAgain = 3 * time.Second
)

// Quiet is the rule that nothing of a build runs anywhere when it is over. A
// node that is stopped cannot end what it runs. A standby that takes over says
// Hello before it knows that the initiator is lost as well, and a worker to
// whom it cannot say End any more waits for it as long as for any leader.
type Quiet struct {
	unsettled
	over    map[int]time.Duration
	running map[int]map[runAt]bool // by build
	late    []int                  // builds that are over and of which something runs, in order
	began   map[int]int            // initiators, by build
	wrong   *troubles
	changed time.Duration // when something went wrong last
	hello   map[place]time.Duration
}

type runAt struct{ node, step int }

func (a runAt) compare(b runAt) int {
	return cmp.Or(cmp.Compare(a.node, b.node), cmp.Compare(a.step, b.step))
}

// NewQuiet returns the rule for one run.
func NewQuiet() *Quiet {
	return &Quiet{over: map[int]time.Duration{}, running: map[int]map[runAt]bool{}, began: map[int]int{}, wrong: newTroubles(), hello: map[place]time.Duration{}}
}

// Name names the rule.
func (*Quiet) Name() string { return "nothing runs after its build" }

// Observe keeps what runs.
func (r *Quiet) Observe(w World, e *trace.Event) string {
	r.wrong.Observe(w, e)
	if shakes(e.Kind) {
		r.changed = e.At
	}
	switch e.Kind {
	case trace.Began:
		r.began[e.Build], r.running[e.Build] = e.Node, map[runAt]bool{}
	case trace.Over:
		r.ends(e.Build, e.At)
	case trace.Heard:
		if e.Text == "Hello" {
			r.hello[place{e.Build, e.Node}] = e.At
		}
	case trace.RunBegan:
		if r.running[e.Build] != nil {
			r.running[e.Build][runAt{e.Node, e.Step}] = true
			r.look(e.Build)
		}
	case trace.RunEnded, trace.RunCut:
		delete(r.running[e.Build], runAt{e.Node, e.Step})
	case trace.Down:
		r.died(e)
	}
	return r.judge(e.At)
}

func (r *Quiet) ends(build int, at time.Duration) {
	if _, again := r.over[build]; !again {
		r.over[build] = at
		r.look(build)
	}
}

// look has a build judged, if it is over and something of it runs.
func (r *Quiet) look(build int) {
	at, found := slices.BinarySearch(r.late, build)
	if _, over := r.over[build]; over && !found && len(r.running[build]) > 0 {
		r.late = slices.Insert(r.late, at, build)
	}
}

func (r *Quiet) died(e *trace.Event) {
	r.changed = e.At
	for b, initiator := range r.began {
		if initiator == e.Node {
			r.ends(b, e.At)
		}
		for at := range r.running[b] {
			if at.node == e.Node {
				delete(r.running[b], at)
			}
		}
	}
}

func (r *Quiet) judge(now time.Duration) string {
	r.late = slices.DeleteFunc(r.late, func(b int) bool { return len(r.running[b]) == 0 })
	for _, b := range r.late {
		over := r.over[b]
		if now <= over+quietAfter || now <= r.changed+quietAgain && r.changed+quietAfter >= over {
			continue
		}
		for _, at := range slices.SortedFunc(maps.Keys(r.running[b]), runAt.compare) {
			bereft := r.hello[place{b, at.node}] + steal.Bereft + 2*steal.BeatEvery
			if now > bereft && r.wrong.weak(at.node, now-quietAgain) == "" {
				return fmt.Sprintf("step %d of build %d runs on node %d, and the build was over at %v", at.step, b, at.node, over)
			}
		}
	}
	return ""
}
