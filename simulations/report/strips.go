package report

import (
	"fmt"
	"html"
	"strings"

	"github.com/buildnet/buildnet/simulations/measure"
)

// figure is one number of a run that is compared over seeds.
type figure struct {
	name string
	of   func(*measure.Summary) (float64, bool)
}

// figures are what runs are compared by.
var figures = []figure{
	{"makespan, median of builds, s", func(s *measure.Summary) (float64, bool) { return measure.Median(s.Makespan) }},
	{"makespan over its bound, median of builds", func(s *measure.Summary) (float64, bool) { return measure.Median(s.Ratio) }},
	{"utilisation, %", func(s *measure.Summary) (float64, bool) { return 100 * s.Utilisation, s.Executed > 0 }},
	{"wasted work, %", func(s *measure.Summary) (float64, bool) { return 100 * s.Wasted, s.Executed > 0 }},
	{"leader's loss to the next assignment, median, s", func(s *measure.Summary) (float64, bool) { return measure.Median(s.Handover) }},
	{"blobs moved, MB", func(s *measure.Summary) (float64, bool) { return float64(s.Blobs) / 1e6, true }},
}

// Compared is one figure over several runs.
type Compared struct {
	Name string
	measure.Spread
}

// Compare says how the figures lie over runs, of those that have any.
func Compare(runs []*measure.Summary) []Compared {
	var all []Compared
	for _, f := range figures {
		if over := measure.Over(runs, f.of); over.Count > 0 {
			all = append(all, Compared{f.name, over})
		}
	}
	return all
}

// The size of a strip, in its own units.
const stripWidth, stripHeight, stripLeft, stripRight = 720., 46., 12., 708.

// strips draws one line a figure: a dot a seed, and where most of them lie.
func strips(runs []*measure.Summary) string {
	var b strings.Builder
	for _, f := range figures {
		over := measure.Over(runs, f.of)
		if over.Count == 0 {
			continue
		}
		x := axis{low: over.Min, high: over.Max, begin: stripLeft, end: stripRight}
		if x.low == x.high {
			x.low, x.high = x.low-1, x.high+1
		}
		fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s">`, stripWidth, stripHeight, html.EscapeString(f.name))
		fmt.Fprintf(&b, `<text x="%g" y="12">%s: min %s, median %s, p90 %s, max %s</text>`, stripLeft, html.EscapeString(f.name), Short(over.Min), Short(over.Median), Short(over.P90), Short(over.Max))
		fmt.Fprintf(&b, `<line class="axis" x1="%g" x2="%g" y1="30" y2="30"/>`, stripLeft, stripRight)
		fmt.Fprintf(&b, `<line class="median" x1="%.1f" x2="%.1f" y1="20" y2="40"/>`, x.at(over.Median), x.at(over.Median))
		for _, r := range runs {
			if v, ok := f.of(r); ok {
				fmt.Fprintf(&b, `<circle class="seed" cx="%.1f" cy="30" r="4"><title>seed %d: %s</title></circle>`, x.at(v), r.Seed, Short(v))
			}
		}
		b.WriteString("</svg>")
	}
	return b.String()
}
