package steal

import (
	"slices"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

// stepOf returns the step that a message to a leader names.
func stepOf(msg Message) (Step, bool) {
	switch msg := msg.(type) {
	case Started:
		return msg.Step, true
	case Progress:
		return msg.Step, true
	case Report:
		return msg.Step, true
	case Return:
		return msg.Step, true
	case Known:
		return msg.Step, true
	case Toll:
		return msg.Step, true
	case Secured:
		return msg.Step, true
	case Unsecured:
		return msg.Step, true
	case Drop:
		return msg.Step, true
	default:
		return 0, false
	}
}

// joined takes a member into the crew and compares what it has in its hands
// with what it is thought to have: a stream that broke may have lost either.
func (l *Leader) joined(m *member, j Join) {
	if !l.hearUntil.IsZero() {
		l.slowest = l.now.Sub(l.openedAt)
	}
	j.Slots = min(max(j.Slots, 0), MaxWant)
	if len(j.Running) > 2*MaxWant {
		j.Running = j.Running[:2*MaxWant]
	}
	m.join, m.seen, m.worked = &j, true, j.Slots > 0
	l.handsChanged(m)
	running := make(map[Step]Running, len(j.Running))
	for _, r := range j.Running {
		if r.Step >= 0 && int(r.Step) < len(l.tasks) {
			running[r.Step] = r
		} else {
			l.hearsEarly(early{by: m, has: r})
		}
	}
	for _, s := range sortedSteps(m.hands) {
		if r, has := running[s]; !has || r.Action != l.tasks[s].action {
			l.takeBack(s, m.id)
		}
	}
	for i := range l.tasks {
		s := Step(i)
		if l.held > 0 && l.tasks[s].heldBy == m.id {
			l.unhold(s)
		}
		// What it began and neither has nor reported is lost with the life in
		// which it began.
		if _, has := running[s]; !has {
			l.lostWith(m.id, s)
		}
	}
	for _, r := range j.Running {
		if running[r.Step] == r {
			l.inHand(m, r)
		}
	}
}

// inHand finds out what a step in m's hands is to this leader.
func (l *Leader) inHand(m *member, r Running) {
	t := &l.tasks[r.Step]
	switch {
	case t.has(m.id):
		t.recalled = false // the stream that broke may have lost it
		t.unmean()
	case t.phase == Queued && t.action == r.Action:
		l.assign(r.Step, m)
	case t.phase == Assigned && t.backup == "" && t.action == r.Action && l.record.Steps[r.Step].Backup == m.id:
		l.back(r.Step, m)
	case t.phase == Blocked || t.phase == Ready || t.phase == Resolving:
		l.hold(r.Step, m.id, r)
		return
	default:
		l.revoke(m.id, r.Step)
		return
	}
	if r.Started {
		l.started(m, r.Step)
	}
}

// hold remembers that a member has a step in its hands whose action this
// leader does not know yet.
func (l *Leader) hold(s Step, by peer.ID, r Running) {
	t := &l.tasks[s]
	if t.heldBy != "" && t.heldBy != by {
		if l.record.Steps[s].Backup != by {
			l.revoke(by, s)
			return
		}
		first, _ := l.unhold(s) // which was thought to be too slow
		l.revoke(first, s)
	}
	if t.heldBy == "" {
		l.held++
		l.crew[by].held++
	}
	t.heldBy, t.hold = by, r
	if r.Started {
		l.began(by, s)
	}
}

func (l *Leader) unhold(s Step) (by peer.ID, r Running) {
	t := &l.tasks[s]
	by, r = t.heldBy, t.hold
	if by != "" {
		l.held--
		l.crew[by].held--
	}
	t.heldBy, t.hold = "", Running{}
	return by, r
}

func (l *Leader) assign(s Step, m *member) {
	l.rely(m)
	l.move(s, Assigned)
	l.tasks[s].worker, l.tasks[s].givenAt = m.id, l.now
	m.hands[s] = struct{}{}
	l.handsChanged(m)
}

func (l *Leader) started(m *member, s Step) {
	switch t := &l.tasks[s]; {
	case t.phase == Assigned && t.worker == m.id && t.startedAt.IsZero():
		t.startedAt, t.recalled = l.now, false
		t.unmean()
		l.handsChanged(m)
		if m.join != nil && len(m.hands) <= m.join.Slots {
			m.arrived(l.now.Sub(t.givenAt))
		}
	case t.has(m.id) && t.backup == m.id && t.backedAt.IsZero():
		t.backedAt = l.now
	case t.heldBy == m.id:
		t.hold.Started = true
	default:
		return
	}
	l.began(m.id, s)
}

// began logs that a member runs an open step.
func (l *Leader) began(id peer.ID, s Step) {
	if !slices.Contains(l.record.Steps[s].Began, id) {
		l.append(Op{Kind: OpStarted, Step: s, Peer: id})
	}
}

// left logs that a member runs a step no more, and lives.
func (l *Leader) left(id peer.ID, s Step) {
	if slices.Contains(l.record.Steps[s].Began, id) {
		l.append(Op{Kind: OpStopped, Step: s, Peer: id})
	}
}

// revoke tells a member to leave a step. One that is not there is told when it
// joins again. Until it says that it has it may be dead, and be dead of it.
func (l *Leader) revoke(id peer.ID, s Step) {
	if l.crew[id].link == Up {
		l.send(id, Revoke{Step: s})
	}
}

// returned takes a step back that its worker does not run: nobody is to blame.
func (l *Leader) returned(m *member, r Return) {
	s, t := r.Step, &l.tasks[r.Step]
	if r.Taken { // it may have been given it again since
		l.left(m.id, s)
		return
	}
	switch {
	case !t.has(m.id) || l.leave(s, m.id):
	case t.startedAt.IsZero() && t.missing == 0:
		l.move(s, Queued) // what it is is known
	default:
		l.again(s)
	}
	if t.heldBy == m.id {
		l.unhold(s)
	}
	l.left(m.id, s)
}

// reported takes what came of an assignment, be it of this leader or not.
func (l *Leader) reported(m *member, r Report) {
	t := &l.tasks[r.Step]
	if t.heldBy == m.id && t.hold.Action == r.Action {
		l.unhold(r.Step)
	}
	if r.Entry != nil && r.Entry.Action != r.Action {
		r.Entry, r.Failure = nil, Failure{Kind: Broken, Text: "its report was of another action"}
	}
	if r.Entry != nil {
		if err := l.step(r.Step).Fits(&r.Entry.Result); err != nil {
			r.Entry, r.Failure = nil, Failure{Kind: Broken, Text: err.Error()}
		}
	}
	mine := t.has(m.id) && t.action == r.Action
	switch {
	case r.Entry == nil:
		l.forget(m.id, r.Step, r.Action)
		if r.Failure.Kind == WrongToolchain {
			l.lacksToolchain(m, r.Step)
		}
		if mine {
			l.tried(r.Step, m.id, r.Failure)
		} else {
			l.left(m.id, r.Step)
		}
	case mine, (t.phase == Queued || t.phase == Assigned) && t.action == r.Action:
		if mine && r.Entry.Result.OK() {
			l.learn(r.Step, m, r.Timings)
		}
		done := executed(m.id, r, t.known)
		if mine {
			done.Choice = l.chose(r.Step, m, r.Timings.Run)
			l.saves(r.Step, m, r.Timings.Run)
		}
		l.raced(r.Step, m, r.Timings.Run)
		l.withdraw(r.Step, m.id)
		l.complete(r.Step, done)
		l.confirmLater(m.id, r)
	case t.phase == Blocked || t.phase == Ready || t.phase == Resolving:
		l.left(m.id, r.Step)
		l.leaveOrphan(r.Step, orphan{of: m.id, report: r})
	case t.phase == Finished && l.record.Steps[r.Step].isOf(r.Action):
		l.confirmLater(m.id, r)
	default:
		l.left(m.id, r.Step)
		l.forget(m.id, r.Step, r.Action)
	}
}

func executed(by peer.ID, r Report, known *action.Entry) Done {
	return Done{
		Entry: *r.Entry, Peer: by, How: Executed, Holders: []peer.ID{by}, Timings: r.Timings,
		Differs: known != nil && !sameOutputs(&known.Result, &r.Entry.Result),
	}
}

// orphan is a result that a leader was told of before it knew what action the
// step is: a worker's report, or what the initiator knew.
type orphan struct {
	of     peer.ID // empty for the initiator's knowledge
	report Report
	done   *Done // the initiator's
}

func (o *orphan) action() digest.Digest {
	if o.done != nil {
		return o.done.Entry.Action
	}
	return o.report.Action
}

func (l *Leader) leaveOrphan(s Step, o orphan) {
	t := &l.tasks[s]
	l.dropOrphan(s)
	t.orphan = &o
}

func (l *Leader) dropOrphan(s Step) {
	t := &l.tasks[s]
	if t.orphan != nil && t.orphan.of != "" {
		l.forget(t.orphan.of, s, t.orphan.report.Action)
	}
	t.orphan = nil
}

// adopt looks whether the step's action is in the crew's hands, or done by it,
// since an earlier epoch.
func (l *Leader) adopt(s Step) bool {
	t := &l.tasks[s]
	if o := t.orphan; o != nil {
		if o.action() == t.action {
			t.orphan = nil
			l.adoptOrphan(s, o)
			return true
		}
		l.dropOrphan(s)
	}
	by, r := l.unhold(s)
	m, ok := l.crew[by]
	if !ok || m.link == Gone {
		return false
	}
	if r.Action != t.action {
		l.revoke(by, s)
		return false
	}
	l.assign(s, m)
	if r.Started {
		l.started(m, s)
	}
	return true
}

func (l *Leader) adoptOrphan(s Step, o *orphan) {
	if by, _ := l.unhold(s); by != "" {
		l.revoke(by, s)
	}
	if o.done != nil {
		l.complete(s, *o.done)
		return
	}
	l.complete(s, executed(o.of, o.report, l.tasks[s].known))
	l.confirmLater(o.of, o.report)
}

// forget tells a worker to drop a report that is of no use.
func (l *Leader) forget(of peer.ID, s Step, a digest.Digest) {
	if m, ok := l.crew[of]; ok && m.link == Up {
		l.send(of, Confirm{Step: s, Action: a})
	}
}

// confirmLater has a report confirmed when the log is kept as far as it is now.
func (l *Leader) confirmLater(to peer.ID, r Report) {
	l.confirm = append(l.confirm, confirmation{index: uint64(len(l.log)), to: to, report: Confirm{Step: r.Step, Action: r.Action}})
}

// told takes what the initiator knows and the log may lack. What it announced
// or has secured is decided. A result that it does not have yet may be out of
// date, and waits until it is clear that it is not.
func (l *Leader) told(k Known) {
	r, t := &l.record.Steps[k.Step], &l.tasks[k.Step]
	have := r.Done != nil && sameDone(r.Done, &k.Done)
	switch {
	case r.Secured:
	case k.Failed != "":
		if r.Failed == "" {
			l.undecide(k.Step)
			l.giveUp(k.Step, k.Failed)
		}
	case k.Done.Entry.Action.IsZero() || l.step(k.Step).Fits(&k.Done.Entry.Result) != nil:
	case !k.Secured:
		if t.phase < Queued && !l.following {
			l.leaveOrphan(k.Step, orphan{done: &k.Done})
		}
	case have:
		l.secure(k.Step)
	default:
		l.undecide(k.Step)
		l.complete(k.Step, k.Done)
		l.secure(k.Step)
	}
}

// undecide clears the way for what the initiator decided already.
func (l *Leader) undecide(s Step) {
	r := &l.record.Steps[s]
	if r.Result != nil || r.Failed != "" {
		l.reopen(s, "the initiator knows better")
	}
	l.withdraw(s, "")
}

func (l *Leader) secure(s Step) {
	l.settled(s, true)
	l.append(Op{Kind: OpSecured, Step: s})
	l.unsecured--
}

func (l *Leader) secured(msg Secured) {
	if r := &l.record.Steps[msg.Step]; !r.Secured && r.isOf(msg.Action) {
		l.secure(msg.Step)
	}
}

// unsecuredBy takes back a result whose outputs are nowhere to be had.
func (l *Leader) unsecuredBy(msg Unsecured) {
	r := &l.record.Steps[msg.Step]
	if r.Secured || !r.isOf(msg.Action) || !r.OK() {
		return
	}
	holder := r.Done.Peer
	l.reopen(msg.Step, msg.Text)
	l.suspect(msg.Step, holder)
	l.count(msg.Step, holder, Failure{Kind: MissingBlob, Text: msg.Text})
}

// isOf reports whether the step has a result of this build for the action.
func (s *StepRecord) isOf(a digest.Digest) bool {
	return s.Result != nil && s.Done != nil && s.Done.Entry.Action == a
}

func sameDone(a, b *Done) bool {
	return a.Entry.Action == b.Entry.Action && a.Entry.Executor == b.Entry.Executor &&
		slices.Equal(a.Entry.Signature, b.Entry.Signature) && sameOutputs(&a.Entry.Result, &b.Entry.Result)
}
