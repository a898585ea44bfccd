package build

import (
	"runtime"

	"github.com/buildnet/buildnet/node/profile"
	"github.com/buildnet/buildnet/sched/action"
)

const (
	// heavy is how many bytes a step may read for each BPU-second that it takes,
	// before it had better stay with its sources: on a line of 100 Mbit/s they
	// move in a twelfth of that time.
	heavy = 1 << 20
	// unknownCost stands for that of a step that nobody has measured, in
	// BPU-seconds.
	unknownCost = 1
)

// stay keeps steps here that read much for what they compute, while this machine
// takes work. What the steps before make counts as far as it is known, sources
// only where no earlier step has brought them.
func (r *run) stay() {
	if r.profile.Network != profile.MinimizeTransfer {
		return
	}
	steps := r.graph.Steps()
	makes := make(map[action.StepID]int64, len(steps))
	for i := range steps {
		s := &steps[i]
		makes[s.ID] = s.OutputBytes
		reads := r.sizes[i].fresh
		for _, d := range s.Deps {
			reads += makes[d.Step]
		}
		cost := s.Cost
		if cost <= 0 {
			cost = unknownCost
		}
		if s.Reach == action.Anywhere && ofThisMachine(s) && float64(reads) > heavy*cost {
			r.graph.Restrict(i, action.InitiatorFirst)
		}
	}
}

func ofThisMachine(s *action.Step) bool {
	os, _ := s.Property(action.PropertyOS)
	arch, _ := s.Property(action.PropertyArch)
	return os == runtime.GOOS && arch == runtime.GOARCH
}
