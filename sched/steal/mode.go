package steal

import (
	"fmt"
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
)

// Mode is how a build goes on after losses.
type Mode uint8

const (
	// Whole builds have most of their workers.
	Whole Mode = iota
	// Conservative builds have lost half of them: nothing is done twice, and
	// only long-standing members are given work.
	Conservative
	// Alone builds have lost all of them: the initiator goes on by itself.
	Alone
)

var modeNames = [...]string{"whole", "conservative", "alone"}

// String returns the mode in lower case.
func (m Mode) String() string {
	if int(m) >= len(modeNames) {
		return "unknown"
	}
	return modeNames[m]
}

// ParseMode is the inverse of String.
func ParseMode(s string) (Mode, error) {
	for m, name := range modeNames {
		if name == s {
			return Mode(m), nil
		}
	}
	return Whole, fmt.Errorf("%w log: mode %q", action.ErrInvalid, s)
}

// longStanding is how long a member has to have been there to be given work in a
// Conservative build: one that comes and goes would be lost again. It is as long
// as package elect takes to trust a member to stay.
const longStanding = 15 * time.Second

// standing reports whether m has been a member for long. Of whom nothing is known
// that is not known either.
func (l *Leader) standing(m *member) bool {
	known, ok := l.known[m.id]
	return ok && !known.Since.IsZero() && l.now.Sub(known.Since) >= longStanding
}

// judge finds out how the build goes on: by who is lost, and who is there.
func (l *Leader) judge() {
	if l.record.Ended || !l.following || !l.hearUntil.IsZero() || l.opts.Plan.Modes.Local {
		return
	}
	lost, present := l.workers()
	mode := Whole
	switch {
	case len(lost) == 0:
	case present == 0:
		mode = Alone
	case len(lost) >= present:
		mode = Conservative
	}
	if mode != l.record.Mode {
		l.append(Op{Kind: OpMode, Text: mode.String(), Peers: lost})
	}
}

// workers are those that the build has lost, by name, and how many it has
// beside the initiator.
func (l *Leader) workers() (lost []peer.ID, present int) {
	for _, m := range l.order {
		switch {
		case m.id == l.opts.Initiator:
		case m.link == Gone && m.worked:
			lost = append(lost, m.id)
		case m.worked:
			present++
		}
	}
	for _, id := range l.record.Missing {
		if m, ok := l.crew[id]; (!ok || !m.seen) && !slices.Contains(lost, id) {
			lost = append(lost, id)
		}
	}
	slices.Sort(lost)
	return lost[:min(len(lost), MaxCrew)], present
}
