package sched_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/sched"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
)

// A step that nothing waits for becomes an action at once, and is given to nobody
// before the rest of a build that makes more of them than its leader keeps.
func TestAStepThatWaitsLongIsStillMadeOfWhatItsLeaderHas(t *testing.T) {
	const chains, length, large = 6, 100, 60 << 10
	inWorld(t, 1, func(t *testing.T, w *world) {
		m := w.at(0)
		steps := m.compile(1).Steps()[:1]
		model := steps[0]
		steps = nil
		for c := range chains {
			for i := range length {
				s := model
				name := fmt.Sprintf("c%d.%d", c, i)
				s.ID, s.Outputs, s.Argv = action.StepID(name), []string{name}, []string{"cc", name, strings.Repeat("x", large)}
				if i > 0 {
					s.Deps = []action.Dep{{Step: steps[len(steps)-1].ID}}
				}
				steps = append(steps, s)
			}
		}
		last := model
		last.ID, last.Outputs, last.Argv = "last", []string{"last"}, []string{"cc", "last"}
		g, err := action.NewGraph(append(steps, last))
		if err != nil {
			t.Fatal(err)
		}
		d := m.diary(g, 0)
		if err := m.Build(t.Context(), sched.Build{ID: "b", Plan: m.plan(g, steal.Modes{})}, d); err != nil {
			t.Fatal(err)
		}
		d.complete()
		if got := w.runs[len(w.runs)-1].job.Step; got != last.ID {
			t.Errorf("%s runs last, it proves nothing", got)
		}
		if m.lacked > 0 {
			t.Errorf("%d times somebody got a step of which nobody had the action", m.lacked)
		}
	})
}
