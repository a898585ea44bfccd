package steal

import (
	"maps"
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
)

// Limits of a crew.
const (
	// MaxCrew bounds the members that serve one build: a step costs the machine
	// that leads that many 0.2 ms, so that a core hands out 5000 a second as far
	// as that goes.
	MaxCrew = 512
	// Standbys is how many members keep the log besides the initiator.
	Standbys = 2
	// MaxSpecs bounds the toolchains of one build.
	MaxSpecs = 256
	// MaxWant bounds what a worker may ask for at once.
	MaxWant = 1024
)

// Link is the state of a leader's stream to a member.
//
//	Dialling <-> Up
//	   |  ^_____  |
//	   v        | v
//	  Gone ---> Dialling
type Link uint8

const (
	// Dialling streams are being opened, or wait for their next try.
	Dialling Link = iota + 1
	// Up streams stand.
	Up
	// Gone members were silent for their lease; they may come back.
	Gone
)

// member is what a leader knows of one of its crew.
type member struct {
	id   peer.ID
	link Link
	// heard is the last sign of life, or when it was first called, or when
	// something came to depend on it: until it knows that, it says seldom that it
	// lives.
	heard time.Time
	told  time.Time // when something was last sent to it
	// dialAt is when to open a stream; zero while one is being opened.
	dialAt time.Time

	join *Join // nil until it joined on the present stream
	// A steal request names the assignments that it knows of: those that
	// crossed it on the way count against it.
	wanted  Want
	given   uint64
	hands   map[Step]struct{} // assigned to it
	outlook outlook
	seat    seat
	// pace is how fast steps run on it, against what was expected of them by its
	// BPU; 0 if none did. lag is that of the latest step that runs there, 0 if
	// none is late, of which there are late. arrival is how long a step takes to
	// begin there.
	pace, lag float64
	late      int
	arrival   time.Duration
	line      line
	status    *Status // what the initiator was not told of yet
	// seen says that it joined once, worked that it had slots then.
	seen, worked bool
	breaker      breaker
	// asked is for how many toolchains it was asked on this stream.
	asked int
	// held steps are in its hands since an earlier epoch, meant ones are called back
	// for it.
	held, meant int
	// keeps says that it was named a standby: it may hold itself for one still.
	keeps bool

	logSent, logAcked uint64
	commitSent        uint64
	// ackedAt is when it last acknowledged some of the log, or had all that there
	// was; a stream that breaks does not change it. mute says that it acknowledged
	// nothing for long: it keeps no log in this epoch.
	ackedAt time.Time
	mute    bool
	// declined is when it last said that it cannot be the heir.
	declined time.Time
	// occupied says that it served another build of this one's kin when it was last
	// called.
	occupied bool
}

// free is how many more steps m takes now.
func (m *member) free() int {
	if m.link != Up || m.join == nil || m.given < m.wanted.Seen {
		return 0
	}
	crossed := m.given - m.wanted.Seen
	if crossed >= uint64(m.wanted.Free) {
		return 0
	}
	return m.wanted.Free - int(crossed)
}

// calm reports whether nothing depends on m: so it is of all while the build rests.
func (l *Leader) calm(m *member) bool {
	return m.join != nil && len(m.hands) == 0 && m.held == 0 && (!m.keeps && m.id != l.opts.Initiator || l.resting)
}

// rely notes that something is about to depend on m.
func (l *Leader) rely(m *member) {
	if l.calm(m) {
		m.heard = l.now
	}
}

// pace is how often m is told that the leader lives, and how long m may say
// nothing.
func (l *Leader) pace(m *member) (every, lease time.Duration) {
	if l.calm(m) {
		return CalmEvery, CalmLease
	}
	return BeatEvery, Lease
}

// idle reports whether a step would run on m at once.
func (m *member) idle() bool { return len(m.hands) < m.join.Slots }

func (m *member) want(w Want) {
	w.Free = min(max(w.Free, 0), MaxWant)
	m.wanted = w
}

func (m *member) resize(r Resize) {
	if m.join != nil {
		m.join.Slots = min(max(r.Slots, 0), MaxWant)
	}
}

func (m *member) unlinked(now time.Time) {
	m.join, m.wanted, m.given = nil, Want{}, 0
	if m.link == Gone {
		m.dialAt = now.Add(Rejoin)
		return
	}
	m.link, m.dialAt = Dialling, now.Add(Redial)
}

func (l *Leader) meet(members []peer.Member) {
	clear(l.known)
	for _, m := range members {
		l.known[m.ID] = m
	}
	for _, m := range l.order {
		l.distance(m)
	}
}

// invite calls those who are not of the crew yet: the initiator, this node,
// the candidates by rank, then everybody else.
func (l *Leader) invite() {
	ids := []peer.ID{l.opts.Initiator, l.opts.Self}
	if !l.opts.Plan.Modes.Local {
		for _, id := range l.opts.Plan.Candidates {
			if _, alive := l.known[id]; alive {
				ids = append(ids, id)
			}
		}
		rest := make([]peer.ID, 0, len(l.known))
		for id := range l.known {
			rest = append(rest, id)
		}
		slices.Sort(rest)
		ids = append(ids, rest...)
	}
	for _, id := range ids {
		if _, ok := l.crew[id]; ok || len(l.crew) >= MaxCrew {
			continue
		}
		m := &member{id: id, link: Dialling, heard: l.now, dialAt: l.now, hands: map[Step]struct{}{}}
		l.crew[id] = m
		if id == l.opts.Initiator {
			l.initiator = m
		}
		l.distance(m)
		at, _ := slices.BinarySearchFunc(l.order, m, func(a, b *member) int { return a.id.Compare(b.id) })
		l.order = slices.Insert(l.order, at, m)
		l.dial(m)
	}
}

