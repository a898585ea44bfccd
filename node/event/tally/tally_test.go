package tally

import (
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
)

// What was not run when a build was interrupted is asked for again, or not wanted.
func TestCountingGoesOnWhereASummaryEnds(t *testing.T) {
	var last event.StepFinished
	first := New("b", "self", 3, func(e event.Event) { last, _ = e.(event.StepFinished) })
	first.Once(event.StepFinished{Step: "x", Status: event.Executed, Peer: "self"}, true, 0)
	first.Local("alone")
	sum := first.Sum()
	if sum.Steps != 3 || sum.NotRun != 2 || sum.Executed != 1 {
		t.Errorf("%+v", sum)
	}
	second := Resume("b", "self", sum, func(e event.Event) { last, _ = e.(event.StepFinished) })
	second.Resize(0, 1)
	second.Once(event.StepFinished{Step: "y", Status: event.CachedMesh}, false, time.Second)
	second.Local("alone")
	got := second.Sum()
	if got.Steps != 2 || got.NotRun != 0 || got.Executed != 1 || got.CachedMesh != 1 || got.SavedMS != 1000 || got.LocalReasons["alone"] != 2 || got.ByPeer["self"] != 1 {
		t.Errorf("%+v", got)
	}
	if last.Done != 2 || last.Steps != 2 {
		t.Errorf("%+v", last)
	}
	if sum.LocalReasons["alone"] != 1 {
		t.Errorf("the first one's summary changed: %+v", sum)
	}
}
