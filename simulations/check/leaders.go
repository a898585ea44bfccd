package check

import (
	"fmt"
	"slices"
	"time"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/trace"
)

// Overlap is how long two leaders of one build may live side by side once they
// can reach each other. The initiator follows the new one within FollowTime, or
// that one ends itself. The old one hears of it by the refusal of its next
// beat; if its stream to the initiator broke meanwhile, by the refusal of its
// Hello after Redial, or else it has lost its initiator after a Lease. Twice
// BeatEvery is for the beats of either machine, and the rest for the way of the
// messages over a bad link.
const Overlap = steal.FollowTime + steal.Lease + steal.Redial + 2*steal.BeatEvery + 700*time.Millisecond

// Leaders is the rule that after the faults a build has one leader on each
// connected side.
type Leaders struct {
	unsettled
	// reigns of each build that go on, in the order in which they began.
	reigns map[int][]reign
	double map[int]bool // builds with several
	// changed is when something happened last that parts or joins nodes.
	changed time.Duration
	healed  bool
}

type reign struct {
	epoch trace.Epoch
	since time.Duration
}

// NewLeaders returns the rule for one run.
func NewLeaders() *Leaders { return &Leaders{reigns: map[int][]reign{}, double: map[int]bool{}} }

// Name names the rule.
func (*Leaders) Name() string { return "one leader a build" }

// Observe keeps who leads.
func (r *Leaders) Observe(w World, e *trace.Event) string {
	if shakes(e.Kind) {
		r.changed = e.At
	}
	switch e.Kind {
	case trace.Healed:
		r.healed, r.changed = true, e.At
	case trace.Down:
		r.changed = e.At
		for b := range r.reigns {
			r.end(b, func(x reign) bool { return x.epoch.Leader == e.Node })
		}
	case trace.Led:
		r.reigns[e.Build] = append(r.reigns[e.Build], reign{e.Epoch, e.At})
		r.double[e.Build] = len(r.reigns[e.Build]) > 1
	case trace.Deposed:
		r.end(e.Build, func(x reign) bool { return x.epoch == e.Epoch })
	}
	if !r.healed && w.Setting().HealAt > 0 {
		return ""
	}
	return r.judge(w, e.At)
}

func (r *Leaders) end(build int, which func(reign) bool) {
	r.reigns[build] = slices.DeleteFunc(r.reigns[build], which)
	r.double[build] = len(r.reigns[build]) > 1
	if !r.double[build] {
		delete(r.double, build)
	}
}

func (r *Leaders) judge(w World, now time.Duration) string {
	if len(r.double) == 0 || now < r.changed+Overlap {
		return ""
	}
	for b := range w.Setting().Builds {
		if !r.double[b] {
			continue
		}
		for i, old := range r.reigns[b] {
			for _, young := range r.reigns[b][i+1:] {
				if now >= young.since+Overlap && w.Connected(old.epoch.Leader, young.epoch.Leader) {
					return fmt.Sprintf("build %d has two leaders for %v: node %d in epoch %d and node %d in epoch %d", b, now-young.since,
						old.epoch.Leader, old.epoch.Number, young.epoch.Leader, young.epoch.Number)
				}
			}
		}
	}
	return ""
}
