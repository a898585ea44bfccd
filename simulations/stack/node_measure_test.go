package stack

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
)

// measured are delays of one kind.
type measured []time.Duration

func (m measured) String() string {
	if len(m) == 0 {
		return "none"
	}
	slices.Sort(m)
	at := func(share float64) time.Duration {
		return m[int(share*float64(len(m)-1))].Round(10 * time.Microsecond)
	}
	return fmt.Sprintf("%d: least %v, median %v, p90 %v, most %v", len(m), at(0), at(0.5), at(0.9), at(1))
}

// TestMeasureBuild says what the waits of a build are beside its executions,
// in virtual time: round trips and timers, but neither processors nor disks.
func TestMeasureBuild(t *testing.T) {
	if !*measure {
		t.Skip("takes minutes; -measure runs it")
	}
	var elected, begun, announced, idle, told, succeeded, resumed measured
	for run := range *measureRuns {
		p := NewProject(t, large)
		Run(t, Options{Net: office(*stackNodes), BPU: weakInitiator}, func(t *testing.T, f *Fleet) {
			f.StartAll()
			f.Pass(settled + time.Duration(run)*time.Second)
			b := f.Machine(0).Build(t.Context(), p.Root)
			if s, err := b.Wait(); err != nil || !s.OK {
				t.Fatalf("%+v, %v", s, err)
			}
			events := b.Events()
			reign := Leaders(events)[0]
			elected = append(elected, reign.At.Sub(b.Asked))
			begun = append(begun, f.Executions()[0].Began.Sub(reign.At))
			ended, began := map[string]time.Time{}, map[string]time.Time{}
			for _, e := range f.Executions() {
				ended[e.Step], began[e.Step] = e.Ended, e.Began
			}
			for _, e := range events {
				switch x := e.Event.(type) {
				case event.StepFinished:
					announced = append(announced, e.At.Sub(ended[x.Step]))
				case event.StepStarted:
					told = append(told, e.At.Sub(began[x.Step]))
				}
			}
			idle = append(idle, waits(f, p)...)
		})
		p = NewProject(t, small)
		Run(t, Options{Net: office(*stackNodes), BPU: weakInitiator}, func(t *testing.T, f *Fleet) {
			b, leader := midway(t, f, p)
			leader.Host.Off()
			cut := time.Now()
			if s, err := b.Wait(); err != nil || !s.OK {
				t.Fatalf("%+v, %v", s, err)
			}
			next := Leaders(b.Events())[1].At
			succeeded = append(succeeded, next.Sub(cut))
			for _, e := range f.Executions() {
				if e.Began.After(next) {
					resumed = append(resumed, e.Began.Sub(cut))
					break
				}
			}
		})
	}
	t.Logf("from asking to the election: %v", elected)
	t.Logf("from the election to the first step: %v", begun)
	t.Logf("from an execution's begin to its word: %v", told)
	t.Logf("from an execution's end to its announcement: %v", announced)
	t.Logf("from the last input's end to a step's begin: %v", idle)
	t.Logf("from the loss of the leader's host to the next election: %v", succeeded)
	t.Logf("from the loss of the leader's host to the next step: %v", resumed)
}

// waits are how long steps waited after the last of their inputs was made.
func waits(f *Fleet, p *Project) measured {
	runs := completions(f)
	var all measured
	for _, s := range p.Steps {
		var ready time.Time
		for _, d := range s.Deps {
			if e := runs[p.Steps[d].ID][0].Ended; e.After(ready) {
				ready = e
			}
		}
		if !ready.IsZero() {
			all = append(all, runs[s.ID][0].Began.Sub(ready))
		}
	}
	return all
}
