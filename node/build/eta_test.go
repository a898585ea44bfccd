package build

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
)

var noon = time.Unix(1_700_000_000, 0)

func costing(id string, cost float64, deps ...action.StepID) action.Step {
	s := action.Step{ID: action.StepID(id), Cost: cost}
	for _, d := range deps {
		s.Deps = append(s.Deps, action.Dep{Step: d})
	}
	return s
}

// cores are all as fast as one of 1 BPU.
func cores(n float64) forces { return forces{fastest: 1, power: n} }

func TestModelIsTheLongestChainOrAllWork(t *testing.T) {
	steps := []action.Step{
		costing("known", 100), costing("a", 4, "known"), costing("b", 6), costing("c", 10, "a"), costing("d", 20, "b"), costing("e", 2),
	}
	done := map[action.StepID]*action.Result{"known": {}}
	e := newEstimate(steps, done, forces{fastest: 2, power: 5}, noon)
	for _, tc := range []struct {
		finished action.StepID
		want     float64
	}{
		{"e", 13}, // b, d on the fastest: 26/2
		{"b", 10}, // d: 20/2
		{"d", 7},  // a, c: 14/2
		{"a", 5},
		{"c", 0},
	} {
		e.finished(tc.finished, noon)
		if got := e.model(noon); got != tc.want {
			t.Errorf("after %s: %v s, want %v", tc.finished, got, tc.want)
		}
	}
	wide := newEstimate([]action.Step{costing("x", 5), costing("y", 5), costing("z", 5)}, nil, cores(1), noon)
	wide.finished("x", noon)
	if got := wide.model(noon); got != 10 {
		t.Errorf("two steps on one core: %v s, want all the work", got)
	}
}

func TestWhatIsNotKnownIsLikeTheRest(t *testing.T) {
	crew := cores(1)
	if newEstimate([]action.Step{costing("x", 0)}, nil, crew, noon) != nil {
		t.Error("an estimate of what was never measured")
	}
	if newEstimate([]action.Step{costing("x", 1), costing("y", 0), costing("z", 0)}, nil, crew, noon) != nil {
		t.Error("an estimate of what is mostly not known")
	}
	e := newEstimate([]action.Step{costing("x", 4), costing("y", 2), costing("z", 0)}, nil, crew, noon)
	if e.known != 2 || e.rest != 9*time.Second {
		t.Errorf("%d known, %v", e.known, e.rest)
	}
}

func TestForcesAreThoseThatMayWork(t *testing.T) {
	members := []peer.Member{
		{Self: true, State: peer.Alive, Caps: peer.Capabilities{BPU: 1, Cores: 2}},
		{State: peer.Alive, Caps: peer.Capabilities{BPU: 2, Cores: 4}},
		{State: peer.Failed, Caps: peer.Capabilities{BPU: 9, Cores: 9}},
	}
	for _, tc := range []struct {
		modes steal.Modes
		want  forces
	}{
		{steal.Modes{}, forces{2, 10}},
		{steal.Modes{Local: true}, forces{1, 2}},
		{steal.Modes{Jobs: 3}, forces{2, 6}},
	} {
		if got := forcesOf(members, tc.modes); got != tc.want {
			t.Errorf("%+v: %+v, want %+v", tc.modes, got, tc.want)
		}
	}
}

func TestARunningStepCountsAsFarAsItRan(t *testing.T) {
	e := newEstimate([]action.Step{costing("a", 10), costing("b", 2, "a")}, nil, cores(1), noon)
	e.started("a", 1, noon)
	for _, tc := range []struct {
		after time.Duration
		want  float64
	}{{4 * time.Second, 8}, {time.Minute, 2.5}} { // of a step that is late something is left
		if got := e.model(noon.Add(tc.after)); math.Abs(got-tc.want) > 1e-9 {
			t.Errorf("after %v: %v s, want %v", tc.after, got, tc.want)
		}
	}
}

