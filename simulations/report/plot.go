package report

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Chart is lines over one axis.
type Chart struct {
	// Title says what is shown; X and Y name the axes with their units.
	Title, X, Y string
	XScale      Scale
	YScale      Scale
	Series      []Series
	// Marks are moments on the X axis.
	Marks []Mark
}

// Scale is how an axis is divided.
type Scale uint8

const (
	// Linear axes begin at 0.
	Linear Scale = iota
	// Log axes span the decades of the data; values of 0 and below are left out.
	Log
)

// Series is one line. X ascends.
type Series struct {
	Name string
	X, Y []float64
}

// Mark is a moment.
type Mark struct {
	X    float64
	Text string
	Kind MarkKind
}

// MarkKind is what a moment was.
type MarkKind uint8

const (
	// Fault is something that went wrong, or was mended.
	Fault MarkKind = iota
	// Takeover is a new leader of a build.
	Takeover
)

// The size of a chart in its own units, and of the room around its lines.
const (
	chartWidth, chartHeight                    = 720., 320.
	roomLeft, roomRight, roomAbove, roomBottom = 62., 16., 30., 62.
	maxTicks                                   = 8
	// maxMarks is how many moments are told apart; of more, each is a line all
	// the same.
	maxMarks = 200
)

// chartStyle makes a chart legible on light and dark pages when it stands
// alone; within a page the page's own style does.
const chartStyle = `<style>svg{color:#1f2328;font-family:system-ui,sans-serif;font-size:12px}.s0{--c:#0969da}.s1{--c:#bc4c00}.s2{--c:#1a7f37}.s3{--c:#8250df}.s4{--c:#9a6700}.s5{--c:#bf3989}` +
	`.line{fill:none;stroke:var(--c);stroke-width:2}.dot{fill:var(--c)}text{fill:currentColor}.grid{stroke:currentColor;stroke-opacity:.15}.axis{stroke:currentColor;stroke-opacity:.6}.fault{stroke:#cf222e;stroke-opacity:.6}.takeover{stroke:#8250df;stroke-opacity:.7}.title{font-weight:600}` +
	`@media(prefers-color-scheme:dark){svg{color:#e6edf3}.s0{--c:#58a6ff}.s1{--c:#f0883e}.s2{--c:#3fb950}.s3{--c:#bc8cff}.s4{--c:#d29922}.s5{--c:#f778ba}}</style>`

const colours = 6

// Plot returns a chart as an SVG file that needs nothing else.
func Plot(c Chart) string {
	tag, rest, _ := strings.Cut(c.svg(), ">")
	return tag + ` xmlns="http://www.w3.org/2000/svg">` + chartStyle + rest
}

// svg is a chart for a page.
func (c *Chart) svg() string {
	x, y := c.axes()
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s">`, chartWidth, chartHeight, html.EscapeString(c.Title))
	fmt.Fprintf(&b, `<text class="title" x="%g" y="16">%s</text>`, roomLeft, html.EscapeString(c.Title))
	c.grid(&b, x, y)
	for i, m := range c.Marks {
		if i < maxMarks && m.X >= x.low && m.X <= x.high {
			at := x.at(m.X)
			fmt.Fprintf(&b, `<line class="%s" x1="%.1f" x2="%.1f" y1="%g" y2="%g"><title>%s</title></line>`, m.Kind.class(), at, at, roomAbove, chartHeight-roomBottom, html.EscapeString(m.Text))
		}
	}
	for i, s := range c.Series {
		s.draw(&b, i, x, y)
	}
	c.legend(&b)
	b.WriteString("</svg>")
	return b.String()
}

func (k MarkKind) class() string {
	if k == Takeover {
		return "takeover"
	}
	return "fault"
}

// axis maps values to places.
type axis struct {
	scale      Scale
	low, high  float64
	begin, end float64
}

func (a axis) at(v float64) float64 {
	low, high := a.low, a.high
	if a.scale == Log {
		v, low, high = math.Log(v), math.Log(low), math.Log(high)
	}
	return a.begin + (v-low)/(high-low)*(a.end-a.begin)
}

// shows reports whether a value has a place.
func (a axis) shows(v float64) bool {
	return !math.IsNaN(v) && !math.IsInf(v, 0) && (a.scale == Linear || v > 0)
}

func (c *Chart) axes() (x, y axis) {
	var xs, ys []float64
	for _, s := range c.Series {
		xs, ys = append(xs, s.X...), append(ys, s.Y...)
	}
	x, y = axisOf(c.XScale, xs), axisOf(c.YScale, ys)
	x.begin, x.end = roomLeft, chartWidth-roomRight
	y.begin, y.end = chartHeight-roomBottom, roomAbove
	return x, y
}

// axisOf finds the range of an axis; of nothing, one that can be drawn.
func axisOf(s Scale, values []float64) axis {
	a := axis{scale: s}
	shown := slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return !a.shows(v) })
	a.low, a.high = 1, 10
	if len(shown) > 0 {
		a.low, a.high = slices.Min(shown), slices.Max(shown)
	}
	switch {
	case s == Linear:
		a.low = min(0, a.low)
		if a.high <= a.low {
			a.high = a.low + 1
		}
	case a.high <= a.low:
		a.low, a.high = a.low/2, a.high*2
	}
	return a
}

