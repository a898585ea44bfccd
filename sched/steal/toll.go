package steal

import (
	"slices"

	"github.com/buildnet/buildnet/mesh/peer"
)

// A step may kill whoever runs it. The log says who began it and who was lost
// with it, but a successor may have a log without that: one standby suffices for
// what is safe, and it may be the other one. The initiator has it always.

// toll is what is known of steps that have no result and that somebody began.
func (r *Record) toll() []Toll {
	var tolls []Toll
	for i := range r.Steps {
		if s := &r.Steps[i]; s.open() && len(s.Began)+len(s.Fallen) > 0 {
			tolls = append(tolls, Toll{Step: Step(i), Began: s.Began, Fallen: s.Fallen})
		}
	}
	return tolls
}

// open reports whether the step has neither a result nor a reason for none.
func (s *StepRecord) open() bool { return s.Result == nil && s.Failed == "" }

// tolled takes what the initiator knows of a step that the log may lack. Of
// those who began it only those count who were not heard yet: who has joined has
// said what it has in its hands.
func (l *Leader) tolled(t Toll) {
	r := &l.record.Steps[t.Step]
	if l.following || !r.open() {
		return
	}
	for _, id := range t.Fallen {
		if count(r.Fallen, id) < count(t.Fallen, id) {
			l.append(Op{Kind: OpLost, Step: t.Step, Peer: id, Text: inEarlierEpoch})
		}
	}
	for _, id := range t.Began {
		m, called := l.crew[id]
		heard := called && m.link != Gone && m.join != nil
		if !r.open() || heard || slices.Contains(r.Began, id) || count(r.Fallen, id) > count(t.Fallen, id) {
			continue
		}
		l.append(Op{Kind: OpStarted, Step: t.Step, Peer: id})
		if !called && !l.alive(id) || called && m.link == Gone {
			l.lostWith(id, t.Step)
		}
	}
}

func count(ids []peer.ID, id peer.ID) (n int) {
	for _, other := range ids {
		if other == id {
			n++
		}
	}
	return n
}

// risky reports whether a step may be lost with one worker too many if it is
// given to another now: some of those who began it are not heard of, and are
// heard or lost within their lease.
func (l *Leader) risky(s Step) bool {
	r := &l.record.Steps[s]
	return len(r.Began) > 0 && r.Lost+l.doubtful(r) >= MaxLost
}

// doubtful counts those who began a step and may be dead.
func (l *Leader) doubtful(r *StepRecord) (n int) {
	for _, id := range r.Began {
		if m, ok := l.crew[id]; ok && (m.link != Up || m.join == nil) {
			n++
		}
	}
	return n
}
