package build

import (
	"cmp"
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
)

// estimate says how long the rest of a build takes: as long as the longest
// chain of what is left on the fastest member, and no less than all of it on
// all members together. Work is in BPU-seconds. It is used by one goroutine at
// a time.
type estimate struct {
	cost    map[action.StepID]float64
	chain   map[action.StepID]float64 // the longest way to the end of the build
	order   []action.StepID           // by chain, the longest first
	left    map[action.StepID]bool
	work    float64 // of what is left
	fastest float64 // BPU of one core
	power   float64 // BPU of all cores together
}

// newEstimate returns nil if the duration of less than half of what is left
// was ever measured.
func newEstimate(steps []action.Step, done map[action.StepID]*action.Result, members []peer.Member) *estimate {
	e := &estimate{cost: map[action.StepID]float64{}, chain: map[action.StepID]float64{}, left: map[action.StepID]bool{}}
	known := 0
	for i := len(steps) - 1; i >= 0; i-- {
		s := &steps[i]
		if done[s.ID] != nil {
			continue
		}
		e.left[s.ID] = true
		e.order = append(e.order, s.ID)
		e.cost[s.ID] = s.Cost
		e.work += s.Cost
		e.chain[s.ID] += s.Cost
		if s.Cost > 0 {
			known++
		}
		for _, d := range s.Deps {
			e.chain[d.Step] = max(e.chain[d.Step], e.chain[s.ID])
		}
	}
	for _, m := range members {
		if m.State == peer.Alive {
			e.fastest = max(e.fastest, m.Caps.BPU)
			e.power += m.Caps.Power()
		}
	}
	if known == 0 || 2*known < len(e.left) || e.power <= 0 {
		return nil
	}
	slices.SortStableFunc(e.order, func(a, b action.StepID) int { return cmp.Compare(e.chain[b], e.chain[a]) })
	return e
}

// finished takes a step out and returns how long the rest takes; 0 says that
// this is not known. A nil estimate knows nothing.
func (e *estimate) finished(id action.StepID) time.Duration {
	if e == nil {
		return 0
	}
	if e.left[id] {
		delete(e.left, id)
		e.work -= e.cost[id]
	}
	for len(e.order) > 0 && !e.left[e.order[0]] {
		e.order = e.order[1:]
	}
	if len(e.order) == 0 {
		return 0
	}
	seconds := max(e.chain[e.order[0]]/e.fastest, e.work/e.power)
	return time.Duration(seconds * float64(time.Second))
}
