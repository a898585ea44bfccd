package report

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
)

// Record is a trace.Sink that keeps what a page shows of a run.
type Record struct {
	families trace.Families
	setting  *setting.Setting
	names    []string
	runs     []run
	left     int // runs that are not kept, because there are too many
	open     map[key]int
	lanes    lanes
	lives    []life
	// down is when each node died, 0 before it first came, -1 while it is up.
	down    []time.Duration
	marks   []mark
	unsaid  int           // marks that are not kept
	elected []trace.Epoch // by build, the last
	now     time.Duration
}

// Limits of what is kept: some 100 MB.
const (
	maxRuns      = 1_500_000
	maxMarksKept = 20_000
)

// run is one execution.
type run struct {
	node, lane, build, step int
	from, to                time.Duration
	how                     how
}

// how an execution ended.
type how uint8

const (
	stillRunning how = iota
	done
	failed
	wasCut
)

type key struct{ node, build, step int }

// life is a time in which a node was down.
type life struct {
	node     int
	from, to time.Duration
}

// mark is something worth a line.
type mark struct {
	at   time.Duration
	node int
	kind MarkKind
	text string
}

// NewRecord makes a Record of a run of s.
func NewRecord(s *setting.Setting) *Record {
	r := &Record{setting: s, open: map[key]int{}, lanes: make(lanes, len(s.Nodes)), down: make([]time.Duration, len(s.Nodes)), elected: make([]trace.Epoch, len(s.Builds))}
	for i := range s.Nodes {
		r.names = append(r.names, s.Nodes[i].Name)
	}
	return r
}

// Observe implements trace.Sink.
func (r *Record) Observe(told *trace.Event) {
	folded := r.families.Fold(*told)
	e := &folded
	r.now = e.At
	switch e.Kind {
	case trace.RunBegan:
		r.begin(e)
	case trace.RunEnded, trace.RunCut:
		r.end(e)
	case trace.Up:
		r.up(e)
	case trace.Down:
		r.down[e.Node] = e.At
		r.mark(e, Fault)
	case trace.Split, trace.Joined:
		r.split(e)
	case trace.Slowed, trace.Lent, trace.Clogged, trace.DiskFailed, trace.LostBlobs, trace.Broke, trace.Healed:
		r.mark(e, Fault)
	case trace.Elected:
		if before := r.elected[e.Build]; before.Number > 0 && before != e.Epoch {
			r.mark(e, Takeover)
		}
		r.elected[e.Build] = e.Epoch
	}
}

func (r *Record) up(e *trace.Event) {
	if from := r.down[e.Node]; from >= 0 && e.At > from {
		r.lives = append(r.lives, life{e.Node, from, e.At})
	}
	r.down[e.Node] = -1
	if e.Value > 0 {
		r.mark(e, Fault)
	}
}

// split keeps one mark of all ways that are cut at once.
func (r *Record) split(e *trace.Event) {
	if n := len(r.marks); n > 0 && r.marks[n-1].at == e.At && strings.HasPrefix(r.marks[n-1].text, splitText(e.Kind)) {
		return
	}
	r.keep(mark{e.At, e.Node, Fault, splitText(e.Kind)})
}

func splitText(k trace.Kind) string {
	if k == trace.Split {
		return "ways are cut"
	}
	return "ways are whole again"
}

func (r *Record) mark(e *trace.Event, kind MarkKind) {
	text := strings.TrimSpace(e.String(r.names))
	if e.Kind == trace.Healed {
		if e.At == 0 {
			return // there were none
		}
		text = "the faults are over"
	}
	r.keep(mark{e.At, e.Node, kind, text})
}

func (r *Record) keep(m mark) {
	if len(r.marks) < maxMarksKept {
		r.marks = append(r.marks, m)
	} else {
		r.unsaid++
	}
}

func (r *Record) begin(e *trace.Event) {
	k := key{e.Node, e.Build, e.Step}
	if _, twice := r.open[k]; twice {
		return
	}
	if len(r.runs) >= maxRuns {
		r.left++
		return
	}
	r.open[k] = len(r.runs)
	r.runs = append(r.runs, run{node: e.Node, lane: r.lanes.take(e.Node), build: e.Build, step: e.Step, from: e.At, to: -1})
}

func (r *Record) end(e *trace.Event) {
	k := key{e.Node, e.Build, e.Step}
	i, ok := r.open[k]
	if !ok {
		return
	}
	delete(r.open, k)
	one := &r.runs[i]
	one.to = e.At
	r.lanes.free(one.node, one.lane)
	switch {
	case e.Kind == trace.RunCut:
		one.how = wasCut
	case e.Value != 0:
		one.how = failed
	default:
		one.how = done
	}
}

// busiest returns the n nodes that ran most, in their order.
func (r *Record) busiest(n int) []int {
	busy := make([]time.Duration, len(r.setting.Nodes))
	for _, one := range r.runs {
		busy[one.node] += r.endOf(one) - one.from
	}
	order := make([]int, len(busy))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(busy[b] - busy[a]) })
	order = order[:min(n, len(order))]
	slices.Sort(order)
	return order
}

// endOf is when a run ended, or the end of what was seen.
func (r *Record) endOf(one run) time.Duration {
	if one.to < 0 {
		return r.now
	}
	return one.to
}

// buckets of the curve of utilisation.
const buckets = 300

// curve returns, over time, how many slots were up and how many ran a step, as
// averages of equal parts of the run.
func (r *Record) curve() (at, up, running []float64) {
	width := r.now.Seconds() / buckets
	if width <= 0 {
		return nil, nil, nil
	}
	at, up, running = make([]float64, buckets), make([]float64, buckets), make([]float64, buckets)
	slots := 0.0
	for i := range r.setting.Nodes {
		slots += float64(r.setting.Nodes[i].Slots)
		if r.down[i] >= 0 {
			spread(up, width, r.down[i], r.now, -float64(r.setting.Nodes[i].Slots))
		}
	}
	for i := range at {
		at[i] = (float64(i) + 0.5) * width
		up[i] += slots
	}
	for _, l := range r.lives {
		spread(up, width, l.from, l.to, -float64(r.setting.Nodes[l.node].Slots))
	}
	for _, one := range r.runs {
		spread(running, width, one.from, r.endOf(one), 1)
	}
	return at, up, running
}

// spread adds amount to the parts from from to to, by how much of each they
// cover.
func spread(parts []float64, width float64, from, to time.Duration, amount float64) {
	begin, end := from.Seconds()/width, to.Seconds()/width
	for i := int(begin); i < min(len(parts), int(math.Ceil(end))); i++ {
		covered := min(end, float64(i+1)) - max(begin, float64(i))
		parts[i] += amount * max(0, covered)
	}
}
