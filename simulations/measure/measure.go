// Package measure adds a simulated run up: how long builds took against what
// is possible, how busy the machines were, what moved, what was wasted, and how
// long the mesh took to notice and to mend what went wrong. It is pure. Start
// reading at Summary, which defines each figure, then at Measure.
package measure

import (
	"time"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
	"github.com/buildnet/buildnet/simulations/workload"
)

// Measure is a trace.Sink. It keeps memory for nodes, builds, what runs, and
// the actions that were executed.
type Measure struct {
	families trace.Families
	setting  *setting.Setting
	bounds   map[int][]workload.Machine // by cell
	now      time.Duration

	builds []building
	busy   busy
	work   work
	losses losses
	reigns reigns

	assigned, stolen int
	sentBytes        int64
	hops, lookups    []float64
}

// building is one build so far.
type building struct {
	began, over time.Duration
	begun       bool
	running     bool
	end         steal.Reason
	announced   int
	gaveUp      int
	// elected counts its leaders. epoch is that of the last; lost says that it
	// leads no more, since lostAt, and toAssign that its successor has assigned
	// nothing yet.
	elected        int
	epoch          trace.Epoch
	lost, toAssign bool
	lostAt         time.Duration
}

// New makes a Measure of a run of s.
func New(s *setting.Setting) *Measure {
	m := &Measure{setting: s, bounds: map[int][]workload.Machine{}, builds: make([]building, len(s.Builds))}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		m.bounds[n.Cell] = append(m.bounds[n.Cell], workload.Machine{BPU: n.BPU, Slots: n.Slots})
	}
	m.busy.init(s)
	m.work.init()
	m.losses.init(len(s.Nodes))
	m.reigns.init()
	return m
}

// Observe implements trace.Sink.
func (m *Measure) Observe(told *trace.Event) {
	folded := m.families.Fold(*told)
	e := &folded
	m.now = e.At
	m.busy.until(e.At)
	switch e.Kind {
	case trace.Up, trace.Down, trace.Slowed:
		m.machine(e)
	case trace.Began, trace.Over, trace.Announced, trace.GaveUp:
		m.build(e)
	case trace.Led, trace.Deposed, trace.Elected:
		m.leader(e)
	case trace.Assigned:
		m.assign(e)
	case trace.Logged:
		if e.Text == trace.OpLost || e.Text == trace.OpGone {
			m.losses.noticed(e)
		}
	case trace.RunBegan, trace.RunEnded, trace.RunCut:
		m.run(e)
	case trace.Suspected:
		m.losses.suspected(e)
	case trace.Sent:
		m.sentBytes += e.Value
	case trace.Looked:
		m.hops = append(m.hops, float64(e.Value))
		m.lookups = append(m.lookups, time.Duration(e.Digest).Seconds())
	}
}

func (m *Measure) machine(e *trace.Event) {
	switch e.Kind {
	case trace.Up:
		m.busy.up(e.Node)
		m.losses.up(e.Node)
	case trace.Down:
		m.busy.down(e.Node)
		m.losses.down(e.Node, e.At)
		m.reigns.endOf(e.Node, e.At)
		for i := range m.builds {
			if b := &m.builds[i]; b.running && b.epoch.Leader == e.Node {
				b.lose(e.At)
			}
		}
	default:
		m.work.slowed(e.Node, float64(e.Value)/1000)
	}
}

// lose notes that the build's leader leads no more.
func (b *building) lose(at time.Duration) {
	if !b.lost {
		b.lost, b.lostAt = true, at
	}
}

func (m *Measure) build(e *trace.Event) {
	b := &m.builds[e.Build]
	switch e.Kind {
	case trace.Began:
		if b.begun { // and inherited: it goes on
			b.announced, b.gaveUp = 0, 0
			b.running = true
			m.busy.begin(e.Node)
			return
		}
		b.began, b.begun, b.running = e.At, true, true
		m.busy.begin(e.Node)
	case trace.Over:
		if b.running {
			m.busy.end(e.Node)
		}
		b.over, b.running, b.end = e.At, false, steal.Reason(e.Value)
		m.reigns.endBuild(e.Build, e.At)
	case trace.Announced:
		b.announced++
	default:
		b.gaveUp++
	}
}

func (m *Measure) leader(e *trace.Event) {
	switch e.Kind {
	case trace.Led:
		m.reigns.begin(e)
	case trace.Deposed:
		m.reigns.end(e)
		if b := &m.builds[e.Build]; b.running && b.epoch == e.Epoch {
			b.lose(e.At)
		}
	default:
		m.elected(e)
	}
}

func (m *Measure) elected(e *trace.Event) {
	b := &m.builds[e.Build]
	if b.elected > 0 && b.epoch == e.Epoch {
		return
	}
	if b.elected++; b.lost {
		m.losses.elected = append(m.losses.elected, (e.At - b.lostAt).Seconds())
		b.toAssign = true
	}
	b.epoch, b.lost = e.Epoch, false
}

func (m *Measure) assign(e *trace.Event) {
	b := &m.builds[e.Build]
	m.assigned++
	if e.Peer != m.setting.Builds[e.Build].Initiator {
		m.stolen++
	}
	if b.toAssign && e.Epoch == b.epoch {
		m.losses.assigned = append(m.losses.assigned, (e.At - b.lostAt).Seconds())
		b.toAssign = false
	}
}

func (m *Measure) run(e *trace.Event) {
	node := &m.setting.Nodes[e.Node]
	if e.Kind == trace.RunBegan {
		if m.work.begin(e) {
			m.busy.run(e.Node, 1)
		}
		return
	}
	if m.work.end(e, node, m.setting.Builds[e.Build].Graph.Steps[e.Step].Cost) {
		m.busy.run(e.Node, -1)
	}
}