// ticks are round values within an axis.
func (a axis) ticks() []float64 {
	if a.scale == Log {
		return a.logTicks()
	}
	step := math.Pow(10, math.Floor(math.Log10((a.high-a.low)/maxTicks)))
	for _, f := range []float64{2, 2.5, 2} { // 1, 2, 5, 10
		if (a.high-a.low)/step > maxTicks {
			step *= f
		}
	}
	var ticks []float64
	for k := math.Ceil(a.low / step); k*step <= a.high*(1+1e-9); k++ {
		ticks = append(ticks, k*step)
	}
	return ticks
}

func (a axis) logTicks() []float64 {
	factors := []float64{1, 2, 3, 5}
	if a.high/a.low > 100 {
		factors = []float64{1, 3}
	}
	if a.high/a.low > 1e5 {
		factors = []float64{1}
	}
	var ticks []float64
	for k := math.Floor(math.Log10(a.low)); k <= math.Log10(a.high); k++ {
		for _, f := range factors {
			if v := f * math.Pow(10, k); v >= a.low*(1-1e-9) && v <= a.high*(1+1e-9) {
				ticks = append(ticks, v)
			}
		}
	}
	return ticks
}

func (c *Chart) grid(b *strings.Builder, x, y axis) {
	for _, t := range y.ticks() {
		at := y.at(t)
		fmt.Fprintf(b, `<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text x="%g" y="%.1f" text-anchor="end">%s</text>`, x.begin, x.end, at, at, x.begin-6, at+4, Short(t))
	}
	for _, t := range x.ticks() {
		at := x.at(t)
		fmt.Fprintf(b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%g" y2="%g"/><text x="%.1f" y="%g" text-anchor="middle">%s</text>`, at, at, y.begin, y.end, at, y.begin+16, Short(t))
	}
	fmt.Fprintf(b, `<line class="axis" x1="%g" x2="%g" y1="%g" y2="%g"/><line class="axis" x1="%g" x2="%g" y1="%g" y2="%g"/>`, x.begin, x.end, y.begin, y.begin, x.begin, x.begin, y.begin, y.end)
	fmt.Fprintf(b, `<text x="%g" y="%g" text-anchor="end">%s</text>`, x.end, y.begin+34, html.EscapeString(c.X))
	fmt.Fprintf(b, `<text transform="translate(14 %g) rotate(-90)" text-anchor="end">%s</text>`, y.end, html.EscapeString(c.Y))
}

// maxDots is how many points of a line are marked: more would hide it.
const maxDots = 40

func (s *Series) draw(b *strings.Builder, i int, x, y axis) {
	class := "s" + strconv.Itoa(i%colours)
	var points, dots strings.Builder
	for k := range min(len(s.X), len(s.Y)) {
		if !x.shows(s.X[k]) || !y.shows(s.Y[k]) {
			continue
		}
		fmt.Fprintf(&points, "%.1f,%.1f ", x.at(s.X[k]), y.at(s.Y[k]))
		if len(s.X) <= maxDots {
			fmt.Fprintf(&dots, `<circle class="dot" cx="%.1f" cy="%.1f" r="3"><title>%s: %s, %s</title></circle>`, x.at(s.X[k]), y.at(s.Y[k]), html.EscapeString(s.Name), Short(s.X[k]), Short(s.Y[k]))
		}
	}
	fmt.Fprintf(b, `<g class="%s"><polyline class="line" points="%s"/>%s</g>`, class, strings.TrimSpace(points.String()), dots.String())
}

func (c *Chart) legend(b *strings.Builder) {
	at := roomLeft
	for i, s := range c.Series {
		fmt.Fprintf(b, `<g class="s%d"><line class="line" x1="%g" x2="%g" y1="%g" y2="%g"/><text x="%g" y="%g">%s</text></g>`,
			i%colours, at, at+18, chartHeight-12, chartHeight-12, at+23, chartHeight-8, html.EscapeString(s.Name))
		at += 40 + 6.6*float64(len([]rune(s.Name)))
	}
}

// Short writes a number with three digits and a prefix: 1.23k, 45, 0.067.
func Short(v float64) string {
	digits, prefix := scaled(v)
	return digits + prefix
}

// of writes an amount of a unit: 52.6 MB.
func of(v float64, unit string) string {
	digits, prefix := scaled(v)
	return digits + " " + prefix + unit
}

func scaled(v float64) (digits, prefix string) {
	for _, p := range []struct {
		name  string
		above float64
	}{{"T", 1e12}, {"G", 1e9}, {"M", 1e6}, {"k", 1e3}} {
		if math.Abs(v) >= p.above*0.99995 {
			v, prefix = v/p.above, p.name
			break
		}
	}
	digits = strconv.FormatFloat(v, 'g', 3, 64)
	if strings.Contains(digits, "e+") {
		digits = strconv.FormatFloat(v, 'f', 0, 64)
	}
	return digits, prefix
}
