package build

import (
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
)

func TestEstimateIsTheLongestChainOrAllWork(t *testing.T) {
	step := func(id string, cost float64, deps ...action.StepID) action.Step {
		s := action.Step{ID: action.StepID(id), Cost: cost}
		for _, d := range deps {
			s.Deps = append(s.Deps, action.Dep{Step: d})
		}
		return s
	}
	steps := []action.Step{
		step("known", 100), step("a", 4, "known"), step("b", 6), step("c", 10, "a"), step("d", 20, "b"), step("unmeasured", 0),
	}
	done := map[action.StepID]*action.Result{"known": {}}
	members := []peer.Member{
		{State: peer.Alive, Caps: peer.Capabilities{BPU: 2, Cores: 2}},
		{State: peer.Alive, Caps: peer.Capabilities{BPU: 1, Cores: 1}},
		{State: peer.Failed, Caps: peer.Capabilities{BPU: 9, Cores: 9}},
	}
	e := newEstimate(steps, done, members)
	for _, tc := range []struct {
		finished action.StepID
		want     time.Duration
	}{
		{"unmeasured", 13 * time.Second}, // b, d on the fastest: 26/2
		{"b", 10 * time.Second},          // d: 20/2
		{"d", 7 * time.Second},           // a, c: 14/2
		{"a", 5 * time.Second},
		{"c", 0},
	} {
		if got := e.finished(tc.finished); got != tc.want {
			t.Errorf("after %s: %v, want %v", tc.finished, got, tc.want)
		}
	}
	wide := newEstimate([]action.Step{step("x", 5), step("y", 5), step("z", 5)}, nil, members[1:2])
	if got := wide.finished("x"); got != 10*time.Second {
		t.Errorf("two steps on one core: %v, want all the work", got)
	}
	if newEstimate([]action.Step{step("x", 0)}, nil, members) != nil {
		t.Error("an estimate of what was never measured")
	}
}
