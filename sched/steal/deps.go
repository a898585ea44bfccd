package steal

import (
	"cmp"

	"github.com/buildnet/buildnet/sched/action"
)

// deps is the shape of a graph by place: who waits for whom, and how long the
// longest way from each step to the end of the build is.
type deps struct {
	below [][]Step  // what a step depends on
	above [][]Step  // its dependants
	cost  []float64 // in BPU-seconds, as far as it was known beforehand
	rank  []float64 // likewise, of the longest way, itself included
}

const (
	// unknownCost is that of a step where none was measured, in BPU-seconds, so
	// that the longest chain comes first although no step has a cost.
	unknownCost = 1.0
	// minCost keeps steps apart that are said to be nothing.
	minCost = 1e-4
)

// costs are those that steps are believed to have; those that nobody measured,
// as much as the others on average.
func costs(steps []action.Step) []float64 {
	sum, known := 0.0, 0
	of := make([]float64, len(steps))
	for i := range steps {
		if c := steps[i].Cost; c > 0 {
			of[i] = max(c, minCost)
			sum += of[i]
			known++
		}
	}
	typical := unknownCost
	if known > 0 {
		typical = sum / float64(known)
	}
	for i := range of {
		if of[i] == 0 {
			of[i] = typical
		}
	}
	return of
}

func newDeps(g *action.Graph) *deps {
	steps := g.Steps()
	d := &deps{below: make([][]Step, len(steps)), above: make([][]Step, len(steps)), cost: costs(steps), rank: make([]float64, len(steps))}
	index := make(map[action.StepID]Step, len(steps))
	for i := range steps {
		index[steps[i].ID] = Step(i)
		for _, dep := range steps[i].Deps {
			on := index[dep.Step]
			d.below[i] = append(d.below[i], on)
			d.above[on] = append(d.above[on], Step(i))
		}
	}
	for i := len(steps) - 1; i >= 0; i-- {
		for _, a := range d.above[i] {
			d.rank[i] = max(d.rank[i], d.rank[a])
		}
		d.rank[i] += d.cost[i]
	}
	return d
}

// order compares steps: those that more work waits for come first.
func (d *deps) order(a, b Step) int {
	return cmp.Or(cmp.Compare(d.rank[b], d.rank[a]), cmp.Compare(a, b))
}

// reversed is order from the other end.
func (d *deps) reversed(a, b Step) int { return d.order(b, a) }
