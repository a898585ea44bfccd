package steal

import (
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

// worthWaiting is how many times as long as a step waits for the owners of its
// result it has to take for that to be no loss.
const worthWaiting = 32

// Resolve asks for a step to be made into an action. Unless Fresh, a known
// result is as good as an execution.
type Resolve struct {
	Step Step
	// Of is the step; nobody changes it.
	Of      *action.Step
	Attempt uint64
	Fresh   bool
	// Patience is how long the step may wait for the owners of its result where
	// they are far; 0 is as long as it takes. Who goes ahead of them answers twice:
	// when the execution may begin, and when the result is found.
	Patience time.Duration
	// Results are those of the step's dependencies, and Holders who has them.
	Results map[action.StepID]*action.Result
	Holders []peer.ID
}

// Resolved answers a Resolve.
type Resolved struct {
	Step    Step
	Attempt uint64
	Action  digest.Digest
	// Found is a result to take instead of an execution; Holders have it.
	Found   *action.Entry
	Holders []peer.ID
	// Known is the result that a Fresh resolve did not take.
	Known *action.Entry
	// Claimed says that others wait for this build's result.
	Claimed bool
	// Failure is set if there is no action.
	Failure *Failure
	// Invalid says that the failure is of the step itself and final.
	Invalid bool
}

// resolve starts on ready steps while there is use for them.
func (l *Leader) resolve() {
	if len(l.ready) == 0 {
		return
	}
	window := minQueued
	for _, m := range l.order {
		if j := m.join; j != nil {
			window += 2 * min(j.Slots, MaxWant)
		}
	}
	waiting := 0
	for _, q := range l.queued {
		waiting += len(q)
	}
	enough := func() bool { return len(l.resolving) >= maxResolving || len(l.resolving)+waiting >= window }
	if enough() {
		return
	}
	// What is done with a step changes l.ready, so that it is walked as it was.
	first := slices.Clone(l.ready[max(0, len(l.ready)-maxResolving-window):])
	for _, s := range slices.Backward(first) {
		t := &l.tasks[s]
		if enough() {
			return
		}
		if l.stopping || t.phase != Ready || l.now.Before(t.notBefore) || t.lacking && !l.inputsSecured(s) || l.risky(s) {
			continue
		}
		if lack := l.impossible(l.needOf[s]); lack != "" {
			l.giveUp(s, lack)
			continue
		}
		if l.record.Steps[s].Lost >= MaxLost {
			l.giveUp(s, killer(l.record.Steps[s].Lost))
			continue
		}
		l.move(s, Resolving)
		t.attempt++
		results, holders := l.inputs(s)
		l.out.Resolves = append(l.out.Resolves, Resolve{
			Step: s, Of: l.step(s), Attempt: t.attempt, Fresh: t.fresh || l.opts.Plan.Modes.Force, Results: results, Holders: holders,
			Patience: l.patience(s),
		})
	}
}

// patience is how long a step may wait to hear whether its result is known or being
// made: what is made of something that this build has just made is known to nobody
// most of the time. 0 is as long as it takes.
func (l *Leader) patience(s Step) time.Duration {
	work, _ := l.expect(s)
	if work <= 0 || !slices.ContainsFunc(l.deps.below[s], l.made) {
		return 0
	}
	return max(runTime(work, max(l.fastest, l.initiator.bpu()))/worthWaiting, 1)
}

// made reports whether the step was executed in this build.
func (l *Leader) made(s Step) bool {
	d := l.record.Steps[s].Done
	return d != nil && d.How == Executed
}

func (l *Leader) inputsSecured(s Step) bool {
	return !slices.ContainsFunc(l.deps.below[s], func(on Step) bool { return !l.record.Steps[on].Secured })
}

// inputs returns what s depends on, and who has it.
func (l *Leader) inputs(s Step) (map[action.StepID]*action.Result, []peer.ID) {
	results := make(map[action.StepID]*action.Result, len(l.deps.below[s]))
	for _, on := range l.deps.below[s] {
		results[l.step(on).ID] = l.record.Steps[on].Result
	}
	return results, l.holders(s)
}

func (l *Leader) holders(s Step) []peer.ID {
	holders := []peer.ID{l.opts.Initiator}
	add := func(id peer.ID) {
		if len(holders) < maxHolders && !slices.Contains(holders, id) {
			holders = append(holders, id)
		}
	}
	add(l.opts.Self)
	for _, on := range l.deps.below[s] {
		if d := l.record.Steps[on].Done; d != nil {
			for _, id := range d.Holders {
				add(id)
			}
		}
	}
	return holders
}

// resolved goes on with a step that has become an action.
func (l *Leader) resolved(r Resolved) {
	if r.Step < 0 || int(r.Step) >= len(l.tasks) {
		return
	}
	t := &l.tasks[r.Step]
	if t.phase != Resolving || t.attempt != r.Attempt {
		l.belated(t, r)
		return
	}
	l.reclaim(t, r.Action, r.Claimed)
	t.known = r.Known
	switch {
	case r.Failure != nil && r.Invalid:
		l.giveUp(r.Step, r.Failure.Text)
	case r.Failure != nil:
		l.tried(r.Step, "", *r.Failure)
	case l.adopt(r.Step):
	case r.Found != nil && l.step(r.Step).Fits(&r.Found.Result) == nil:
		l.complete(r.Step, Done{Entry: *r.Found, Peer: r.Found.Executor, How: Found, Holders: r.Holders})
	default:
		l.move(r.Step, Queued)
	}
}

// belated takes the claim of an attempt that was given up: the one that goes on
// may have claimed the same action, which is one claim. And it takes the result of
// a step that was begun before that was found.
func (l *Leader) belated(t *task, r Resolved) {
	open := (t.phase == Queued || t.phase == Assigned) && t.action == r.Action
	switch {
	case open && !t.fresh && r.Found != nil && l.step(r.Step).Fits(&r.Found.Result) == nil:
		l.withdraw(r.Step, "")
		l.complete(r.Step, Done{Entry: *r.Found, Peer: r.Found.Executor, How: Found, Holders: r.Holders})
	case !r.Claimed || open:
	case t.phase == Resolving:
		l.reclaim(t, r.Action, true)
	default:
		l.out.Releases = append(l.out.Releases, r.Action)
	}
}

// reclaim notes what a step claims, and lets go of what it claimed before.
func (l *Leader) reclaim(t *task, a digest.Digest, claimed bool) {
	if t.claimed && t.action != a {
		l.out.Releases = append(l.out.Releases, t.action)
	}
	t.action, t.claimed = a, claimed
}
