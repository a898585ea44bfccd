package workload

import "time"

// Machine is one that could run steps.
type Machine struct {
	BPU   float64 // of one core
	Slots int
}

// LowerBound is a time in which nobody could build g on these machines: the
// longest chain on the fastest core, or all work on all cores, whichever is
// more (Graham, Bounds on Multiprocessing Timing Anomalies, 1969, section 2).
// It is 0 if no machine runs anything.
func LowerBound(g *Graph, on []Machine) time.Duration {
	fastest, power := 0.0, 0.0
	for _, m := range on {
		if m.Slots > 0 {
			fastest = max(fastest, m.BPU)
			power += m.BPU * float64(m.Slots)
		}
	}
	if fastest <= 0 {
		return 0
	}
	return time.Duration(max(g.CriticalPath()/fastest, g.Work()/power) * float64(time.Second))
}

// CriticalPath is the cost of the costliest chain of steps, in BPU-seconds.
func (g *Graph) CriticalPath() float64 {
	longest := 0.0
	ends := make([]float64, len(g.Steps))
	for i := range g.Steps {
		for _, on := range g.Steps[i].Deps {
			ends[i] = max(ends[i], ends[on])
		}
		ends[i] += g.Steps[i].Cost
		longest = max(longest, ends[i])
	}
	return longest
}

// Depth is how many steps the longest chain has.
func (g *Graph) Depth() int {
	deepest := 0
	depths := make([]int, len(g.Steps))
	for i := range g.Steps {
		for _, on := range g.Steps[i].Deps {
			depths[i] = max(depths[i], depths[on])
		}
		depths[i]++
		deepest = max(deepest, depths[i])
	}
	return deepest
}

// Work is the cost of all steps, in BPU-seconds.
func (g *Graph) Work() float64 {
	sum := 0.0
	for i := range g.Steps {
		sum += g.Steps[i].Cost
	}
	return sum
}
