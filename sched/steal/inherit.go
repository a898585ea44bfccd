package steal

import (
	"slices"

	"github.com/buildnet/buildnet/mesh/peer"
)

// inherit makes a log of this epoch of what was known before it: whoever
// keeps the log needs no other.
func (l *Leader) inherit() error {
	old := NewRecord(l.opts.Plan)
	for _, op := range l.opts.Log {
		if op.Kind == OpEnded {
			continue // its initiator did not hear it, or there would be no successor
		}
		if err := old.Apply(op); err != nil {
			return err
		}
	}
	l.inheritSteps(old)
	l.opts.Log = nil
	l.heritage = heritage{old.Heir, old.Ready}
	for i := range old.Steps {
		l.inheritStep(Step(i), &old.Steps[i])
	}
	if old.Mode != Whole {
		l.append(Op{Kind: OpMode, Text: old.Mode.String(), Peers: old.Missing})
	}
	for _, id := range old.Quarantined {
		l.append(Op{Kind: OpQuarantined, Peer: id, Text: inEarlierEpoch})
	}
	return nil
}

// inEarlierEpoch is what the log says of what it repeats.
const inEarlierEpoch = "in an earlier epoch"

func (l *Leader) inheritStep(s Step, old *StepRecord) {
	own := &l.record.Steps[s]
	if own.Result != nil && own.Done != old.Done {
		l.append(Op{Kind: OpReopened, Step: s})
	}
	if own.Result == nil && own.Failed == "" {
		for range old.Tries {
			l.append(Op{Kind: OpTried, Step: s, Text: inEarlierEpoch})
		}
		began := old.Began
		for i := range old.Lost {
			fallen := peer.ID("")
			if i < len(old.Fallen) {
				fallen = old.Fallen[i]
			}
			l.append(Op{Kind: OpLost, Step: s, Peer: fallen, Text: inEarlierEpoch})
		}
		if slices.Contains(began, l.opts.Predecessor) {
			began = without(began, l.opts.Predecessor) // the leader itself
			l.append(Op{Kind: OpLost, Step: s, Peer: l.opts.Predecessor, Text: inEarlierEpoch})
		}
		switch {
		case old.Failed != "":
			l.append(Op{Kind: OpFailed, Step: s, Text: old.Failed})
		case old.Done != nil:
			l.append(Op{Kind: OpDone, Step: s, Done: old.Done})
		case old.Before != nil && own.Before == nil:
			l.append(Op{Kind: OpDone, Step: s, Done: old.Before})
			l.append(Op{Kind: OpReopened, Step: s})
		}
		for _, by := range began {
			l.append(Op{Kind: OpStarted, Step: s, Peer: by})
		}
		if old.Backup != "" {
			l.append(Op{Kind: OpBackup, Step: s, Peer: old.Backup})
		}
	}
	if old.Secured && !own.Secured {
		l.append(Op{Kind: OpSecured, Step: s})
	}
}

// inheritSteps begins the log with what the last one added.
func (l *Leader) inheritSteps(old *Record) {
	for _, op := range l.opts.Log {
		if op.Kind == OpAdded {
			if err := l.record.Apply(op); err != nil {
				panic("steal: steps that were in a log: " + err.Error())
			}
			l.logAdded(op)
			l.grow(op.Steps, 0)
		}
	}
	if old.Shut {
		l.append(Op{Kind: OpShut})
	}
}
