package steal

import (
	"fmt"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// LeadTime is how long a member that was asked to lead has for its Hello:
	// it has to fetch the plan first.
	LeadTime = 1500 * time.Millisecond
	// maxAsked is how many members are asked to lead before the initiator does
	// it itself.
	maxAsked = 3
	// maxOwn is how often this node tries to lead itself before the build ends.
	maxOwn = 5
	// CancelTime is how long a cancelled build waits for its leader to end it.
	CancelTime = 500 * time.Millisecond
)

// OriginOptions are what an initiator begins with.
type OriginOptions struct {
	Self peer.ID
	// Plan's Candidates are asked to lead in their order.
	Plan *Plan
	// PlanDigest is the blob of Plan, which is to be in the own store.
	PlanDigest digest.Digest
	// Log is a Bequest to go on with, and Lost who was its initiator; nil for a
	// new build. This node leads at first.
	Log  []Op
	Lost peer.ID
}

// Origin is the machine of a build's initiator: it finds a leader, keeps its
// log, has outputs brought to the own store, and announces. What it announced,
// and what it has, it knows across epochs.
type Origin struct {
	opts  OriginOptions
	deps  *deps
	steps []kept

	guard  guard
	watch  watch
	copy   logCopy
	before []Op    // the log of the last leader, until the present one has told its own
	record *Record // of copy
	commit uint64
	passed uint64 // ops up to here were looked at since they are committed

	told      time.Time // when the leader last heard of it
	asked     int
	own       int       // reigns of this node in a row that did not begin
	leadUntil time.Time // for the Hello of who was chosen last; zero when it came

	// tolls are what the logs before the present leader's say of open steps.
	tolls []Toll

	// unheld are results that wait for the heir to have them, in the order in
	// which their time comes.
	unheld []Step

	cancelUntil time.Time // zero unless the build was cancelled
	completed   bool
	over        bool
	session

	now time.Time
	out OriginOutput
}

// kept is what an initiator keeps of a step.
type kept struct {
	done *Done
	// index is where the present log says so; 0 if it does not.
	index   uint64
	attempt uint64 // of bringing the outputs here
	// fetched outputs are here. The result is secured when all that it was
	// made of is secured as well: what is secured never changes.
	fetched, secured bool
	announced        bool
	heldBy           time.Time // when it is announced though the heir has it not
	failed           string
	failedAt         uint64 // like index
	// unsecured is what the leader may not have heard yet.
	unsecured *Unsecured
	// dropped steps are needed by nobody: they are given up, unless they have a
	// result by then.
	dropped   bool
	startedBy peer.ID
	placedOn  peer.ID
	// How many of those below it are not secured, and not announced.
	toSecure, toAnnounce int
}

// OriginOutput is what a call to an Origin wants done, in this order. It is
// valid until the next call.
type OriginOutput struct {
	Replies []Reply
	// Leads are streams to open to Epoch.Leader, with nothing but the message
	// on each, in the name of Epoch. Unled tells if that cannot be done.
	Leads []Asking
	// TakeOver, if not nil, makes this node the leader: see KeeperOutput. A
	// Leader that it has from before may go on; it is going to be refused.
	TakeOver *TakeOver
	// Secures are results whose outputs (and what they printed) are to be
	// brought into the own store. Brought answers each. They may go on at once.
	Secures []Securing
	// Logged are ops that are new in the leader's log; Anew says that they begin
	// another log.
	Logged []Op
	Anew   bool
	// Events are for whoever asked for the build, in this order.
	Events []Event
	// Over says that the build is over here: Outcome says how. Forget the
	// machine, when the replies are sent. A Leader, a Hand on this node end by
	// themselves.
	Over    bool
	Outcome Reason
}

// Asking is a member to be asked to lead.
type Asking struct {
	Epoch Epoch
	Lead  Lead
}

// Securing is a result to bring here.
type Securing struct {
	Step    Step
	Attempt uint64
	Done    *Done
}

// EventKind is what an Event is of.
type EventKind uint8

const (
	// Elected says that Peer leads in Epoch, and Peers stand by. It comes again in the
	// same epoch when the standbys change.
	Elected EventKind = iota + 1
	// Began says that Peer began to run Step. It may come again on another peer.
	Began
	// Announced says that Step has the result Done, good or bad. It is final, and never
	// comes twice for a step; all that the step depends on came before.
	Announced
	// GaveUp says that Step has no result, for the reason Text, which is not its
	// command's. It is final.
	GaveUp
	// Noted says that Text, about Peer or Step or neither (Step is -1), is worth
	// knowing.
	Noted
	// Placed says that Peer has Step in its hands. It may come again.
	Placed
	// Advanced says that Percent of Step is done on Peer.
	Advanced
	// Made says that Peer has executed Step, with the result Done. It is not final.
	Made
	// Undone says that Peer came to nothing with Step, for the reason Text, which
	// is not its command's.
	Undone
	// Stated says that Peer, a worker, is as Status says.
	Stated
	// Moded says that the build goes on in Mode from here; Peers are the workers
	// that are lost.
	Moded
	// Bequeathed says that Peer goes on with the build if its initiator dies; it is
	// empty if nobody does any more.
	Bequeathed
)

