package steal

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

// Limits of what is done for a step.
const (
	// MaxTries is how often the machinery around a step may fail on any member;
	// the last try is the initiator's.
	MaxTries = 5
	// MaxLost is how many workers may be lost with a step before it is taken to
	// be what kills them.
	MaxLost = 4
	// firstBackoff doubles with each try.
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 5 * time.Second
	// maxResolving bounds the steps that are made into actions at once: each is
	// some reads of the store and a question to another member.
	maxResolving = 32
	// minQueued is how many resolved steps wait for workers at least; claims on
	// more would hold up other builds.
	minQueued = 16
	// maxHolders bounds the names that travel with an assignment.
	maxHolders = 16
)

// task is what a leader keeps of a step beside the record.
type task struct {
	phase   Phase
	missing int // dependencies without a good result
	attempt uint64
	action  digest.Digest
	known   *action.Entry
	claimed bool
	// fresh says that the known result is of no use: its outputs are lost.
	fresh bool
	// lacking says that an input was missing: the step waits until the
	// initiator has all that it depends on.
	lacking   bool
	notBefore time.Time
	askedAt   time.Time // what action it is, last
	startedAt time.Time // zero before it runs
	worker    peer.ID
	givenAt   time.Time // to whoever got it last
	// backup has it as well; it is empty most of the time. stake is what may be
	// in vain of that, in BPU-seconds.
	backup   peer.ID
	backedAt time.Time // when the backup began to run it, like startedAt
	stake    float64
	trial    bool // the backup of a step that nobody has measured
	recalled bool // its worker was asked for it, unless it runs it
	// meant is for whom that was, until it is known what came of it.
	meant *member
	// wasLate says that it was asked for once: that it is late again says as much of
	// whoever else had it.
	wasLate bool
	// avoid are the members on which it went wrong.
	avoid []peer.ID
	// suspects are those of whom it is not clear yet whether it was they.
	suspects []peer.ID
	// What this leader was told of attempts that are not its own, until it is
	// clear whether they are of the right action.
	orphan *orphan
	hold   Running
	heldBy peer.ID
	inputs
	choice choice
	debt   debt
}

func (l *Leader) step(s Step) *action.Step { return &l.record.steps[s] }

func insert(list []Step, s Step, order func(a, b Step) int) []Step {
	at, _ := slices.BinarySearchFunc(list, s, order)
	return slices.Insert(list, at, s)
}

func remove(list []Step, s Step, order func(a, b Step) int) []Step {
	at, ok := slices.BinarySearchFunc(list, s, order)
	if !ok {
		panic(fmt.Sprintf("steal: step %d is not where its phase says", s))
	}
	return slices.Delete(list, at, at+1)
}

// move changes a step's phase and keeps the lists and counts of the leader.
func (l *Leader) move(s Step, to Phase) {
	t := &l.tasks[s]
	switch t.phase {
	case Ready:
		l.ready = remove(l.ready, s, l.deps.reversed)
	case Resolving:
		l.resolving = slices.DeleteFunc(l.resolving, func(o Step) bool { return o == s })
	case Queued:
		l.queued[l.needOf[s]] = remove(l.queued[l.needOf[s]], s, l.deps.order)
	case Assigned:
		l.assigned--
		l.emptyHands(s)
	}
	t.phase = t.phase.To(to)
	if to != Queued {
		t.unmean()
	}
	switch to {
	case Ready:
		l.ready = insert(l.ready, s, l.deps.reversed)
	case Resolving:
		l.resolving, t.askedAt = append(l.resolving, s), l.now
	case Queued:
		t.shares = nil
		l.queued[l.needOf[s]] = insert(l.queued[l.needOf[s]], s, l.deps.order)
	case Assigned:
		l.assigned++
	}
}

func (l *Leader) unblock(s Step) {
	if t := &l.tasks[s]; t.phase == Blocked && t.missing == 0 {
		l.move(s, Ready)
	}
}

// schedule hands out what there is to do.
func (l *Leader) schedule() {
	// Nothing is begun before the initiator has said what it knows: it may have
	// announced what the log lacks.
	if l.stopping || !l.following {
		return
	}
	l.resolve()
	if !l.hearUntil.IsZero() {
		return
	}
	for n := range l.queued {
		l.assignQueue(n)
	}
	l.callBack()
	l.spare()
}