// names are those of the crew, sorted.
func (l *Leader) names() []peer.ID {
	if flawUnsorted {
		return slices.Collect(maps.Keys(l.crew))
	}
	ids := make([]peer.ID, len(l.order))
	for i, m := range l.order {
		ids[i] = m.id
	}
	return ids
}

func (l *Leader) dial(m *member) {
	m.dialAt = time.Time{}
	h := Hello{Initiator: l.opts.Initiator, Plan: l.opts.PlanDigest, Specs: l.specs, Forget: l.opts.Plan.Modes.Forget(), Open: l.opts.Plan.Open}
	if m.id == l.opts.Initiator {
		have := newBits(len(l.tasks))
		for i := range l.record.Steps {
			if l.record.Steps[i].Settled() {
				have.set(Step(i))
			}
		}
		h.Have = have
		if l.opts.Plan.Open {
			h.Steps = len(l.tasks)
		}
	}
	m.asked = len(l.specs)
	l.out.Dials = append(l.out.Dials, Dial{To: m.id, Hello: h})
}

// tendCrew beats, calls again, and gives up the silent.
func (l *Leader) tendCrew() {
	for _, m := range l.order {
		every, lease := l.pace(m)
		if m.link != Gone && l.now.Sub(m.heard) >= lease {
			l.lose(m)
			if l.ended {
				return
			}
		}
		switch {
		case m.link == Up:
			if l.now.Sub(m.told) >= every {
				l.send(m.id, Beat{Commit: l.commit, Calm: l.resting})
			}
		case !m.dialAt.IsZero() && !l.now.Before(m.dialAt) && (m.link == Dialling || l.alive(m.id)):
			l.dial(m)
		}
	}
}

func (l *Leader) alive(id peer.ID) bool {
	_, alive := l.known[id]
	return alive
}

func (l *Leader) linked(m *member) {
	m.link, m.heard, m.told, m.occupied = Up, l.now, l.now, false
	// It may have lost what it had: those who keep the log pass over what they
	// know already.
	m.logSent, m.logAcked, m.commitSent = 0, 0, 0
	l.askFor(m)
	l.forgetEarly(m)
	if len(l.record.Standbys) < Standbys {
		l.nameStandbys()
	}
}

// lose takes everything out of the hands of a member that was silent for its
// lease. Without the initiator there is no build, but that of its heir.
func (l *Leader) lose(m *member) {
	if m.id == l.opts.Initiator {
		l.abandon()
		return
	}
	l.out.Hangups = append(l.out.Hangups, m.id)
	worked := m.join != nil || len(m.hands) > 0
	hands := sortedSteps(m.hands)
	if m.link == Up {
		m.unlinked(l.now)
	}
	m.link, m.dialAt, m.ackedAt = Gone, l.now.Add(Rejoin), time.Time{}
	if flawForgetLost {
		hands = nil
	}
	for _, s := range hands {
		l.lostHand(m, s, l.tasks[s].begunBy(m.id))
	}
	for i := range l.tasks {
		if l.held > 0 && l.tasks[i].heldBy == m.id {
			_, r := l.unhold(Step(i))
			l.lostHand(m, Step(i), r.Started)
		}
	}
	for i := range l.tasks {
		l.lostWith(m.id, Step(i))
	}
	if worked && !l.record.Ended {
		l.append(Op{Kind: OpGone, Peer: m.id})
	}
	l.disinherit(m.id)
	if slices.Contains(l.record.Standbys, m.id) {
		l.nameStandbys()
	}
}

// nameStandbys keeps the standbys that live and acknowledge, and fills up from the candidates.
// The initiator is none: it has the log anyway, and leads again itself when
// nobody else can.
func (l *Leader) nameStandbys() {
	fit := func(id peer.ID) bool {
		m, ok := l.crew[id]
		return ok && m.link != Gone && !m.mute && id != l.opts.Self && id != l.opts.Initiator
	}
	names := make([]peer.ID, 0, Standbys)
	for _, id := range slices.Concat(l.record.Standbys, l.opts.Plan.Candidates, l.names()) {
		if len(names) < Standbys && fit(id) && !slices.Contains(names, id) {
			names = append(names, id)
		}
	}
	if !l.named || !slices.Equal(names, l.record.Standbys) {
		l.named = true
		for _, id := range names {
			l.rely(l.crew[id])
			l.crew[id].keeps = true
		}
		l.append(Op{Kind: OpStandbys, Peers: names})
	}
	l.advance()
}

func sortedSteps(set map[Step]struct{}) []Step {
	steps := make([]Step, 0, len(set))
	for s := range set {
		steps = append(steps, s)
	}
	slices.Sort(steps)
	return steps
}
