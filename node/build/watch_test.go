package build

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/buildnet/buildnet/node/event"
)

func TestStepsAreAsFarAsTheySayElseAsTheirTimeIs(t *testing.T) {
	var said []event.Event
	w := newWatched("b", func(e event.Event) { said = append(said, e) })
	start := time.Unix(1000, 0)
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	progress := func(step string, percent int, by event.Measure, elapsed, expected int64) event.Event {
		return event.TaskProgress{Build: "b", Step: step, Peer: "p", Percent: percent, By: by, ElapsedMS: elapsed, ExpectedMS: expected}
	}
	w.began("old", "p", 10*time.Second, start)
	w.began("unknown", "p", 0, start)
	w.began("telling", "p", 10*time.Second, start)
	w.began("young", "p", 10*time.Second, at(3.5))
	w.told("telling", "p", 70, at(2))
	w.told("telling", "another", 1, at(2))
	w.told("none", "p", 1, at(2))
	if diff := cmp.Diff([]event.Event{progress("telling", 70, event.Told, 2000, 10000)}, said); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]event.Event{progress("old", 40, event.Aged, 4000, 10000)}, w.aged(at(4))); diff != "" {
		t.Error(diff)
	}
	w.ended("young")
	if again := w.aged(at(4.01)); len(again) > 0 {
		t.Errorf("it says again %v", again)
	}
	if diff := cmp.Diff([]event.Event{progress("old", 99, event.Aged, 60000, 10000)}, w.aged(at(60))); diff != "" {
		t.Error(diff)
	}
	for i := range 2 * maxSaid {
		w.began(fmt.Sprintf("%04d", i), "p", time.Minute, at(60))
	}
	if n := len(w.aged(at(70))); n != maxSaid-1 { // of the old one there is nothing new
		t.Errorf("%d events at once", n)
	}
}
