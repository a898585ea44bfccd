package invocation

import (
	"testing"

	"github.com/buildnet/buildnet/node/event"
)

// A command that its client runs itself may end after the invocation has: by then
// nobody listens.
func TestNothingIsToldAfterTheEnd(t *testing.T) {
	var heard []event.Event
	told := &told{next: func(e event.Event) { heard = append(heard, e) }}
	told.emit(event.Notice{Text: "first"})
	told.end(event.BuildFinished{})
	told.emit(event.StepFinished{Step: "late"})
	if _, last := heard[len(heard)-1].(event.BuildFinished); len(heard) != 2 || !last {
		t.Errorf("%+v", heard)
	}
}
