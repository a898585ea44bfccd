package workload

import (
	"fmt"
	"math"

	"github.com/buildnet/buildnet/sched/action"
)

// Validate says what is wrong with a graph that somebody wrote down.
func (g *Graph) Validate() error {
	if len(g.Steps) == 0 {
		return fmt.Errorf("graph: it has no steps; a build needs at least one")
	}
	if len(g.Steps) > action.MaxSteps {
		return fmt.Errorf("graph: %d steps, the limit is %d", len(g.Steps), action.MaxSteps)
	}
	names, contents := map[string]int{}, map[string]int{}
	for i := range g.Steps {
		s := &g.Steps[i]
		if err := s.validate(i); err != nil {
			return fmt.Errorf("step %d %q: %w", i, s.Name, err)
		}
		if other, twice := names[s.Name]; twice {
			return fmt.Errorf("steps %d and %d are both called %q", other, i, s.Name)
		}
		if other, twice := contents[s.Content]; twice {
			return fmt.Errorf("steps %q and %q have the same content; they would be one action in one build", g.Steps[other].Name, s.Name)
		}
		names[s.Name], contents[s.Content] = i, i
	}
	return nil
}

func (s *Step) validate(at int) error {
	for k, on := range s.Deps {
		if on < 0 || on >= at {
			return fmt.Errorf("it depends on step %d, which is not before it", on)
		}
		if k > 0 && s.Deps[k-1] >= on {
			return fmt.Errorf("what it depends on is not ascending: %v", s.Deps)
		}
	}
	switch {
	case s.Name == "":
		return fmt.Errorf("it has no name")
	case s.Content == "":
		return fmt.Errorf("it has no content; its name will do")
	case !(s.Cost >= 0) || math.IsInf(s.Cost, 0):
		return fmt.Errorf("cost %v; it is in BPU-seconds, and 0 or more", s.Cost)
	case !(s.Hint >= 0) || math.IsInf(s.Hint, 0):
		return fmt.Errorf("hint %v; it is in BPU-seconds, and 0 if nothing is known", s.Hint)
	case s.InputBytes < 0 || s.OutputBytes < 0:
		return fmt.Errorf("%d and %d bytes; sizes are 0 or more", s.InputBytes, s.OutputBytes)
	case s.Nature > Losing:
		return fmt.Errorf("nature %d is none", s.Nature)
	}
	return nil
}
