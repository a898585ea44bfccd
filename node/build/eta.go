package build

import (
	"cmp"
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
)

const (
	// lookEvery is how often the rest of a build is worked out anew; between
	// two looks it passes as time does.
	lookEvery = 100 * time.Millisecond
	// leastLeft is what is left at least of a step that runs longer than
	// expected.
	leastLeft = 0.05
	// What came may differ from what was expected by that much, as far as it
	// corrects the rest.
	leastPace, mostPace = 0.25, 8
)

// estimate says how long the rest of a build takes. Its model is a bound: as
// long as the longest chain of what is left on the fastest member, and no less
// than all of it on all members together. What the build took so far against
// that bound, its pace, corrects the rest: by little at the beginning, in full
// from half-time on. Work is in BPU-seconds. It reads no clock and is used by
// one goroutine at a time.
type estimate struct {
	began   time.Time
	cost    map[action.StepID]float64
	chain   map[action.StepID]float64 // the longest way to the end of the build
	order   []action.StepID           // by chain, the longest first
	left    map[action.StepID]bool
	running map[action.StepID]runs
	work    float64 // of what is left, the running steps in full
	forces  forces
	total   float64 // seconds by the model, at the beginning
	// ran is how long the steps ran that have finished, due how long they
	// should have, in seconds.
	ran, due float64
	known    int // steps of which a cost was known

	looked time.Time
	rest   time.Duration // as it was then
	// foresight is what was expected and when; its Took is set at the end.
	first, half event.Expected
}

// runs is a step that runs somewhere, and how fast in BPU.
type runs struct {
	since time.Time
	speed float64
}

// newEstimate returns nil if of less than half of what is left is known how
// long it takes. The rest is taken to be like what is known.
func newEstimate(steps []action.Step, done map[action.StepID]*action.Result, f forces, now time.Time) *estimate {
	e := &estimate{
		began: now, forces: f, cost: map[action.StepID]float64{}, chain: map[action.StepID]float64{}, left: map[action.StepID]bool{},
		running: map[action.StepID]runs{},
	}
	sum := 0.0
	for i := range steps {
		if s := &steps[i]; done[s.ID] == nil {
			e.left[s.ID] = true
			if s.Cost > 0 {
				e.known++
				sum += s.Cost
			}
		}
	}
	if e.known == 0 || 2*e.known < len(e.left) || f.power <= 0 {
		return nil
	}
	e.order = make([]action.StepID, 0, len(e.left))
	for i := len(steps) - 1; i >= 0; i-- {
		s := &steps[i]
		if !e.left[s.ID] {
			continue
		}
		e.order = append(e.order, s.ID)
		e.cost[s.ID] = cmp.Or(s.Cost, sum/float64(e.known))
		e.work += e.cost[s.ID]
		e.chain[s.ID] += e.cost[s.ID]
		for _, d := range s.Deps {
			e.chain[d.Step] = max(e.chain[d.Step], e.chain[s.ID])
		}
	}
	slices.SortStableFunc(e.order, func(a, b action.StepID) int { return cmp.Compare(e.chain[b], e.chain[a]) })
	e.total = e.model(now)
	e.look(now)
	e.first = event.Expected{ETAMS: e.rest.Milliseconds()}
	return e
}

// forces are what works on a build, in BPU: the fastest core, and all together.
type forces struct{ fastest, power float64 }

// forcesOf are those of the members that a build may use.
func forcesOf(members []peer.Member, modes steal.Modes) (f forces) {
	for _, m := range members {
		if m.Self || m.State == peer.Alive && !modes.Local {
			f.fastest = max(f.fastest, m.Caps.BPU)
			f.power += m.Caps.Power()
		}
	}
	if modes.Jobs > 0 {
		f.power = min(f.power, float64(modes.Jobs)*f.fastest)
	}
	return f
}

// started notes that a step runs, and how fast in BPU.
func (e *estimate) started(id action.StepID, speed float64, now time.Time) {
	if e != nil && e.left[id] {
		e.running[id] = runs{since: now, speed: speed}
	}
}

// finished takes a step out and returns how long the rest takes; 0 says that
// this is not known. A nil estimate knows nothing.
func (e *estimate) finished(id action.StepID, now time.Time) time.Duration {
	if e == nil {
		return 0
	}
	if e.left[id] {
		delete(e.left, id)
		e.work -= e.cost[id]
	}
	if r, ran := e.running[id]; ran {
		delete(e.running, id)
		e.ran, e.due = e.ran+now.Sub(r.since).Seconds(), e.due+e.cost[id]/r.speed
	}
	if since := now.Sub(e.looked); since < lookEvery && len(e.left) > 0 {
		return max(0, e.rest-since)
	}
	e.look(now)
	return e.rest
}

// look works out the rest.
func (e *estimate) look(now time.Time) {
	model := e.model(now)
	seconds := model
	if did := e.total - model; did > 0 {
		share := min(1, 2*did/e.total)
		seconds *= 1 + share*(paceOf(now.Sub(e.began).Seconds(), did)-1)
	}
	e.looked, e.rest = now, time.Duration(seconds*float64(time.Second))
	if model <= e.total/2 && e.half == (event.Expected{}) && model > 0 {
		e.half = event.Expected{AtMS: now.Sub(e.began).Milliseconds(), ETAMS: e.rest.Milliseconds()}
	}
}

// paceOf is how much longer than expected something took.
func paceOf(took, expected float64) float64 { return min(max(took/expected, leastPace), mostPace) }

// model is the bound of what is left, in seconds.
func (e *estimate) model(now time.Time) float64 {
	slow := 1.0
	if e.due > 0 {
		slow = paceOf(e.ran, e.due)
	}
	work, did := e.work, map[action.StepID]float64{}
	for id, r := range e.running { // in any order, but for rounding
		did[id] = min(now.Sub(r.since).Seconds()*r.speed/slow, (1-leastLeft)*e.cost[id])
		work -= did[id]
	}
	for len(e.order) > 0 && !e.left[e.order[0]] {
		e.order = e.order[1:]
	}
	chain := 0.0
	for _, id := range e.order {
		if !e.left[id] {
			continue
		}
		chain = max(chain, e.chain[id]-did[id])
		if _, isRunning := e.running[id]; !isRunning {
			break // no other one's is longer
		}
	}
	return max(chain/e.forces.fastest, work/e.forces.power, 0)
}

// forecast says how good the expectations were, when all is over; nil if there
// were none.
func (e *estimate) forecast(started, now time.Time) *event.Forecast {
	if e == nil {
		return nil
	}
	before := e.began.Sub(started).Milliseconds()
	came := func(x event.Expected) event.Expected {
		x.TookMS = now.Sub(e.began).Milliseconds() - x.AtMS
		x.AtMS += before
		return x
	}
	f := &event.Forecast{First: came(e.first)}
	if e.half != (event.Expected{}) {
		half := came(e.half)
		f.Half = &half
	}
	return f
}
