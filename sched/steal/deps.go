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
	rank  []float64 // in BPU-seconds, itself included
}

// minCost is the cost of a step nobody measured, in BPU-seconds, so that the
// longest chain comes first although no step has a cost.
const minCost = 0.01

func newDeps(g *action.Graph) *deps {
	steps := g.Steps()
	d := &deps{below: make([][]Step, len(steps)), above: make([][]Step, len(steps)), rank: make([]float64, len(steps))}
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
		d.rank[i] += max(steps[i].Cost, minCost)
	}
	return d
}

// order compares steps: those that more work waits for come first.
func (d *deps) order(a, b Step) int {
	return cmp.Or(cmp.Compare(d.rank[b], d.rank[a]), cmp.Compare(a, b))
}

// reversed is order from the other end.
func (d *deps) reversed(a, b Step) int { return d.order(b, a) }
