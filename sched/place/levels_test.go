package place

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestLevelsOfKnownGraphs(t *testing.T) {
	chain := []Span{{High: 4, Low: 3, Work: 1}, {High: 3, Low: 2, Work: 1}, {High: 2, Low: 1, Work: 1}, {High: 1, Low: 0, Work: 1}}
	wide := []Span{{High: 1, Work: 1}, {High: 1, Work: 1}, {High: 1, Work: 1}, {High: 1, Work: 1}}
	for name, c := range map[string]struct {
		spans []Span
		cores []Core
		rank  float64
		want  float64
	}{
		"a chain goes over the fastest":        {chain, []Core{{1, 3}, {2, 1}}, 0, 2},
		"half of it":                           {chain, []Core{{1, 3}, {2, 1}}, 2, 1},
		"nothing is above the top":             {chain, []Core{{2, 1}}, 4, 0},
		"nor above that":                       {chain, []Core{{2, 1}}, 9, 0},
		"four at once on one of three":         {wide, []Core{{2, 1}, {1, 2}}, 0, 1},
		"four at once on a part of many":       {wide, []Core{{2, 3}, {1, 9}}, 0, 4.0 / 7},
		"twice the work of what was expected":  {[]Span{{High: 1, Work: 2}}, []Core{{1, 1}}, 0, 2},
		"nothing is left":                      {nil, []Core{{1, 1}}, 0, 0},
		"nobody works":                         {chain, nil, 0, 0},
		"a boaster counts for nothing":         {wide, []Core{{math.Inf(1), 1}, {1, 4}}, 0, 1},
		"what is below nothing is cut":         {[]Span{{High: 1, Low: -1, Work: 1}}, []Core{{1, 1}}, 0, 1},
		"of a step that is over there is none": {[]Span{{High: 1, Low: 1, Work: 0}}, []Core{{1, 1}}, 0, 0},
	} {
		if got := NewLevels(c.spans, c.cores).Until(c.rank); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestLevelsAreAsLongAsTheWorkAndNoShorter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var spans []Span
		work := 0.0
		for range rapid.IntRange(1, 60).Draw(t, "spans") {
			low, cost := rapid.Float64Range(0, 100).Draw(t, "low"), rapid.Float64Range(0.001, 10).Draw(t, "cost")
			spans = append(spans, Span{High: low + cost, Low: low, Work: cost})
			work += cost
		}
		cores := []Core{{rapid.Float64Range(0.1, 8).Draw(t, "speed"), rapid.IntRange(1, 9).Draw(t, "count")}, {1, 3}}
		power := cores[0].Speed*float64(cores[0].Count) + 3
		l := NewLevels(spans, cores)
		if got := l.Until(0); got < work/power-1e-6 {
			t.Fatalf("%v of work at %v takes %v", work, power, got)
		}
		for r := 0.0; r < 110; r++ {
			if l.Until(r+1) > l.Until(r)+1e-9 {
				t.Fatalf("more is above %v than above %v", r+1, r)
			}
		}
	})
}