// play runs steps on equal cores as a list scheduler does, each factor times as
// long as expected, and returns how long that took. tell hears of every end.
func play(e *estimate, steps []action.Step, cores int, factor float64, tell func(at, eta time.Duration)) time.Duration {
	type running struct {
		step int
		ends time.Duration
	}
	var now time.Duration
	var busy []running
	started, done := map[int]bool{}, map[action.StepID]bool{}
	for len(done) < len(steps) {
		for _, i := range byChain(e, steps) {
			ready := !started[i] && !slices.ContainsFunc(steps[i].Deps, func(d action.Dep) bool { return !done[d.Step] })
			if ready && len(busy) < cores {
				started[i] = true
				busy = append(busy, running{i, now + time.Duration(steps[i].Cost*factor*float64(time.Second))})
				e.started(steps[i].ID, 1, noon.Add(now))
			}
		}
		slices.SortFunc(busy, func(a, b running) int { return int(a.ends - b.ends) })
		next := busy[0]
		busy, now = busy[1:], next.ends
		done[steps[next.step].ID] = true
		tell(now, e.finished(steps[next.step].ID, noon.Add(now)))
	}
	return now
}

func byChain(e *estimate, steps []action.Step) []int {
	order := make([]int, len(steps))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return int(1e6 * (e.chain[steps[b].ID] - e.chain[steps[a].ID]))
	})
	return order
}

// With exact costs the first expectation is a bound of what comes, which a list
// scheduler reaches but for a factor of two (Graham, 1966); a machine that is
// slower than expected shows by half-time.
func TestExpectationsAgainstWhatComes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(8, 60).Draw(t, "steps")
		width := rapid.IntRange(1, 6).Draw(t, "cores")
		factor := rapid.SampledFrom([]float64{1, 1, 0.7, 2, 3}).Draw(t, "factor")
		steps := make([]action.Step, n)
		for i := range steps {
			steps[i] = costing(fmt.Sprint(i), rapid.Float64Range(0.5, 4).Draw(t, "cost"))
			if i > 0 && rapid.Bool().Draw(t, "depends") {
				on := rapid.IntRange(max(0, i-10), i-1).Draw(t, "on")
				steps[i].Deps = []action.Dep{{Step: steps[on].ID}}
			}
		}
		e := newEstimate(steps, nil, cores(float64(width)), noon)
		took := play(e, steps, width, factor, func(at, eta time.Duration) {
			if eta < 0 || eta > time.Hour {
				t.Fatalf("after %v: %v", at, eta)
			}
		})
		f := e.forecast(noon, noon.Add(took))
		if f.First.TookMS != took.Milliseconds() || f.First.AtMS != 0 {
			t.Fatalf("%+v of a build that took %v", f.First, took)
		}
		ratio := func(x event.Expected) float64 { return float64(x.ETAMS) / float64(x.TookMS) }
		if r := ratio(f.First) * factor; r > 1.001 || r < 0.5 {
			t.Fatalf("the first expectation is %v of what came", r)
		}
		if f.Half != nil && f.Half.TookMS > 2000 {
			if r := ratio(*f.Half); r < 0.4 || r > 2.5 {
				t.Fatalf("at half-time it is %v of what came: %+v", r, f.Half)
			}
		}
	})
}

func TestForecastIsSeenFromTheBuildsStart(t *testing.T) {
	e := newEstimate([]action.Step{costing("a", 1), costing("b", 1)}, nil, cores(1), noon)
	e.started("a", 1, noon)
	e.finished("a", noon.Add(time.Second))
	e.finished("b", noon.Add(2500*time.Millisecond))
	got := e.forecast(noon.Add(-time.Second), noon.Add(3*time.Second))
	if want := (event.Expected{AtMS: 1000, ETAMS: 2000, TookMS: 3000}); got.First != want {
		t.Errorf("first %+v, want %+v", got.First, want)
	}
	if want := (event.Expected{AtMS: 2000, ETAMS: 1000, TookMS: 2000}); got.Half == nil || *got.Half != want {
		t.Errorf("half %+v, want %+v", got.Half, want)
	}
	var none *estimate
	if none.forecast(noon, noon) != nil || none.finished("a", noon) != 0 {
		t.Error("no estimate says something")
	}
}
