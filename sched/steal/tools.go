package steal

import "slices"

// Steps that are added to a build may ask for toolchains that no Hello named.

// Messages about toolchains.
type (
	// Ask asks a worker for toolchains beside those of Hello and of earlier asks.
	Ask struct{ Specs []Spec }
	// Tools says what a worker has of all that it was asked for: see Join.
	Tools struct{ Toolchains []string }
)

func (Ask) message()   {}
func (Tools) message() {}

// askMore asks the crew for the toolchains behind the first ones.
func (l *Leader) askMore(known int) {
	if len(l.specs) == known {
		return
	}
	for _, m := range l.order {
		if m.link == Up {
			l.askFor(m)
		}
	}
}

// askFor asks m for what it was not asked for yet.
func (l *Leader) askFor(m *member) {
	if m.asked < len(l.specs) {
		l.send(m.id, Ask{Specs: l.specs[m.asked:len(l.specs):len(l.specs)]})
		m.asked = len(l.specs)
	}
}

func (l *Leader) hasTools(m *member, t Tools) {
	if m.join != nil {
		m.join.Toolchains = t.Toolchains[:min(len(t.Toolchains), MaxSpecs)]
		l.handsChanged(m)
	}
}

// lacksToolchain takes it that a member's toolchain is not any more what the step asks
// for, until it says that it is again: it would refuse all that need it, one by one.
func (l *Leader) lacksToolchain(m *member, s Step) {
	n := l.needs[l.needOf[s]]
	if m.join == nil || n.spec < 0 || n.spec >= len(m.join.Toolchains) {
		return
	}
	m.join.Toolchains = slices.Clone(m.join.Toolchains)
	m.join.Toolchains[n.spec] = ""
	l.handsChanged(m)
}

// mayHave reports whether m is there, and has yet to say whether it has what a need asks
// for: it is looking at its toolchains.
func (l *Leader) mayHave(n need, m *member) bool {
	switch {
	case m.link != Up, m.id != l.opts.Initiator && (n.initiator || l.opts.Plan.Modes.Local):
		return false
	case m.join == nil:
		return true
	case n.spec < len(m.join.Toolchains), m.join.Slots == 0:
		return false
	}
	rest := n
	rest.spec = -1
	return l.opts.Plan.Open && rest.lacks(m.join) == ""
}

// ask looks for more toolchains; what was found before is found again.
func (h *Hand) ask(a Ask) {
	more := a.Specs[:min(len(a.Specs), MaxSpecs-len(h.specs))]
	if len(more) == 0 {
		return
	}
	h.specs, h.probed = append(slices.Clone(h.specs), more...), false
	h.out.Probe = h.specs
}
