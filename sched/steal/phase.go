package steal

import (
	"fmt"
	"iter"
	"slices"

	"github.com/buildnet/buildnet/store/digest"
)

// Phase is where a step is in its leader's hands. It moves only along
//
//	Blocked -> Ready -> Resolving -> Queued -> Assigned -> Finished
//
// and back to Queued when its worker gave it back, back to Ready when an attempt
// came to nothing, back to Blocked when a result that it needs, or its own, was lost. Finished is reached from every
// phase, because another epoch's result may turn up; GivenUp from every other,
// and it is left for a result that the initiator has all the same.
type Phase uint8

const (
	// Blocked steps wait for a dependency.
	Blocked Phase = iota + 1
	// Ready steps have all that they depend on.
	Ready
	// Resolving steps are being made into an action.
	Resolving
	// Queued steps wait for a worker.
	Queued
	// Assigned steps are a worker's.
	Assigned
	// Finished steps have a result, good or bad.
	Finished
	// GivenUp steps never get one.
	GivenUp
)

var moves = map[Phase][]Phase{
	Blocked:   {Ready, Finished, GivenUp},
	Ready:     {Blocked, Resolving, Finished, GivenUp},
	Resolving: {Blocked, Ready, Queued, Assigned, Finished, GivenUp},
	Queued:    {Blocked, Ready, Assigned, Finished, GivenUp},
	Assigned:  {Blocked, Ready, Queued, Finished, GivenUp},
	Finished:  {Blocked},
	GivenUp:   {Blocked},
}

// To returns q if p may become q, and panics if not: no message of a peer can
// ask for it.
func (p Phase) To(q Phase) Phase {
	if !slices.Contains(moves[p], q) {
		panic(fmt.Sprintf("steal: phase %v cannot become %v", p, q))
	}
	return q
}

// String returns the phase in lower case.
func (p Phase) String() string {
	names := [...]string{"unset", "blocked", "ready", "resolving", "queued", "assigned", "finished", "given up"}
	if int(p) >= len(names) {
		return "unknown"
	}
	return names[p]
}

// Going yields the actions of the steps that wait for a worker or are in the hands
// of one: they may still be given to another.
func (l *Leader) Going() iter.Seq[digest.Digest] {
	return func(yield func(digest.Digest) bool) {
		for i := range l.tasks {
			if t := &l.tasks[i]; (t.phase == Queued || t.phase == Assigned) && !yield(t.action) {
				return
			}
		}
	}
}

// Needed yields the results of steps that the build needs yet: those that the initiator
// has not got, and those that steps read which have none. A build that is over needs
// nothing.
func (l *Leader) Needed() iter.Seq2[Step, *Done] {
	return func(yield func(Step, *Done) bool) {
		if l.record.Ended {
			return
		}
		for i := range l.record.Steps {
			r := &l.record.Steps[i]
			if r.Done != nil && (!r.Secured || r.OK() && l.awaited(Step(i))) && !yield(Step(i), r.Done) {
				return
			}
		}
	}
}

// awaited reports whether a step that is not done reads what s makes.
func (l *Leader) awaited(s Step) bool {
	return slices.ContainsFunc(l.deps.above[s], func(a Step) bool { return l.record.Steps[a].open() })
}
