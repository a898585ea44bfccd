package steal

import (
	"slices"

	"github.com/buildnet/buildnet/sched/action"
)

// A leader that takes over may have a log from before a step was added that somebody
// has in its hands already, or has done. What it hears of such a step waits until the
// initiator has told it of that, which it does before it is followed: else the step
// would be given out anew.

// maxEarly bounds what waits so: a step or two for each slot of a large crew.
const maxEarly = 1 << 14

// early is what a member said of a step that its leader does not have yet: that it
// runs it, or msg.
type early struct {
	by  *member
	has Running
	msg Message
}

func (e *early) step() Step {
	if e.msg == nil {
		return e.has.Step
	}
	s, _ := stepOf(e.msg)
	return s
}

// hearsEarly keeps what is said of a step that may be added yet.
func (l *Leader) hearsEarly(e early) {
	if s := e.step(); l.mayGrow() && !l.following && int(s) >= len(l.tasks) && s < action.MaxSteps && len(l.early) < maxEarly {
		l.early = append(l.early, e)
	}
}

// forgetEarly drops what a member said on a stream before.
func (l *Leader) forgetEarly(m *member) {
	if len(l.early) > 0 {
		l.early = slices.DeleteFunc(l.early, func(e early) bool { return e.by == m })
	}
}

// takeEarly takes what was said of steps that have come.
func (l *Leader) takeEarly() {
	all := l.early
	l.early = nil
	for _, e := range all {
		switch {
		case int(e.step()) >= len(l.tasks):
			l.early = append(l.early, e)
		case e.by.link != Up:
		case e.msg != nil:
			l.take(e.by, e.msg)
		default:
			l.inHand(e.by, e.has)
		}
	}
}
