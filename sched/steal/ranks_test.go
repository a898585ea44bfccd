package steal

import (
	"slices"
	"testing"
	"time"

	"github.com/buildnet/buildnet/sched/action"
)

// Of two steps the one that more work waits for goes first, wherever that is.
func TestARankIsWhatWaitsForAStep(t *testing.T) {
	w := newWorld(t, opened(1))
	var steps []action.Step
	for i := range 40 {
		steps = append(steps, w.flat(i, func(s *action.Step) { s.Cost, s.Rank = 1, float64(i) }))
	}
	d := newDeps(w.plan.Graph)
	d.grow(steps, 0)
	for i := range steps {
		if want := 1 + float64(i); d.rank[i] != want {
			t.Errorf("step %d has rank %v, want %v", i, d.rank[i], want)
		}
	}
	g, err := action.NewGraph(steps)
	if err != nil {
		t.Fatal(err)
	}
	if all := newDeps(g); !slices.Equal(all.rank, d.rank) || !slices.Equal(all.cost, d.cost) {
		t.Error("added one by one they have other ranks")
	}
}

// A step that is believed to take a little less than all that come after it has its
// turn while they still come.
func TestNoStepWaitsForAsLongAsOthersCome(t *testing.T) {
	const n, waiting = 120, 4
	s := opened(n)
	s.peers, s.candidates, s.slots, s.run = 1, nil, 1, 100*time.Millisecond
	w := newWorld(t, s)
	for i := range w.steps {
		w.steps[i].Cost = 1.2
	}
	w.steps[0].Cost = 1
	w.add(0, waiting)
	for i := waiting; i < n; i++ {
		w.untilAnnounced(i - waiting + 1)
		w.add(i, 1)
	}
	if w.ledger.announced[0] == nil {
		t.Errorf("the first step waits while %d others were executed", len(w.ledger.announced))
	}
	w.shut()
	w.finish()
	w.all()
}
