package build

import (
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
)

const (
	// A peer is of no use to a build if at least leastKept steps were kept from it,
	// and keptForEach for each that it got.
	leastKept   = 3
	keptForEach = 10
)

// choices adds up where the steps of a build ran, and whether that was well
// chosen. It reads no clock and is used by one goroutine at a time. A nil one
// adds up nothing.
type choices struct {
	began time.Time
	last  action.StepID // of those that ran
	ended time.Time
	runs  map[action.StepID]ran
	sum   event.Choices
	sent  map[peer.ID]int
	kept  map[peer.ID]int
}

// ran is a step that was executed.
type ran struct {
	at     time.Time
	work   float64 // in BPU-seconds
	regret time.Duration
}

func newChoices(now time.Time) *choices {
	return &choices{began: now, runs: map[action.StepID]ran{}, sent: map[peer.ID]int{}, kept: map[peer.ID]int{}}
}

// finished takes a step that was executed, by a machine with cores of bpu.
func (c *choices) finished(step action.StepID, d *steal.Done, bpu float64, now time.Time) {
	if c == nil {
		return
	}
	r := ran{at: now, work: d.Timings.Run.Seconds() * bpu}
	if d.Choice != nil {
		r.regret = d.Choice.Regret
		c.count(d.Choice)
	}
	c.runs[step], c.last, c.ended = r, step, now
}

func (c *choices) count(ch *steal.Choice) {
	c.sum.StepsRegretMS += ch.Regret.Milliseconds()
	switch ch.Why {
	case steal.Sent, steal.Ventured:
		c.sum.Sent++
		c.sent[ch.Peer]++
	case steal.Kept:
		c.sum.Kept++
		c.kept[ch.Peer]++
	case steal.Shared:
		c.sum.Shared++
	case steal.Probed:
		c.sum.Probed++
	}
}

// summary is what came of all, on a machine of these forces; nil if there was
// nothing to choose.
func (c *choices) summary(steps []action.Step, here forces) *event.Choices {
	if c == nil || c.sum.Sent+c.sum.Kept+c.sum.Shared+c.sum.Probed == 0 {
		return nil
	}
	s := c.sum
	s.TookMS = c.ended.Sub(c.began).Milliseconds()
	s.AloneMS = int64(1000 * c.alone(steps, here))
	s.SavedMS = s.AloneMS - s.TookMS
	s.RegretMS = c.waited(steps).Milliseconds()
	if s.TookMS > 0 {
		s.RegretPercent = 100 * float64(s.RegretMS) / float64(s.TookMS)
	}
	for id, n := range c.kept {
		if n >= leastKept && n >= keptForEach*c.sent[id] {
			s.Useless = append(s.Useless, string(id))
		}
	}
	slices.Sort(s.Useless)
	return &s
}

// alone is how long what was executed takes on one machine at least, in seconds:
// its longest chain on one core, and all of it on all.
func (c *choices) alone(steps []action.Step, here forces) float64 {
	if here.fastest <= 0 || here.power <= 0 {
		return 0
	}
	chain, longest, work := make(map[action.StepID]float64, len(steps)), 0.0, 0.0
	for i := range steps {
		s := &steps[i]
		before := 0.0
		for _, d := range s.Deps {
			before = max(before, chain[d.Step])
		}
		chain[s.ID] = before + c.runs[s.ID].work
		longest = max(longest, chain[s.ID])
		work += c.runs[s.ID].work
	}
	return max(longest/here.fastest, work/here.power)
}

// waited is the regret of the chain of steps at whose end the build ended: each
// waited for the one before it that came last.
func (c *choices) waited(steps []action.Step) time.Duration {
	places := make(map[action.StepID]int, len(steps))
	for i := range steps {
		places[steps[i].ID] = i
	}
	sum := time.Duration(0)
	for at := c.last; at != ""; {
		sum += c.runs[at].regret
		before := action.StepID("")
		for _, d := range steps[places[at]].Deps {
			if r, ok := c.runs[d.Step]; ok && (before == "" || r.at.After(c.runs[before].at)) {
				before = d.Step
			}
		}
		at = before
	}
	return sum
}

// hereAlone is what this machine does by itself with all slots that the build may
// have, whatever else it is doing just now: what steps took says that.
func (r *run) hereAlone() forces {
	speed, slots := r.exp.Speed(r.opts.Self), max(r.exp.Caps(r.opts.Self).Slots, 1)
	if jobs := r.req.Modes.Jobs; jobs > 0 {
		slots = min(slots, jobs)
	}
	return forces{fastest: speed, power: speed * float64(slots)}
}
