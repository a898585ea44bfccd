package check

import (
	"fmt"
	"time"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
)

// unheard is how long before an assignment a worker must have been apart from
// the leader to be excused for not having been heard: its lease, and the
// hearing.
const unheard = steal.Lease + steal.HearingTime

// Twice is the rule that no step is executed twice in a build, but as a backup
// that its leader declared (see Backups, Waste). When it was
// given to the second worker, the first must not have had it any more: it died
// or was taken for lost, the step was taken back, its try came to nothing, or
// its result was lost (see hands). Or else the leader could not know: the first
// worker, or an old leader that went on, was apart from it. An action that
// differs is another step: an input came out otherwise. That another leader
// took over excuses nothing: the hearing is for that, and whoever assigns before
// it is over must have heard everybody whom it believes alive. A leader that was
// cut off from the initiator ends the build for whoever serves it. In a setting
// without any fault nothing is an excuse.
type Twice struct {
	unsettled
	hands *hands
	wrong *troubles
	led   map[logOf]time.Duration
	// suspects are the nodes that a node believes dead, and known those that it
	// heard of: by who believes, and of whom.
	suspects, known map[[2]int]bool
	// met is when a node took the Hello of an epoch.
	met map[meeting]time.Duration
	// troubled says that something goes wrong in the setting, once it is judged.
	judged, troubled bool
}

type meeting struct {
	logOf
	node int
}

// NewTwice returns the rule for one run.
func NewTwice() *Twice {
	return &Twice{
		hands: newHands(), wrong: newTroubles(), led: map[logOf]time.Duration{}, met: map[meeting]time.Duration{},
		suspects: map[[2]int]bool{}, known: map[[2]int]bool{},
	}
}

// Name names the rule.
func (*Twice) Name() string { return "no step is executed twice" }

// Observe looks at each execution.
func (r *Twice) Observe(w World, e *trace.Event) string {
	r.wrong.Observe(w, e)
	switch e.Kind {
	case trace.Led:
		r.led[logOf{e.Build, e.Epoch}] = e.At
	case trace.Heard:
		if at := (meeting{logOf{e.Build, e.Epoch}, e.Node}); e.Text == "Hello" && r.met[at] == 0 {
			r.met[at] = e.At
		}
	case trace.Suspected:
		r.suspects[[2]int{e.Node, e.Peer}] = true
	case trace.Believed:
		delete(r.suspects, [2]int{e.Node, e.Peer})
		r.known[[2]int{e.Node, e.Peer}] = true
	}
	now := r.hands.Observe(e)
	if now == nil {
		return ""
	}
	for _, other := range r.hands.attempts[stepOf{e.Build, e.Step}] {
		if other == now || !other.began || other.action != now.action {
			continue
		}
		a, b := other, now
		if b.assigned < a.assigned {
			a, b = b, a
		}
		if b.backup {
			continue // it was declared; what is given when that one has it was not
		}
		if r.calm(w) || r.excuse(w.Setting().Builds[e.Build].Initiator, a, b) == "" || r.hasty(w.Setting(), e.Build, a, b) {
			return fmt.Sprintf("step %d of build %d is executed on node %d (given at %v in epoch %d), and was on node %d (given at %v in epoch %d)",
				e.Step, e.Build, now.node, now.assigned, now.epoch.Number, other.node, other.assigned, other.epoch.Number)
		}
	}
	return ""
}

// calm reports whether nothing goes wrong in a setting: then nothing excuses a
// second execution.
func (r *Twice) calm(w World) bool {
	if !r.judged {
		r.judged, r.troubled = true, troubled(w.Setting())
	}
	return !r.troubled
}

// hasty reports whether a leader gave a step away that another had, from before
// its time, when it had neither heard that one nor listened long enough. The
// leader before it has been silent for a lease already: LeastHearing is long enough.
func (r *Twice) hasty(s *setting.Setting, build int, a, b *attempt) bool {
	reign := logOf{build, b.epoch}
	met, enough := r.met[meeting{reign, a.node}], steal.HearingTime
	if a.node == a.epoch.Leader || a.node == r.before(reign) {
		enough = steal.LeastHearing
	}
	return a.epoch.Less(b.epoch) && !a.freeAt(b.assigned) && !a.cut && (met == 0 || met > b.assigned) &&
		b.assigned < r.led[reign]+enough && !r.absent(s, b.epoch.Leader, a.node)
}

// before is who led in the epoch before another, -1 if nobody did.
func (r *Twice) before(reign logOf) int {
	last := trace.Epoch{Leader: -1}
	for led := range r.led {
		if led.build == reign.build && led.epoch.Less(reign.epoch) && (last.Leader < 0 || last.Less(led.epoch)) {
			last = led.epoch
		}
	}
	return last.Leader
}

// absent reports whether a leader does not know that a node is there: it
// believes it dead, or has not heard yet that it came.
func (r *Twice) absent(s *setting.Setting, leader, node int) bool {
	of := [2]int{leader, node}
	return r.suspects[of] || leader != node && s.Nodes[node].Late > 0 && !r.known[of]
}

// excuse names why a step was given to two workers, to a before b, or is "".
func (r *Twice) excuse(initiator int, a, b *attempt) string {
	if a.freeAt(b.assigned) {
		return a.freed
	}
	if a.ended && r.wrong.of(a.node).disk.since(a.assigned) {
		return "the disk of its worker may have failed what it made"
	}
	since := max(0, b.assigned-unheard)
	if why := r.wrong.apart(a.node, b.epoch.Leader, since); why != "" {
		return why
	}
	if a.cut && a.cutAt <= b.assigned {
		for _, other := range [2]int{initiator, a.node} {
			if why := r.wrong.apart(a.served.Leader, other, max(0, a.cutAt-steal.Bereft-unheard)); why != "" {
				return why
			}
		}
		if wayOf(r.wrong.setting, a.served.Leader, initiator).far() {
			return "whoever took over is too far from the initiator to be followed in time, and ended the build"
		}
	}
	if b.epoch == a.epoch {
		return ""
	}
	if wayOf(r.wrong.setting, a.node, b.epoch.Leader).far() {
		return "the first worker is too far to be heard in the time of a hearing"
	}
	return r.cutOff(a, b, since)
}

// cutOff names why one of two leaders went on beside the other, or is "".
func (r *Twice) cutOff(a, b *attempt, since time.Duration) string {
	if !b.epoch.Less(a.epoch) {
		return ""
	}
	if why := r.wrong.apart(a.epoch.Leader, b.epoch.Leader, since); why != "" {
		return why
	}
	return r.wrong.apart(a.epoch.Leader, b.node, since)
}
