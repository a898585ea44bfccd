package steal

import (
	"math"
	"slices"
	"time"
)

// Of a step that nobody has measured others of its kind say when it runs for too
// long. It may be one that takes long wherever it runs, which a backup finds out: it is
// a trial, that may cost as much as such a step does, and is ended when it has. One
// that is first has shown that the other member is slow.

const (
	// fewSiblings are too few to say of another what is usual.
	fewSiblings = 8
	// farApart is how many deviations beyond the median a run has to be, and more than
	// surelyLate times that: what compilers take has a long tail.
	farApart = 8
	// ofNormal makes the median of deviations one deviation of a normal distribution
	// (Hampel, The Influence Curve and Its Role in Robust Estimation, 1974, section 6).
	ofNormal = 1.4826
)

// farBeyond reports whether x is far beyond all that is usual: by the median, and the
// median of the deviations from that, which a few that are far off do not move.
func (s *samples) farBeyond(x float64) bool {
	if s == nil || len(s.sorted) < fewSiblings {
		return false
	}
	median := s.median()
	if x <= surelyLate*median {
		return false
	}
	off := make([]float64, len(s.sorted))
	for i, y := range s.sorted {
		off[i] = math.Abs(y - median)
	}
	slices.Sort(off)
	return x > median+farApart*ofNormal*off[len(off)/2]
}

// apart reports whether a run of a step that nobody has measured is far beyond those
// of its kind.
func (l *Leader) apart(s Step, m *member, elapsed time.Duration) bool {
	return l.exp.kinds[kind(l.step(s))].farBeyond((elapsed - slack).Seconds() * m.bpu())
}

// proves takes it that a trial was first: whoever had the step before is as slow as the
// two runs say.
func (l *Leader) proves(t *task, took time.Duration, winner, loser *member) {
	if spent := l.spent(t, loser.id); spent > 0 && took > 0 {
		loser.learn(took.Seconds() * winner.bpu() / spent)
	}
}