// Event is something to tell the user.
type Event struct {
	Kind  EventKind
	Step  Step
	Peer  peer.ID
	Peers []peer.ID
	Epoch uint64
	Done  *Done
	Text  string
	// Percent is for Advanced, Status for Stated.
	Percent int
	Status  *Status
	Mode    Mode
}

// NewOrigin returns the initiator of a build. The first Tick begins it.
func NewOrigin(opts OriginOptions) *Origin {
	o := &Origin{opts: opts, deps: newDeps(opts.Plan.Graph), record: NewRecord(opts.Plan), before: opts.Log, session: newSession(opts.Plan)}
	o.opts.Log = nil
	o.steps = make([]kept, opts.Plan.Graph.Len())
	for i := range o.record.Steps {
		if r := &o.record.Steps[i]; r.Result != nil {
			o.steps[i].secured, o.steps[i].announced, o.steps[i].done = true, true, r.Done
		}
		for _, on := range o.deps.below[i] {
			if !o.steps[on].announced {
				o.steps[i].toSecure++
				o.steps[i].toAnnounce++
			}
		}
	}
	return o
}

// Tick tells the time. It is to be called first, and when it is Due.
func (o *Origin) Tick(now time.Time) OriginOutput {
	o.watch.woke(now, o.due())
	o.begin(now)
	switch {
	case o.over:
	case !o.cancelUntil.IsZero():
		if !now.Before(o.cancelUntil) {
			o.end(Cancelled)
		}
	case o.guard.highest == (Epoch{}) && o.before != nil:
		o.watch.lead.Leader = o.opts.Lost
		o.takeOver()
	case o.guard.highest == (Epoch{}):
		o.ask()
	case !o.leadUntil.IsZero():
		if !now.Before(o.leadUntil) {
			o.askAgain()
		}
	case o.watch.lead == o.guard.highest && o.watch.lost(now, o.turn()):
		o.takeOver()
	default:
		o.beat()
	}
	o.overdue()
	return o.out
}

// Due is when the next Tick has something to do, if nothing else comes before;
// zero if never.
func (o *Origin) Due() time.Time {
	due := o.due()
	if len(o.unheld) > 0 && !due.IsZero() {
		return earlier(due, o.steps[o.unheld[0]].heldBy)
	}
	return due
}

func (o *Origin) due() time.Time {
	switch {
	case o.over:
		return time.Time{}
	case !o.cancelUntil.IsZero():
		return o.cancelUntil
	case !o.leadUntil.IsZero():
		return o.leadUntil
	case o.watch.lead != o.guard.highest:
		return time.Time{}
	case o.watch.up:
		return earlier(o.watch.due(o.turn()), o.told.Add(o.watch.pace()))
	default:
		return o.watch.due(o.turn())
	}
}

// beat says to the leader that the build is still wanted.
func (o *Origin) beat() {
	if o.watch.up && o.watch.lead == o.guard.highest && o.now.Sub(o.told) >= o.watch.pace() {
		o.reply(o.watch.lead, Beat{})
	}
}

// Receive takes a message of a leader's stream.
func (o *Origin) Receive(now time.Time, of Epoch, msg Message) OriginOutput {
	o.begin(now)
	if o.over {
		return o.out
	}
	if !o.guard.admit(of) {
		o.reply(of, Refuse{Epoch: o.guard.highest})
		return o.out
	}
	if hello, ok := msg.(Hello); ok {
		o.hello(of, hello)
		return o.out
	}
	if of != o.watch.lead || !o.watch.up {
		return o.out
	}
	o.watch.hear(now)
	o.watch.heed(msg)
	switch msg := msg.(type) {
	case Append:
		o.append(msg)
		o.committed(msg.Commit)
	case Beat:
		o.committed(msg.Commit)
	case End:
		o.ended(msg.Reason)
	case Tidings:
		o.tidings(msg)
	}
	return o.out
}

// Closed tells that the stream of the epoch broke.
func (o *Origin) Closed(now time.Time, of Epoch) OriginOutput {
	o.begin(now)
	if of == o.watch.lead {
		o.watch.closed(now)
	}
	return o.out
}

// Unled tells that the member of a Lead could not be asked.
func (o *Origin) Unled(now time.Time, e Epoch) OriginOutput {
	o.begin(now)
	if !o.over && o.cancelUntil.IsZero() && e == o.guard.highest && !o.leadUntil.IsZero() {
		o.askAgain()
	}
	return o.out
}

