package simulations

import (
	"slices"

	"github.com/buildnet/buildnet/simulations/fault"
	"github.com/buildnet/buildnet/simulations/trace"
)

// target is the node that a fault is of, or nil if there is nobody of that
// role now.
func (w *World) target(t fault.Target) *node {
	if t.Role == fault.Node {
		return w.nodes[t.Node]
	}
	b := w.builds[t.Build]
	switch t.Role {
	case fault.Initiator:
		return w.nodes[b.spec.Initiator]
	case fault.Leader:
		if b.leads() {
			return b.leader.n
		}
	case fault.Standby:
		return b.standby(0)
	case fault.SecondStandby:
		return b.standby(1)
	case fault.Worker:
		return b.worker()
	case fault.Holder:
		return b.holder()
	}
	return nil
}

// leads reports whether somebody leads the build.
func (b *build) leads() bool { return b.leader != nil && !b.leader.over && b.leader.n.alive }

func (b *build) standby(at int) *node {
	if at >= len(b.standbys) {
		return nil
	}
	return b.w.nodes[b.standbys[at]]
}

// worker is the one that has most running, and no other part in the build.
func (b *build) worker() *node {
	running := map[int]int{}
	var workers []int
	for _, n := range b.w.nodes {
		if !n.alive || n.place == b.spec.Initiator || b.leads() && n == b.leader.n || slices.Contains(b.standbys, n.place) {
			continue
		}
		for _, j := range n.running {
			if j.p.b == b {
				running[n.place]++
			}
		}
		workers = append(workers, n.place)
	}
	if len(workers) == 0 {
		return nil
	}
	return b.w.nodes[slices.MaxFunc(workers, func(x, y int) int {
		if running[x] != running[y] {
			return running[x] - running[y]
		}
		return y - x
	})]
}

// holder is the only one, besides the initiator, that has what was made last.
func (b *build) holder() *node {
	if b.maker == trace.None || b.made == nil {
		return nil
	}
	only := -1
	for _, h := range b.made.holders {
		if n := b.w.nodes[h]; n.alive && n.place != b.spec.Initiator {
			if only >= 0 {
				return nil
			}
			only = n.place
		}
	}
	if only < 0 {
		return nil
	}
	return b.w.nodes[only]
}
