package steal

import (
	"testing"
	"time"

	"github.com/buildnet/buildnet/sched/action"
)

// demandsOf are those of steps with these platforms.
func demandsOf(platforms ...action.Property) demands {
	var steps []action.Step
	for _, p := range platforms {
		s := action.Step{
			ID: action.StepID(p.Name), Argv: []string{"true"}, Inputs: digestOf("inputs"), Timeout: time.Minute,
			Reach: action.Anywhere, Sharing: action.Shared,
		}
		if p.Name != "" {
			s.Platform = []action.Property{p}
		}
		steps = append(steps, s)
	}
	return newDemands(steps)
}

func TestAWorkerLacksTheRootThatAStepAsksFor(t *testing.T) {
	d := demandsOf(
		action.Property{},
		action.Property{Name: action.PropertyRoot, Value: action.RootAbsolute},
		action.Property{Name: action.PropertyRoot, Value: "other"},
	)
	for i, want := range []struct{ reduced, full string }{
		{"", ""}, {"root=absolute", ""}, {"root=other", "root=other"},
	} {
		n := d.needs[d.needOf[i]]
		expect(t, "a worker of reduced isolation lacks", n.lacks(&Join{}), want.reduced)
		expect(t, "one of full isolation lacks", n.lacks(&Join{Absolute: true}), want.full)
	}
}

func TestAnOlderWorkerLacksOptionalOutputsAndStreamsApart(t *testing.T) {
	d := demandsOf(
		action.Property{},
		action.Property{Name: action.PropertyOutputs, Value: action.OutputsOptional},
		action.Property{Name: action.PropertyOutputs, Value: "other"},
		action.Property{Name: action.PropertyStreams, Value: action.StreamsApart},
		action.Property{Name: action.PropertyStreams, Value: "other"},
	)
	for i, want := range []struct{ older, newer string }{
		{"", ""}, {"outputs=optional", ""}, {"outputs=other", "outputs=other"}, {"streams=apart", ""}, {"streams=other", "streams=other"},
	} {
		n := d.needs[d.needOf[i]]
		expect(t, "an older worker lacks", n.lacks(&Join{}), want.older)
		expect(t, "this one lacks", n.lacks(&Join{Optional: true}), want.newer)
	}
}