// Cancel ends the build early. Over follows within CancelTime.
func (o *Origin) Cancel(now time.Time) OriginOutput {
	o.begin(now)
	if o.over || !o.cancelUntil.IsZero() {
		return o.out
	}
	o.cancelUntil = now.Add(CancelTime)
	if o.watch.up {
		o.reply(o.watch.lead, Cancel{})
	}
	return o.out
}

// Inputs returns the results that s depends on, as the leader's log has them;
// one that it has not is missing.
func (o *Origin) Inputs(s Step) map[action.StepID]*action.Result {
	results := make(map[action.StepID]*action.Result, len(o.deps.below[s]))
	for _, on := range o.deps.below[s] {
		if r := o.record.Steps[on].Result; r != nil {
			results[o.all[on].ID] = r
		}
	}
	return results
}

func (o *Origin) begin(now time.Time) { o.now, o.out = now, OriginOutput{} }

func (o *Origin) reply(to Epoch, msg Message) {
	if to == o.watch.lead {
		o.told = o.now
	}
	o.out.Replies = append(o.out.Replies, Reply{To: to, Msg: msg})
}

func (o *Origin) event(e Event) { o.out.Events = append(o.out.Events, e) }

func (o *Origin) note(s Step, id peer.ID, text string) {
	o.event(Event{Kind: Noted, Step: s, Peer: id, Text: text})
}

// askAgain chooses another leader when the last one did not say Hello. Its own
// node's may have been refused for an epoch of the same number.
func (o *Origin) askAgain() {
	last := o.guard.highest.Leader
	switch {
	case last == o.opts.Self && o.own >= maxOwn:
		o.note(-1, last, "nobody can lead this build, not even this node: see its log for why")
		o.end(Cancelled)
		return
	case last == o.opts.Self:
		o.takeOver()
		return
	}
	o.note(-1, last, fmt.Sprintf("%s did not take the lead", last.Short()))
	o.ask()
}

// ask asks the next candidate to lead, and leads itself when they are no use.
func (o *Origin) ask() {
	candidates := o.opts.Plan.Candidates
	if o.opts.Plan.Modes.Local {
		candidates = nil
	}
	if o.asked >= min(len(candidates), maxAsked) || candidates[o.asked] == o.opts.Self {
		o.takeOver()
		return
	}
	o.leadUntil = o.now.Add(LeadTime)
	e := Epoch{Number: o.guard.highest.Number + 1, Leader: candidates[o.asked]}
	o.guard.admit(e)
	o.asked++
	o.out.Leads = append(o.out.Leads, Asking{Epoch: e, Lead: Lead{Plan: o.opts.PlanDigest}})
}

// takeOver makes this node the leader.
func (o *Origin) takeOver() {
	t := &TakeOver{
		Epoch: Epoch{Number: o.guard.highest.Number + 1, Leader: o.opts.Self}, Initiator: o.opts.Self,
		Predecessor: o.watch.lead.Leader, Plan: o.opts.PlanDigest, Log: o.copy.ops,
	}
	if o.before != nil {
		t.Log = o.before
	}
	o.guard.admit(t.Epoch)
	o.own++
	o.leadUntil = o.now.Add(LeadTime)
	o.out.TakeOver = t
}

// turn is how much longer than the first standby the initiator waits for
// another leader.
func (o *Origin) turn() time.Duration {
	return time.Duration(len(without(o.copy.standbys, o.opts.Self))) * stagger
}

// hello follows a leader: what its log may lack comes before Follow.
func (o *Origin) hello(of Epoch, hello Hello) {
	if of != o.watch.lead {
		o.follow(of)
	}
	o.watch.opened(o.now)
	o.leadUntil, o.own = time.Time{}, 0
	if !o.cancelUntil.IsZero() {
		o.reply(of, Cancel{})
		return
	}
	o.catchUp(hello)
}

// follow begins another epoch. Its log is a whole one; until it has told what it
// has from the one before, that one is kept.
func (o *Origin) follow(e Epoch) {
	o.watch.follow(o.now, e)
	if o.before == nil {
		o.before, o.tolls = o.copy.ops, o.record.toll()
	}
	o.copy, o.record = logCopy{}, NewRecord(o.opts.Plan)
	o.out.Anew = true
	o.commit, o.passed = 0, 0
	for i := range o.steps {
		o.steps[i].index, o.steps[i].failedAt = 0, 0
	}
}

// ended ends the build, if its log has ended; a leader that gave it up for
// another reason is not to be relied on.
func (o *Origin) ended(why Reason) {
	switch {
	case why == Completed && o.record.Ended:
		o.completed = true
		o.committed(o.copy.len())
		o.release()
		o.end(Completed)
	case !o.cancelUntil.IsZero():
		o.end(Cancelled)
	default:
		o.watch.up = false
		o.takeOver()
	}
}

func (o *Origin) end(how Reason) {
	o.over, o.out.Over, o.out.Outcome = true, true, how
}
