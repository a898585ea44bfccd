package steal

import (
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
)

// Why a step ran where it did, of those that the initiator could have run as
// well as another. Do not reorder: the numbers go over the wire.
type Why uint8

const (
	// Sent steps were expected to come in time from another member.
	Sent Why = iota + 1
	// Kept steps ran on the initiator because to send them did not pay.
	Kept
	// Shared steps ran on the initiator although it would have paid to send them,
	// too.
	Shared
	// Probed steps were sent although that did not seem to pay, to find out
	// whether that is so still.
	Probed
	// Ventured steps were sent although the initiator would have had them sooner: it
	// had enough else to do, and more was to come.
	Ventured
)

// String returns the reason in lower case.
func (w Why) String() string {
	names := [...]string{"unset", "sent", "kept", "shared", "probed", "ventured"}
	if int(w) >= len(names) {
		return "unknown"
	}
	return names[w]
}

// Choice is a decision where to run a step, and what came of it. Its times are
// from the decision on until the initiator has the outputs.
type Choice struct {
	Why Why
	// Peer got the step, or would have been the best of those that did not.
	Peer peer.ID
	// Here and There are what was expected of the initiator and of Peer, By is
	// when the step was needed: sooner, it does not end the build sooner.
	Here, There, By time.Duration
	// Came is how long it took. Regret is by how much that is beyond what the
	// other way would have taken, as far as that is known now, and beyond By.
	Came, Regret time.Duration
}

// choice is a Choice that is not known yet to be right.
type choice struct {
	made *Choice
	at   time.Time
	// hereRun and thereRun are the parts of Here and There that were to be run.
	hereRun, thereRun time.Duration
	// waited is how long the initiator had waited by then.
	waited time.Duration
}

// chose returns what came of the choice where to run a step, which m says it ran
// for so long; nil if there was none.
func (l *Leader) chose(s Step, m *member, run time.Duration) *Choice {
	c := l.tasks[s].choice
	if c.made == nil {
		return nil
	}
	chosen := *c.made
	home := l.crew[l.opts.Initiator]
	work := min(run, l.now.Sub(c.at)).Seconds() * m.bpu()
	chosen.Came = l.now.Sub(c.at) + l.home(s, m)
	other := chosen.There - c.thereRun
	if chosen.Why == Sent || chosen.Why == Probed || chosen.Why == Ventured {
		other = chosen.Here - c.hereRun + runTime(work, home.speed())
	} else if to, ok := l.crew[chosen.Peer]; ok {
		other += runTime(work, to.speed())
	}
	chosen.Regret = max(0, chosen.Came-max(other, chosen.By))
	return &chosen
}
