package makespan

import (
	"cmp"
	"slices"

	"github.com/buildnet/buildnet/simulations/workload"
)

// HEFT is the makespan in seconds of a schedule that is made beforehand by
// somebody who knows exactly what each step takes, where messages and bytes take
// no time: in the order of the upward rank, each step where it is done first, in
// gaps as well (Topcuoglu, Hariri, Wu, Performance-Effective and Low-Complexity
// Task Scheduling, 2002, section 4).
func HEFT(g *workload.Graph, on []workload.Machine) float64 {
	speeds := slots(on)
	taken := make([][]interval, len(speeds))
	ends := make([]float64, len(g.Steps))
	makespan := 0.0
	for _, s := range byRank(g) {
		ready := 0.0
		for _, d := range g.Steps[s].Deps {
			ready = max(ready, ends[d])
		}
		var best interval
		slot, at := -1, 0
		for i, speed := range speeds {
			in, place := gap(taken[i], ready, g.Steps[s].Cost/speed)
			if slot < 0 || in.end < best.end {
				best, slot, at = in, i, place
			}
		}
		taken[slot] = slices.Insert(taken[slot], at, best)
		ends[s] = best.end
		makespan = max(makespan, best.end)
	}
	return makespan
}

type interval struct{ begin, end float64 }

// gap is the first time from ready on in which a slot has nothing else to do for
// so long, and its place among the intervals.
func gap(taken []interval, ready, takes float64) (interval, int) {
	at, _ := slices.BinarySearchFunc(taken, ready, func(i interval, t float64) int { return cmp.Compare(i.end, t) })
	begin := ready
	for ; at < len(taken) && begin+takes > taken[at].begin; at++ {
		begin = max(begin, taken[at].end)
	}
	return interval{begin, begin + takes}, at
}

// byRank are the steps in the order of the costliest chain that begins with
// each.
func byRank(g *workload.Graph) []int {
	ranks, order := make([]float64, len(g.Steps)), make([]int, len(g.Steps))
	for i := len(g.Steps) - 1; i >= 0; i-- {
		order[i] = i
		ranks[i] += g.Steps[i].Cost
		for _, d := range g.Steps[i].Deps {
			ranks[d] = max(ranks[d], ranks[i])
		}
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(cmp.Compare(ranks[b], ranks[a]), cmp.Compare(a, b)) })
	return order
}
