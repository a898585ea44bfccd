package replay

import (
	"fmt"
	"slices"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/simulations/workload"
)

// graphOf is the graph of what was not known. What depended on a known step
// depends on what that one depended on, as far as that was not known. own has
// the seconds of steps that are not as long as they took.
func graphOf(rec *event.Recording, own map[int]float64, bpu []float64) (*workload.Graph, error) {
	g := &workload.Graph{}
	// stands has for each step what a step that depends on it has to wait for.
	stands := make([][]int, len(rec.Steps))
	for i := range rec.Steps {
		s := &rec.Steps[i]
		var deps []int
		for _, on := range s.Deps {
			if on < 0 || on >= i {
				return nil, fmt.Errorf("replay build %s: step %q depends on step %d, which is not before it", rec.Build, s.Name, on)
			}
			deps = append(deps, stands[on]...)
		}
		slices.Sort(deps)
		deps = slices.Compact(deps)
		if known(s.Status) {
			stands[i] = deps
			continue
		}
		seconds, other := own[i]
		if !other {
			seconds = micros(s.RunUS).Seconds()
		}
		stands[i] = []int{len(g.Steps)}
		step := stepOf(rec, s, deps)
		if s.Peer >= 0 && s.Peer < len(bpu) {
			step.Cost = seconds * bpu[s.Peer]
		}
		g.Steps = append(g.Steps, step)
	}
	if len(g.Steps) == 0 {
		return nil, fmt.Errorf("replay build %s: it executed nothing", rec.Build)
	}
	return g, nil
}

// known results needed no execution.
func known(s event.Status) bool {
	return s == event.CachedLocal || s == event.CachedMesh || s == event.Skipped
}

func stepOf(rec *event.Recording, s *event.RecordedStep, deps []int) workload.Step {
	out := workload.Step{
		Name: s.Name, Content: rec.Build + "/" + s.Name, Deps: deps, Hint: s.Hint, Cost: s.Hint,
		// What several steps read travels to a peer once.
		InputBytes: s.FreshBytes, OutputBytes: s.OutputBytes, Here: s.Here,
	}
	if s.Status == event.Failed {
		out.Nature = workload.Failing
	}
	if s.Toolchain > 0 && s.Toolchain <= len(rec.Toolchains) {
		out.Toolchain = rec.Toolchains[s.Toolchain-1]
	}
	return out
}
