package makespan

import (
	"flag"
	"fmt"
	"testing"

	"github.com/buildnet/buildnet/sched/place"
)

var seeds = flag.Int("makespan-seeds", 4, "how many builds of each shape BenchmarkMakespan runs")

// BenchmarkMakespan is what builds take in the simulated world against what is
// possible: median, 90th and 99th percentile of the ratios. With 40 seeds it is
// the table of docs/scheduling.md.
func BenchmarkMakespan(b *testing.B) {
	hints := []string{"near", "exact", "none"}
	for h, name := range hints {
		b.Run("smart/"+name, func(b *testing.B) { measure(b, place.Policy{}, Hints(h)) })
	}
	for i, name := range place.Strategies()[1:] {
		b.Run(name+"/near", func(b *testing.B) { measure(b, place.Policy{Strategy: place.Strategy(i + 1)}, Near) })
	}
}

func measure(b *testing.B, policy place.Policy, hints Hints) {
	for range b.N {
		var bound, sharp, heft []float64
		for _, shape := range Shapes {
			var of, ofSharp, ofHEFT []float64
			for seed := range uint64(*seeds) {
				s := Draw(seed, shape, policy, hints)
				r, err := Measure(b.Context(), s)
				if err != nil {
					b.Fatal(shape, err)
				}
				r.Bounds(s)
				took := r.Took.Seconds()
				of, ofSharp, ofHEFT = append(of, took/r.Bound), append(ofSharp, took/r.Sharp), append(ofHEFT, took/r.HEFT)
			}
			b.Logf("%-9s of the bound %v, of the sharp one %v, of HEFT %v", shape, Of(of), Of(ofSharp), Of(ofHEFT))
			bound, sharp, heft = append(bound, of...), append(sharp, ofSharp...), append(heft, ofHEFT...)
		}
		b.Logf("all       of the bound %v, of the sharp one %v, of HEFT %v", Of(bound), Of(sharp), Of(heft))
		b.ReportMetric(Of(bound).Median, "median")
		b.ReportMetric(Of(bound).P99, "p99")
		b.ReportMetric(Of(sharp).P99, "p99-of-sharp")
	}
}

func TestBoundsAreNoLongerThanASchedule(t *testing.T) {
	for _, shape := range Shapes {
		for seed := range uint64(6) {
			s := Draw(seed, shape, place.Policy{}, Exact)
			var r Result
			if r.Bounds(s); r.Sharp < r.Bound-1e-9 || r.HEFT < r.Sharp-1e-9 {
				t.Errorf("%s, seed %d: bounds of %v and %v, and a schedule of %v", shape, seed, r.Bound, r.Sharp, r.HEFT)
			}
		}
	}
}

// TestSmartIsNearTheBound holds what docs/scheduling.md says, on few seeds.
func TestSmartIsNearTheBound(t *testing.T) {
	var of, simple []float64
	for _, shape := range Shapes {
		for seed := range uint64(2) {
			var bounds Result
			bounds.Bounds(Draw(seed, shape, place.Policy{}, Near))
			for _, c := range []struct {
				policy place.Policy
				to     *[]float64
			}{{place.Policy{}, &of}, {place.Policy{Strategy: place.RoundRobin}, &simple}} {
				r, err := Measure(t.Context(), Draw(seed, shape, c.policy, Near))
				if err != nil {
					t.Fatal(shape, err)
				}
				*c.to = append(*c.to, r.Took.Seconds()/bounds.Sharp)
			}
		}
	}
	if got := Of(of).Median; got > 1.12 {
		t.Errorf("half of the builds take %.2f of the sharp bound", got)
	}
	if fmt.Sprint(of) == fmt.Sprint(simple) || Of(simple).Median < Of(of).Median {
		t.Errorf("the strategy makes no difference, or is better: %v, %v", of, simple)
	}
}