// complete logs a result.
func (l *Leader) complete(s Step, d Done) {
	t := &l.tasks[s]
	before := l.record.Steps[s].Before
	ok := d.Entry.Result.OK()
	l.settle(s)
	l.judgeStep(s, &d)
	l.move(s, Finished)
	if ok && before != nil && !sameOutputs(&before.Entry.Result, &d.Entry.Result) {
		// First, so that nobody who has the log in parts takes them for made of d.
		for _, a := range l.deps.above[s] {
			l.outdate(a)
		}
	}
	l.append(Op{Kind: OpDone, Step: s, Done: &d})
	l.owe(s)
	l.unsecured++
	switch {
	case d.How == Executed && ok && l.step(s).Sharing == action.Shared:
		l.out.Publishes = append(l.out.Publishes, Publish{Entry: d.Entry})
	case t.claimed:
		l.out.Releases = append(l.out.Releases, t.action)
	}
	t.claimed, t.lacking = false, false
	if !ok {
		l.stopping = l.stopping || !l.opts.Plan.keepsGoing()
		l.bury(s)
		return
	}
	for _, a := range l.deps.above[s] {
		l.tasks[a].missing--
		l.unblock(a)
	}
}

// outdate takes back what was made, or is being made, of an input that has
// come out otherwise in a second run. Nothing that was announced is made of
// it: a step is announced after all that it depends on.
func (l *Leader) outdate(s Step) {
	switch l.tasks[s].phase {
	case Finished:
		l.reopen(s, "an input came out otherwise when it was made again")
	case Assigned:
		l.withdraw(s, "")
		l.move(s, Blocked)
	case Resolving, Queued:
		l.move(s, Blocked)
	}
}

// bury takes back all that was made of earlier results of steps which have none
// any more that is of use.
func (l *Leader) bury(steps ...Step) {
	seen := make(map[Step]struct{}, len(steps))
	for ; len(steps) > 0; steps = steps[1:] {
		for _, a := range l.deps.above[steps[0]] {
			if _, again := seen[a]; again {
				continue
			}
			seen[a] = struct{}{}
			if l.outdate(a); l.record.Steps[a].Result == nil {
				steps = append(steps, a)
			}
		}
	}
}

// buryOpen gives up, in a build that stops, what was made of results that are
// not going to be made again.
func (l *Leader) buryOpen() {
	var open []Step
	for i := range l.record.Steps {
		if l.record.Steps[i].Result == nil {
			open = append(open, Step(i))
		}
	}
	l.bury(open...)
}

// settle clears away what the crew has of a step that is about to be decided.
func (l *Leader) settle(s Step) {
	l.dropOrphan(s)
	if by, _ := l.unhold(s); by != "" {
		l.revoke(by, s)
	}
}

// reopen takes a result back, or a failure. What was made of it stays until it
// is clear that the second run brings something else.
func (l *Leader) reopen(s Step, why string) {
	r, t := &l.record.Steps[s], &l.tasks[s]
	if r.Secured || r.Result == nil && r.Failed == "" {
		return
	}
	had, wasOK := r.Result != nil, r.OK()
	l.settled(s, false)
	l.append(Op{Kind: OpReopened, Step: s, Text: why})
	l.move(s, Blocked)
	l.settledTo = min(l.settledTo, int(s))
	t.fresh = true
	if had {
		l.unsecured--
	}
	if !wasOK {
		l.stopping = l.failedForGood()
	} else {
		for _, a := range l.deps.above[s] {
			l.tasks[a].missing++
			switch l.tasks[a].phase {
			case Ready, Resolving, Queued:
				l.move(a, Blocked)
			}
		}
	}
	l.unblock(s)
}

// failedForGood reports whether something went wrong that ends the build.
func (l *Leader) failedForGood() bool {
	return !l.opts.Plan.keepsGoing() && slices.ContainsFunc(l.record.Steps, func(r StepRecord) bool {
		return r.Failed != "" || r.Result != nil && !r.Result.OK()
	})
}

