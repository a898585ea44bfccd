package steal

import (
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"pgregory.net/rapid"
)

func TestWhatIsFarBeyondTheUsual(t *testing.T) {
	for name, c := range map[string]struct {
		ran  []float64
		x    float64
		want bool
	}{
		"nobody has run":         {nil, 100, false},
		"few have":               {[]float64{1, 1, 1, 1, 1, 1, 1}, 100, false},
		"all alike":              {[]float64{1, 1, 1, 1, 1, 1, 1, 1}, 4.1, true},
		"not four times as long": {[]float64{1, 1, 1, 1, 1, 1, 1, 1}, 3.9, false},
		"as it was seen":         {[]float64{2.1, 2.3, 2.2, 2.6, 2, 2.4, 2.3, 2.5}, 9.5, true},
		"one is far off already": {[]float64{2.1, 2.3, 2.2, 2.6, 2, 2.4, 2.3, 47}, 12, true},
		"they are anything":      {[]float64{1, 2, 4, 8, 16, 1, 3, 30}, 39, false},
		"beyond even that":       {[]float64{1, 2, 4, 8, 16, 1, 3, 30}, 60, true},
	} {
		var s samples
		for _, y := range c.ran {
			s.add(y)
		}
		if got := s.farBeyond(c.x); got != c.want {
			t.Errorf("%s: %v beyond %v is %v", name, c.x, c.ran, got)
		}
	}
}

func TestNothingThatWasSeenOftenIsFarBeyond(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s samples
		for range rapid.IntRange(fewSiblings, 60).Draw(t, "runs") {
			s.add(rapid.Float64Range(0.01, 100).Draw(t, "work"))
		}
		if half := s.sorted[len(s.sorted)/2]; s.farBeyond(half) {
			t.Fatalf("half of %v took as long as %v", s.sorted, half)
		}
	})
}

// unmeasured is a first build in which peer2 has a step that others of its kind, of
// a second each, say runs for too long, and peer0 has nothing to do. So much was done.
func unmeasured(t *testing.T, done float64) (r *paper, s Step) {
	r = rule(t, 3, 3)
	for i := range r.l.opts.Plan.Graph.Steps() {
		r.l.opts.Plan.Graph.Steps()[i].Cost = 0
	}
	r.wants(1, "peer2")
	s = r.starts("peer2")
	for range fewSiblings {
		if r.l.exp.kinds == nil {
			r.l.exp.kinds = map[string]*samples{kind(r.l.step(s)): {}}
		}
		r.l.exp.kinds[kind(r.l.step(s))].add(1)
	}
	r.wants(1, "peer0")
	r.reports("peer0", r.starts("peer0"), Failure{})
	r.l.exp.work = done
	r.wants(1, "peer0")
	return r, s
}

func TestAStepThatNobodyHasMeasuredGetsABackupByItsSiblings(t *testing.T) {
	r, s := unmeasured(t, 40)
	r.passes(4 * time.Second)
	expect(t, "not yet", r.logged(OpBackup), 0)
	r.passes(500 * time.Millisecond)
	expect(t, "declared", r.logged(OpBackup), 1)
	expect(t, "peer0 has it", r.given["peer0"], []Step{s})
	r.starts("peer0")
	r.passes(time.Second)
	r.reports("peer0", s, Failure{})
	expect(t, "peer2 leaves it", r.told("peer2", Revoke{Step: s}), true)
	expect(t, "wasted", r.l.wasted, 0.0)
	if pace := r.l.crew["peer2"].paceOf(); pace > 0.9 {
		t.Errorf("peer2 took five times as long, and has a pace of %v", pace)
	}
}

func TestATrialCostsNoMoreThanBackupsMay(t *testing.T) {
	r, _ := unmeasured(t, 10)
	r.passes(20 * time.Second)
	expect(t, "declared where little was done", r.logged(OpBackup), 0)
}

// A step that takes long wherever it runs.
func TestATrialEndsWhenItWasForNothing(t *testing.T) {
	const unbounded, asManyAsTheTwo = 0, 2
	for _, jobs := range []int{unbounded, asManyAsTheTwo} {
		r, s := unmeasured(t, 40)
		r.l.opts.Plan.Modes.Jobs = jobs
		r.passes(4500 * time.Millisecond)
		r.starts("peer0")
		r.passes(3 * time.Second)
		expect(t, "ended", r.told("peer0", Revoke{Step: s}), true)
		expect(t, "peer2 goes on", r.l.tasks[s].worker, peer.ID("peer2"))
		if r.l.wasted <= 0 || r.l.wasted > MaxWaste*r.l.exp.work {
			t.Errorf("%d jobs: wasted %v of %v", jobs, r.l.wasted, r.l.exp.work)
		}
		r.passes(10 * time.Second)
		if most := MaxWaste * r.l.exp.work; r.l.wasted+r.l.atStake > most {
			t.Errorf("%d jobs: wasted %v, at stake %v, of %v", jobs, r.l.wasted, r.l.atStake, most)
		}
	}
}
