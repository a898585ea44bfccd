package steal

import (
	"testing"
	"time"

	"github.com/buildnet/buildnet/sched/action"
)

func TestAWorkerLacksTheRootThatAStepAsksFor(t *testing.T) {
	step := func(id action.StepID, platform ...action.Property) action.Step {
		return action.Step{
			ID: id, Argv: []string{"true"}, Inputs: digestOf("inputs"), Platform: platform, Timeout: time.Minute,
			Reach: action.Anywhere, Sharing: action.Shared,
		}
	}
	g, err := action.NewGraph([]action.Step{
		step("plain"),
		step("absolute", action.Property{Name: action.PropertyRoot, Value: action.RootAbsolute}),
		step("other", action.Property{Name: action.PropertyRoot, Value: "other"}),
	})
	if err != nil {
		t.Fatal(err)
	}
	d := newDemands(g.Steps())
	for i, want := range []struct{ reduced, full string }{
		{"", ""}, {"root=absolute", ""}, {"root=other", "root=other"},
	} {
		n := d.needs[d.needOf[i]]
		expect(t, "a worker of reduced isolation lacks", n.lacks(&Join{}), want.reduced)
		expect(t, "one of full isolation lacks", n.lacks(&Join{Absolute: true}), want.full)
	}
}
