package makespan

import (
	"cmp"
	"slices"

	"github.com/buildnet/buildnet/simulations/workload"
)

// slots are the speeds of all slots, the fastest first.
func slots(on []workload.Machine) []float64 {
	var of []float64
	for _, m := range on {
		for range m.Slots {
			of = append(of, m.BPU)
		}
	}
	slices.SortFunc(of, func(a, b float64) int { return cmp.Compare(b, a) })
	return of
}

// Sharp is a lower bound in seconds that is never below workload.LowerBound.
// Any set of steps takes as long as its costliest k take on the k fastest slots,
// for each k (Horvath, Lam, Sethi, A Level Algorithm for Preemptive Scheduling,
// 1977, section 2), and so do k chains. Before the first of a set can begin
// there are all that it depends on, and behind the last all that depend on it,
// to which the same applies in turn.
func Sharp(g *workload.Graph, on []workload.Machine) float64 {
	b := &bounds{speeds: slots(on), costs: make([]float64, len(g.Steps)), byCost: make([]int, len(g.Steps))}
	below, above := make([][]int, len(g.Steps)), make([][]int, len(g.Steps))
	var forth, back []int
	for i := range g.Steps {
		b.costs[i], b.byCost[i] = g.Steps[i].Cost, i
		below[i] = g.Steps[i].Deps
		for _, d := range below[i] {
			above[d] = append(above[d], i)
		}
		forth, back = append(forth, i), append(back, len(g.Steps)-1-i)
	}
	slices.SortFunc(b.byCost, func(x, y int) int { return cmp.Or(cmp.Compare(b.costs[y], b.costs[x]), cmp.Compare(x, y)) })
	heads, tails := b.heads(forth, below), b.heads(back, above)
	bound := workload.LowerBound(g, on).Seconds()
	for i, c := range b.costs {
		bound = max(bound, heads[i]+c/b.speeds[0]+tails[i])
	}
	return max(bound, b.between(heads, tails), b.chains(below))
}

// chains is the bound by chains that have no step in common: of k of them no
// more than k steps can run at once, so that their work takes as long as it does
// on the k fastest slots. The costliest is taken out, then the costliest of what
// is left, and so on.
func (b *bounds) chains(below [][]int) float64 {
	bound, work, speed := 0.0, 0.0, 0.0
	taken := make([]bool, len(b.costs))
	for _, s := range b.speeds {
		work += b.costliest(below, taken)
		speed += s
		bound = max(bound, work/speed)
	}
	return bound
}

// costliest takes the costliest chain of what is not taken, and returns its
// cost.
func (b *bounds) costliest(below [][]int, taken []bool) float64 {
	ends, before := make([]float64, len(b.costs)), make([]int, len(b.costs))
	last := -1
	for i, c := range b.costs {
		if before[i] = -1; taken[i] {
			continue
		}
		for _, d := range below[i] {
			if !taken[d] && ends[d] > ends[i] {
				ends[i], before[i] = ends[d], d
			}
		}
		ends[i] += c
		if last < 0 || ends[i] > ends[last] {
			last = i
		}
	}
	if last < 0 {
		return 0
	}
	cost := ends[last]
	for ; last >= 0; last = before[last] {
		taken[last] = true
	}
	return cost
}

type bounds struct {
	speeds, costs []float64
	byCost        []int // the steps, the costliest first
}

// of is how long a set of steps takes at least.
func (b *bounds) of(in func(step int) bool) float64 {
	bound, work, speed, k := 0.0, 0.0, 0.0, 0
	for _, s := range b.byCost {
		if !in(s) {
			continue
		}
		work += b.costs[s]
		if k < len(b.speeds) {
			speed += b.speeds[k]
			bound = max(bound, work/speed)
		}
		k++
	}
	if k == 0 {
		return 0
	}
	return max(bound, work/speed)
}

// steps is a set of them, one bit each.
type steps []uint64

func (s steps) add(step int)      { s[step/64] |= 1 << (step % 64) }
func (s steps) has(step int) bool { return s[step/64]&(1<<(step%64)) != 0 }
func (s steps) addAll(other steps) {
	for i, bits := range other {
		s[i] |= bits
	}
}

// heads are the earliest begins of steps, in an order in which each comes after
// those that it waits for.
func (b *bounds) heads(order []int, waits [][]int) []float64 {
	heads := make([]float64, len(b.costs))
	before := make([]steps, len(b.costs))
	var byHead []int // those that are known, the last to begin first
	later := func(x, y int) int { return cmp.Or(cmp.Compare(heads[y], heads[x]), cmp.Compare(x, y)) }
	for _, i := range order {
		before[i] = make(steps, len(b.costs)/64+1)
		for _, d := range waits[i] {
			heads[i] = max(heads[i], heads[d]+b.costs[d]/b.speeds[0])
			before[i].add(d)
			before[i].addAll(before[d])
		}
		heads[i] = max(heads[i], b.lastOf(before[i], heads, byHead))
		at, _ := slices.BinarySearchFunc(byHead, i, later)
		byHead = slices.Insert(byHead, at, i)
	}
	return heads
}

// lastOf is when a set of steps with known heads is done: for some of the
// thresholds, that, and what those take that begin no earlier.
func (b *bounds) lastOf(before steps, heads []float64, byHead []int) float64 {
	var set []int
	places := make([]int, len(b.costs)) // in the set, from 1
	for _, s := range byHead {
		if before.has(s) {
			set = append(set, s)
			places[s] = len(set)
		}
	}
	last := 0.0
	for k := range set {
		if k+1 == len(set) || k < 64 && k%8 == 7 || k%128 == 0 {
			last = max(last, heads[set[k]]+b.of(func(s int) bool { return places[s] > 0 && places[s] <= k+1 }))
		}
	}
	return last
}

// thresholds of heads, and as many of tails, are tried.
const thresholds = 16

// between is the bound by the steps between some heads and tails.
func (b *bounds) between(heads, tails []float64) float64 {
	bound := 0.0
	first, last := slices.Sorted(slices.Values(heads)), slices.Sorted(slices.Values(tails))
	for h := range thresholds {
		for t := range thresholds {
			head, tail := first[h*(len(first)-1)/thresholds], last[t*(len(last)-1)/thresholds]
			if of := b.of(func(s int) bool { return heads[s] >= head && tails[s] >= tail }); of > 0 {
				bound = max(bound, head+tail+of)
			}
		}
	}
	return bound
}