// tried counts a failure around a step and lets another member try later.
func (l *Leader) tried(s Step, on peer.ID, f Failure) {
	if f.Kind.blames() {
		l.suspect(s, on)
	}
	if l.count(s, on, f) {
		l.takeBack(s, on)
	}
}

// count logs a failure around an open step, and reports whether there is to be
// another try.
func (l *Leader) count(s Step, on peer.ID, f Failure) bool {
	t := &l.tasks[s]
	l.append(Op{Kind: OpTried, Step: s, Peer: on, Text: f.Text})
	r := &l.record.Steps[s]
	if f.Kind == NoSpace && on == l.opts.Initiator {
		// Whoever else ran it, its outputs would have to come to the same disk.
		l.withdraw(s, on)
		l.giveUp(s, f.Text)
		return false
	}
	if r.Tries >= MaxTries {
		l.withdraw(s, on)
		l.giveUp(s, fmt.Sprintf("%d tries came to nothing, the last one: %s", r.Tries, f.Text))
		return false
	}
	if on != "" && on != l.opts.Initiator && !slices.Contains(t.avoid, on) {
		t.avoid = append(t.avoid, on)
	}
	t.lacking = t.lacking || f.Kind == MissingBlob
	if f.Kind.waits() {
		t.notBefore = l.now.Add(l.spread(min(maxBackoff, firstBackoff<<(r.Tries-1))))
	}
	return true
}

// again puts a step back whose attempt came to nothing.
func (l *Leader) again(s Step) {
	if l.tasks[s].missing > 0 {
		l.move(s, Blocked)
		return
	}
	l.move(s, Ready)
}

// lostHand takes a step out of the hands of a lost worker. In a build that has
// ended it may be one that an earlier leader gave it, and nobody asks any more.
func (l *Leader) lostHand(m *member, s Step, begun bool) {
	if begun && !l.record.Ended {
		l.append(Op{Kind: OpLost, Step: s, Peer: m.id})
		if n := l.record.Steps[s].Lost; n >= MaxLost {
			l.withdraw(s, m.id)
			l.giveUp(s, killer(n))
			return
		}
	}
	if l.tasks[s].has(m.id) {
		l.takeBack(s, m.id)
	}
}

// lostWith counts a worker that is lost if it began to run a step and nothing
// was heard of that since, be the step in other hands by now: else a step that
// kills whoever runs it could kill more.
func (l *Leader) lostWith(id peer.ID, s Step) {
	r := &l.record.Steps[s]
	if l.record.Ended || !slices.Contains(r.Began, id) {
		return
	}
	l.append(Op{Kind: OpLost, Step: s, Peer: id})
	if r.Lost >= MaxLost {
		l.withdraw(s, "")
		l.giveUp(s, killer(r.Lost))
	}
}

func killer(lost int) string {
	return fmt.Sprintf("%d workers were lost while they ran it; see what it does to a machine with `buildnet build --local`", lost)
}

// giveUp fails a step for another reason than its command.
func (l *Leader) giveUp(s Step, why string) {
	t, why := &l.tasks[s], cmp.Or(why, "no reason is known")
	if t.claimed {
		l.out.Releases = append(l.out.Releases, t.action)
		t.claimed = false
	}
	l.settle(s)
	l.acquit(s)
	l.move(s, GivenUp)
	l.append(Op{Kind: OpFailed, Step: s, Text: why})
	l.bury(s)
	l.stopping = l.stopping || !l.opts.Plan.keepsGoing()
}

// concludeIfDone ends the log when nothing is left that can be done and the
// initiator has everything that was made.
func (l *Leader) concludeIfDone() {
	if l.record.Ended || !l.following || !l.hearUntil.IsZero() || l.assigned > 0 || l.mayGrow() {
		return
	}
	if l.stopping && l.unsecured > 0 {
		l.buryOpen()
	}
	if l.unsecured > 0 {
		return
	}
	if !l.stopping {
		if len(l.ready) > 0 || len(l.resolving) > 0 {
			return
		}
		for _, q := range l.queued {
			if len(q) > 0 {
				return
			}
		}
	}
	l.append(Op{Kind: OpEnded})
}
