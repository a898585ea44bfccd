package sched_test

import (
	"slices"
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched"
	"github.com/buildnet/buildnet/sched/steal"
)

// onlooker is a diary of somebody who watches.
type onlooker struct {
	*diary
	seen []steal.Event
}

func (o *onlooker) Watched(e *steal.Event) { o.seen = append(o.seen, *e) }

func (o *onlooker) of(k steal.EventKind) (events []steal.Event) {
	for _, e := range o.seen {
		if e.Kind == k {
			events = append(events, e)
		}
	}
	return events
}

// TestWhoWatchesSeesWhereStepsAreAndHowFar has another member than the initiator
// lead, so that everything goes over the streams.
func TestWhoWatchesSeesWhereStepsAreAndHowFar(t *testing.T) {
	inWorld(t, 3, func(t *testing.T, w *world) {
		w.runTime = 8 * time.Second
		m := w.at(0)
		g := m.compile(8)
		o := &onlooker{diary: m.diary(g, 0)}
		if err := m.Build(t.Context(), sched.Build{ID: "b", Plan: m.plan(g, steal.Modes{}, w.ids(1, 2)...)}, o); err != nil {
			t.Fatal(err)
		}
		o.complete()
		where := map[steal.Step]peer.ID{}
		for _, e := range o.of(steal.Placed) {
			where[e.Step] = e.Peer
		}
		if len(where) != g.Len() {
			t.Errorf("%d of %d steps were seen in somebody's hands", len(where), g.Len())
		}
		half := o.of(steal.Advanced)
		if len(half) != g.Len() {
			t.Errorf("%d steps were seen half done, want %d", len(half), g.Len())
		}
		for _, e := range half {
			if e.Percent != 50 || e.Peer != where[e.Step] {
				t.Errorf("%+v is not what step %d says on %s", e, e.Step, where[e.Step])
			}
		}
		for _, e := range o.of(steal.Made) {
			if o.finished[e.Step].Peer != e.Peer {
				t.Errorf("step %d was made by another than the diary says", e.Step)
			}
		}
		if n := len(o.of(steal.Made)); n != g.Len() {
			t.Errorf("%d steps were made", n)
		}
		busy := map[peer.ID]bool{}
		for _, e := range o.of(steal.Stated) {
			s := e.Status
			if s.Busy > m.slots || s.Busy != len(s.Running) || s.Memory != 1<<20 || s.Share != 1 || s.Slots != m.slots {
				t.Errorf("%s says %+v", e.Peer.Short(), *s)
			}
			busy[e.Peer] = busy[e.Peer] || s.Busy > 0
		}
		if len(busy) != 3 || slices.Contains([]bool{busy[w.at(0).id], busy[w.at(1).id], busy[w.at(2).id]}, false) {
			t.Errorf("who was seen at work: %v", busy)
		}
	})
}
