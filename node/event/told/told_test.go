package told

import (
	"testing"

	"github.com/buildnet/buildnet/node/event"
)

// A command that its client runs itself may end after the invocation has: by then
// nobody listens.
func TestNothingIsToldAfterTheEnd(t *testing.T) {
	var heard []event.Event
	told := New(func(e event.Event) { heard = append(heard, e) })
	told.Emit(event.Notice{Text: "first"})
	told.End(event.BuildFinished{})
	told.Emit(event.StepFinished{Step: "late"})
	if _, last := heard[len(heard)-1].(event.BuildFinished); len(heard) != 2 || !last {
		t.Errorf("%+v", heard)
	}
}
