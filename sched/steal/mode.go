package steal

import (
	"fmt"

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
