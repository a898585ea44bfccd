package queue_test

import (
	"context"
	"errors"
	"testing"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/queue"
	"github.com/buildnet/buildnet/sched"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
)

// full takes no more builds.
type full struct{ asked int }

var errFull = errors.New("this node leads enough")

func (f *full) Open(context.Context, sched.Build, sched.Observer) (*sched.Session, error) {
	f.asked++
	return nil, errFull
}

// Whoever waits for a step hears that no build began, and may ask for another one.
func TestABuildThatDoesNotBeginIsOver(t *testing.T) {
	var told []event.Event
	f := &full{}
	q := queue.New(t.Context(), queue.Options{
		Build: "b", Scheduler: f, Settle: func(context.Context) string { return "nobody answers" },
		Emit: func(e event.Event) { told = append(told, e) }, Speed: func(peer.ID) float64 { return 1 },
		Led:    func(peer.ID, uint64) {},
		Secure: func(context.Context, action.StepID, *steal.Done) error { return nil },
	})
	for range 2 {
		_, err := q.Run(t.Context(), action.Step{ID: "s"}, nil)
		if !errors.Is(err, queue.ErrNoResult) || !errors.Is(err, queue.ErrOver) || !errors.Is(err, errFull) {
			t.Errorf("run: %v", err)
		}
	}
	if n, ok := told[0].(event.Notice); f.asked != 1 || len(told) != 1 || !ok || n.Text != "nobody answers" {
		t.Errorf("asked %d times, told %v", f.asked, told)
	}
	q.Close(t.Context())
	q.Wait()
}
