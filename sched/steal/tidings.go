package steal

import (
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

// What is here is for those who watch a build: where its steps are, how far
// they are, and how the workers are. A worker says it to its leader, which
// passes on to the initiator what of it is new. Nothing is decided by it, none
// of it is logged, and what is overtaken is not said: a report never waits
// behind more than one Tidings.

const (
	// ProgressEvery is how often a worker says how far one step is, at most.
	ProgressEvery = time.Second
	// TidingsEvery is how often a leader passes on what it heard, at most.
	TidingsEvery = 500 * time.Millisecond
	// MaxTidings bounds each list of Tidings: what is beyond waits for the next.
	MaxTidings = 512
	// MaxStatusSteps bounds the steps that a Status names, those that came first.
	MaxStatusSteps = 64
)

// Progress notes what a step says of itself: how much of it is done, in per cent.
// It is said when its time has come, and the Hand knows that the step runs.
func (h *Hand) Progress(now time.Time, s Step, a digest.Digest, percent int) HandOutput {
	h.begin(now)
	j := h.job(s, a)
	if h.over || j == nil {
		return h.out
	}
	j.percent = min(max(percent, 0), 100)
	h.stirred = true
	return h.finish()
}

// tell says what is new and may be said again.
func (h *Hand) tell() {
	if !h.joined {
		return
	}
	if h.opts.StatusEvery > 0 && h.now.Sub(h.statusAt) >= h.opts.StatusEvery {
		h.statusAt = h.now
		h.reply(h.status())
	}
	if !h.stirred {
		return
	}
	h.stirred = false
	for _, j := range h.jobs {
		switch {
		case j.percent == j.told:
		case j.stage != running || h.now.Sub(j.toldAt) < ProgressEvery:
			h.stirred = true
		default:
			j.told, j.toldAt = j.percent, h.now
			h.reply(Progress{Step: j.Step, Percent: j.percent})
		}
	}
}

// retell forgets what was said: it was another leader, or on another stream.
func (h *Hand) retell() {
	h.statusAt, h.stirred = time.Time{}, true
	for _, j := range h.jobs {
		j.told, j.toldAt = 0, time.Time{}
	}
}

func (h *Hand) status() Status {
	s := Status{Slots: h.slots()}
	for _, j := range h.jobs {
		if j.stage < running {
			s.Waiting++
			continue
		}
		if s.Busy++; s.Busy <= MaxStatusSteps {
			s.Running = append(s.Running, j.Step)
		}
	}
	return s
}

// tidings are what a leader has to pass on.
type tidings struct {
	at       time.Time // when it last did
	advances map[Step]Advance
	placed   map[Step]peer.ID // what the initiator was told
}

// progressed notes how far a step is that m runs.
func (l *Leader) progressed(m *member, p Progress) {
	if t := &l.tasks[p.Step]; t.phase == Assigned && t.worker == m.id {
		if l.tidings.advances == nil {
			l.tidings.advances = map[Step]Advance{}
		}
		l.tidings.advances[p.Step] = Advance{Step: p.Step, Peer: m.id, Percent: min(max(p.Percent, 0), 100)}
	}
}

func (m *member) stated(s Status) {
	s.Running = s.Running[:min(len(s.Running), MaxStatusSteps)]
	m.status = &s
}

// passOn tells the initiator what is new.
func (l *Leader) passOn() {
	m, ok := l.crew[l.opts.Initiator]
	if !ok || m.link != Up || !l.following || l.record.Ended || l.now.Sub(l.tidings.at) < TidingsEvery {
		return
	}
	t := Tidings{Placements: l.placements(), Advances: l.advances(), Statuses: l.statuses()}
	if len(t.Placements)+len(t.Advances)+len(t.Statuses) > 0 {
		l.tidings.at = l.now
		l.send(m.id, t)
	}
}

// placements are steps that wait in a worker's hands. Of those that began the
// log tells.
func (l *Leader) placements() (all []Placement) {
	for _, m := range l.order {
		for _, s := range sortedSteps(m.hands) {
			t := &l.tasks[s]
			if t.worker != m.id || !t.startedAt.IsZero() || l.tidings.placed[s] == m.id {
				continue
			}
			if len(all) == MaxTidings {
				return all
			}
			if l.tidings.placed == nil {
				l.tidings.placed = map[Step]peer.ID{}
			}
			l.tidings.placed[s] = m.id
			all = append(all, Placement{Step: s, Peer: m.id})
		}
	}
	return all
}

func (l *Leader) advances() (all []Advance) {
	steps := make([]Step, 0, len(l.tidings.advances))
	for s := range l.tidings.advances {
		steps = append(steps, s)
	}
	slices.Sort(steps)
	for _, s := range steps[:min(len(steps), MaxTidings)] {
		a := l.tidings.advances[s]
		delete(l.tidings.advances, s)
		if t := &l.tasks[s]; t.phase == Assigned && t.worker == a.Peer {
			all = append(all, a)
		}
	}
	return all
}

func (l *Leader) statuses() (all []PeerStatus) {
	for _, m := range l.order {
		if m.status != nil {
			all = append(all, PeerStatus{Peer: m.id, Status: *m.status})
			m.status = nil
		}
	}
	return all
}

// tidings tells what the leader passed on.
func (o *Origin) tidings(t Tidings) {
	for _, p := range t.Placements[:min(len(t.Placements), MaxTidings)] {
		if o.open(p.Step) {
			o.placed(p.Step, p.Peer)
		}
	}
	for _, a := range t.Advances[:min(len(t.Advances), MaxTidings)] {
		if o.open(a.Step) {
			o.event(Event{Kind: Advanced, Step: a.Step, Peer: a.Peer, Percent: min(max(a.Percent, 0), 100)})
		}
	}
	for _, s := range t.Statuses[:min(len(t.Statuses), MaxTidings)] {
		status := s.Status
		status.Running = slices.DeleteFunc(slices.Clone(status.Running), func(s Step) bool { return s < 0 || int(s) >= len(o.steps) })
		o.event(Event{Kind: Stated, Step: -1, Peer: s.Peer, Status: &status})
	}
}

// open reports whether something may still be said of a step.
func (o *Origin) open(s Step) bool {
	return s >= 0 && int(s) < len(o.steps) && !o.steps[s].announced && o.steps[s].done == nil
}

// placed tells that a step is in a peer's hands, once.
func (o *Origin) placed(s Step, on peer.ID) {
	if k := &o.steps[s]; k.placedOn != on {
		k.placedOn = on
		o.event(Event{Kind: Placed, Step: s, Peer: on})
	}
}

// undone tells that a try came to nothing. Its next one is another placement.
func (o *Origin) undone(s Step, on peer.ID, why string) {
	k := &o.steps[s]
	if k.announced {
		return
	}
	k.placedOn = ""
	o.event(Event{Kind: Undone, Step: s, Peer: on, Text: why})
}
