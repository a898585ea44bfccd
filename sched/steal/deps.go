package steal

import (
	"cmp"
	"slices"

	"github.com/buildnet/buildnet/sched/action"
)

// deps is the shape of a graph by place: who waits for whom, and how long the
// longest way from each step to the end of the build is.
type deps struct {
	below [][]Step  // what a step depends on
	above [][]Step  // its dependants
	cost  []float64 // in BPU-seconds, as far as it was known beforehand
	rank  []float64 // likewise, of the longest way, itself included
	turn  []float64 // the rank, less for what was added later: see patience
	mean  typical
}

const (
	// unknownCost is that of a step where none was measured, in BPU-seconds, so
	// that the longest chain comes first although no step has a cost.
	unknownCost = 1.0
	// minCost keeps steps apart that are said to be nothing.
	minCost = 1e-4
)

// typical is what the steps cost of which it is known, added up.
type typical struct {
	sum   float64
	known int
}

func (m *typical) cost() float64 {
	if m.known == 0 {
		return unknownCost
	}
	return m.sum / float64(m.known)
}

// costs are those that steps are believed to have; those that nobody measured,
// as much as the others on average.
func costs(steps []action.Step) (of []float64, mean typical) {
	of = make([]float64, len(steps))
	for i := range steps {
		if c := steps[i].Cost; c > 0 {
			of[i] = mean.of(c)
		}
	}
	for i := range of {
		if of[i] == 0 {
			of[i] = mean.cost()
		}
	}
	return of, mean
}

func newDeps(g *action.Graph) *deps {
	steps := g.Steps()
	d := &deps{below: make([][]Step, len(steps)), above: make([][]Step, len(steps)), rank: make([]float64, len(steps))}
	d.cost, d.mean = costs(steps)
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
		d.rank[i] = max(steps[i].Rank, 0)
		for _, a := range d.above[i] {
			d.rank[i] = max(d.rank[i], d.rank[a])
		}
		d.rank[i] += d.cost[i]
	}
	d.turn = slices.Clone(d.rank)
	return d
}

// order compares steps: those that more work waits for come first.
func (d *deps) order(a, b Step) int {
	return cmp.Or(cmp.Compare(d.turn[b], d.turn[a]), cmp.Compare(a, b))
}

// reversed is order from the other end.
func (d *deps) reversed(a, b Step) int { return d.order(b, a) }
