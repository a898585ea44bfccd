package steal

import (
	"fmt"
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

// LeaderOptions are what a leader begins with.
type LeaderOptions struct {
	Self, Initiator peer.ID
	Epoch           Epoch
	Plan            *Plan
	// PlanDigest is the blob that Plan was read from.
	PlanDigest digest.Digest
	// Log is what the predecessor logged, in order; nil for a new build.
	Log []Op
	// Predecessor led before; empty for a new build.
	Predecessor peer.ID
	// Members are the alive members, in any order.
	Members []peer.Member
	// Chance returns numbers in [0, 1) by which retries are spread; nil does not
	// spread them.
	Chance func() float64
}

// Leader is the machine of the one node that decides in an epoch of a build.
// Its log is the build: everything else can be worked out again.
//
// A step goes through Phases. Ready steps are resolved (made into an action,
// whose digest is claimed or whose result is found), resolved ones wait in a
// queue for a worker that wants work.
type Leader struct {
	opts LeaderOptions
	deps *deps
	demands

	record  *Record
	log     []Op
	commit  uint64
	confirm []confirmation

	tasks     []task
	ready     []Step   // by deps.order, the first one last: it goes first
	queued    [][]Step // by need, then deps.order
	resolving []Step   // by when that began, the latest last
	assigned  int
	held      int // steps in the crew's hands that are not assigned
	backups   int // steps that two have
	// atStake and wasted are what backups may come to, and came to, in
	// BPU-seconds.
	atStake, wasted float64
	exp             experience
	lookAt, lateAt  time.Time // when to look for slow steps again, and for late ones
	unsecured       int       // results that the initiator does not have yet
	placing

	crew  map[peer.ID]*member
	order []*member // of crew, by name
	// initiator is that of crew; nil before it was called.
	initiator *member
	known     map[peer.ID]peer.Member

	openedAt  time.Time
	ableAt    []time.Time   // by need: when somebody could last run it
	neededAt  []time.Time   // by need: when a step came that has it; zero at the beginning
	toldAt    time.Time     // when the initiator last added something before it followed
	hearUntil time.Time     // zero when the hearing is over
	slowest   time.Duration // until the last so far joined in the hearing
	named     bool          // the standbys of this epoch are in the log
	following bool          // the initiator has told what it knows
	bequeath  bool          // another could ask for the rest of the plan
	heritage  heritage      // the heir before this epoch
	readyAt   uint64        // where the log says that the heir is ready
	stopping  bool          // a step failed, and the build does not keep going
	ended     bool
	tidings   tidings
	opening

	now      time.Time
	out      Output
	together bool // in a call of Together
}

// Output is what a call to a Leader wants done, in this order. It is valid
// until the next call.
type Output struct {
	// Dials are streams to open, with the first message of each.
	Dials []Dial
	Sends []Send
	// Hangups are streams to close, after what was sent on them: the last one
	// is often End, which has to arrive. Give it a Lease, then reset. There may
	// be no stream to the peer, or one that is being opened.
	Hangups  []peer.ID
	Resolves []Resolve
	// Publishes are results to tell the mesh.
	Publishes []Publish
	// Releases are claims that came to nothing.
	Releases []digest.Digest
	// Over says that the machine has nothing more to do.
	Over bool
}

// Dial is a stream to open: Hello is what it begins with.
type Dial struct {
	To    peer.ID
	Hello Hello
}

// Publish is a result for everybody.
type Publish struct {
	Entry action.Entry
}

type confirmation struct {
	index  uint64
	to     peer.ID
	report Confirm
}

// NewLeader returns the leader of an epoch. The first Tick begins it.
func NewLeader(opts LeaderOptions) (*Leader, error) {
	l := &Leader{
		opts: opts, deps: newDeps(opts.Plan.Graph), demands: newDemands(nil), record: NewRecord(opts.Plan),
		tasks: make([]task, opts.Plan.Graph.Len()), crew: map[peer.ID]*member{}, known: map[peer.ID]peer.Member{},
	}
	l.demand(opts.Plan.Graph.Steps())
	l.weights = opts.Plan.Modes.Policy.Weights.Normal()
	if err := l.inherit(); err != nil {
		return nil, fmt.Errorf("lead: %w", err)
	}
	if len(l.specs) > MaxSpecs {
		return nil, fmt.Errorf("lead: %w plan: %d toolchains, the limit is %d", action.ErrInvalid, len(l.specs), MaxSpecs)
	}
	l.bequeath = l.bequeathable()
	l.arrange()
	l.meet(opts.Members)
	return l, nil
}

// arrange puts every step into the phase that the record gives it.
func (l *Leader) arrange() {
	for i := range l.tasks {
		t, r := &l.tasks[i], &l.record.Steps[i]
		t.phase = Blocked
		for _, on := range l.deps.below[i] {
			if !l.record.Steps[on].OK() {
				t.missing++
			}
		}
		switch {
		case r.Failed != "":
			t.phase = t.phase.To(GivenUp)
		case r.Result != nil:
			t.phase = t.phase.To(Finished)
			if !r.Secured {
				l.unsecured++
			}
		}
		t.fresh = r.Before != nil && r.Result == nil
	}
	l.stopping = l.failedForGood()
	for i := range l.tasks {
		if t := &l.tasks[i]; t.phase == Blocked && t.missing == 0 {
			t.phase = t.phase.To(Ready)
			l.ready = append(l.ready, Step(i))
		}
	}
	slices.SortFunc(l.ready, l.deps.reversed)
}

// Tick tells the time. It is to be called every BeatEvery at least, and first.
func (l *Leader) Tick(now time.Time) Output {
	l.begin(now)
	if l.ended {
		return l.out
	}
	if l.hearUntil.IsZero() && len(l.order) == 0 {
		l.open()
	}
	l.rest()
	l.tendCrew()
	if !l.ended {
		l.dismiss()
	}
	if !l.ended {
		l.judge()
		l.appoint()
		l.passOn()
	}
	return l.finish()
}

// open begins the epoch: the standbys are named, the crew is called.
func (l *Leader) open() {
	l.openedAt = l.now
	if l.opts.Epoch.Number > 1 && !flawNoHearing {
		l.hearUntil = l.now.Add(HearingTime)
	}
	l.invite()
	for i := range l.record.Steps {
		for _, by := range slices.Clone(l.record.Steps[i].Began) {
			_, called := l.crew[by]
			if _, alive := l.known[by]; !called && !alive {
				l.lostWith(by, Step(i))
			}
		}
	}
	l.nameStandbys()
}

// Receive takes a message of a member's stream. The caller has checked that
// the stream is of this leader's epoch; the message may still be anything.
func (l *Leader) Receive(now time.Time, from peer.ID, msg Message) Output {
	l.begin(now)
	m, ok := l.crew[from]
	if !ok || l.ended || m.link != Up {
		return l.said()
	}
	m.heard = now
	l.still = stays(msg) && (l.still || !l.together)
	if s, named := stepOf(msg); named && (s < 0 || int(s) >= len(l.tasks)) {
		switch msg.(type) {
		case Started, Report, Return:
			l.hearsEarly(early{by: m, msg: msg})
		}
		return l.finish()
	}
	switch msg := msg.(type) {
	case Beat:
		return l.said() // it makes nothing possible that was not before
	case Ack:
		l.acked(m, msg.Index)
	case Cancel:
		if from == l.opts.Initiator {
			l.end()
		}
	case Refuse:
		if msg.Epoch.Compare(l.opts.Epoch) > 0 {
			l.over()
		}
	default:
		if !l.record.Ended {
			l.take(m, msg)
		}
	}
	return l.finish()
}

// take takes what is said while there is still something to do.
func (l *Leader) take(m *member, msg Message) {
	if m.id == l.opts.Initiator {
		l.fromInitiator(msg)
	}
	if m.id == l.record.Heir {
		l.fromHeir(m, msg)
	}
	switch msg := msg.(type) {
	case Join:
		l.joined(m, msg)
	case Want:
		m.want(msg)
	case Resize:
		m.resize(msg)
		l.handsChanged(m)
	case Started:
		l.started(m, msg.Step)
	case Report:
		l.reported(m, msg)
	case Return:
		l.returned(m, msg)
	case Progress:
		l.progressed(m, msg)
	case Status:
		m.stated(msg)
	case Tools:
		l.hasTools(m, msg)
	}
}

func (l *Leader) fromInitiator(msg Message) {
	switch msg := msg.(type) {
	case Known:
		l.told(msg)
	case Toll:
		l.tolled(msg)
	case Follow:
		l.follow()
	case Secured:
		l.secured(msg)
	case Unsecured:
		l.unsecuredBy(msg)
	case Add:
		l.add(msg)
	case Drop:
		l.drop(msg.Step)
	case Shut:
		l.shut()
	}
}

// Opened tells that a stream to the peer stands, and that its Hello is sent.
func (l *Leader) Opened(now time.Time, to peer.ID) Output {
	l.begin(now)
	if m, ok := l.crew[to]; ok && !l.ended {
		l.linked(m)
	}
	return l.finish()
}

// Closed tells that the stream to the peer broke, or could not be opened.
func (l *Leader) Closed(now time.Time, to peer.ID) Output {
	l.begin(now)
	if m, ok := l.crew[to]; ok && !l.ended {
		m.unlinked(now)
		m.occupied = false
	}
	return l.finish()
}

// Occupied tells that the peer does not join, for it serves the build that this one
// goes on with: see the message of that name. It is called again, and may come when
// one of the two builds is given up.
func (l *Leader) Occupied(now time.Time, to peer.ID) Output {
	l.begin(now)
	if m, ok := l.crew[to]; ok && !l.ended {
		m.unlinked(now)
		m.occupied = true
	}
	return l.finish()
}

// Meet tells who the alive members are now.
func (l *Leader) Meet(now time.Time, members []peer.Member) Output {
	l.begin(now)
	l.meet(members)
	if !l.ended && len(l.order) > 0 {
		l.invite()
	}
	return l.finish()
}

// Resolved answers a Resolve.
func (l *Leader) Resolved(now time.Time, r Resolved) Output {
	l.begin(now)
	l.still = false
	switch {
	case !l.ended && !l.record.Ended:
		l.resolved(r)
	case r.Claimed:
		l.out.Releases = append(l.out.Releases, r.Action)
	}
	return l.finish()
}

// Together does several calls of Receive and Resolved as one: f makes them, and
// what they want done comes of Together. So work is given out, and the log sent,
// once for all that has come at a time.
func (l *Leader) Together(now time.Time, f func()) Output {
	l.begin(now)
	l.together, l.still = true, true
	f()
	l.together, l.now = false, now
	return l.finish()
}

func (l *Leader) begin(now time.Time) {
	l.now = now
	if !l.together {
		l.still, l.out = false, Output{}
	}
}

// said is what a call wants done; of a part of Together that is told at its end.
func (l *Leader) said() Output {
	if l.together {
		return Output{}
	}
	return l.out
}

// finish does what any change may have made possible.
func (l *Leader) finish() Output {
	if l.together || l.ended || len(l.order) == 0 {
		return l.said()
	}
	l.endHearing()
	if !l.ended {
		if !l.still {
			l.schedule()
			l.reckon()
		}
		l.concludeIfDone()
		l.ship()
		l.stir()
	}
	return l.out
}

// end ends the build for everybody.
func (l *Leader) end() {
	reason := Cancelled
	if l.record.Ended && l.commit == uint64(len(l.log)) {
		reason = Completed
	}
	l.endAs(reason)
}

func (l *Leader) endAs(reason Reason) {
	for _, m := range l.order {
		if m.link != Up {
			continue
		}
		told := reason
		if m.mute && reason == Orphaned {
			told = Cancelled // it may hold itself for the heir still
		}
		l.send(m.id, End{Reason: told})
	}
	for i := range l.tasks {
		if t := &l.tasks[i]; t.claimed && t.phase != Finished {
			l.out.Releases = append(l.out.Releases, t.action)
		}
	}
	l.over()
}

func (l *Leader) over() {
	l.ended, l.out.Over = true, true
	l.out.Hangups = l.names()
}

func (l *Leader) send(to peer.ID, msg Message) {
	l.crew[to].told = l.now
	l.out.Sends = append(l.out.Sends, Send{To: to, Msg: msg})
}

func (l *Leader) append(op Op) {
	if err := l.record.Apply(op); err != nil {
		panic("steal: leader's own op: " + err.Error())
	}
	l.log = append(l.log, op)
}
