package check

import (
	"fmt"
	"time"

	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
)

// troubles remember what went wrong with nodes and between them, so that rules
// can name it as an excuse. Each spell is remembered until the next of its kind.
type troubles struct {
	setting *setting.Setting
	nodes   map[int]*trouble
	splits  []*side
	open    map[int64]*side // by the number of the split
	breaks  map[[2]int]time.Duration
}

// side is the group of a split.
type side struct {
	group map[int]bool
	spell
}

// trouble is what went wrong with one node.
type trouble struct {
	down, stopped, clogged, disk spell
}

// spell is a stretch of time.
type spell struct {
	on, ever    bool
	from, until time.Duration
}

func (s *spell) begin(now time.Duration) { s.on, s.ever, s.from = true, true, now }

func (s *spell) end(now time.Duration) {
	if s.on {
		s.on, s.until = false, now
	}
}

// since reports whether any of the spell was after a time.
func (s *spell) since(t time.Duration) bool { return s.on || s.ever && s.until >= t }

func newTroubles() *troubles {
	return &troubles{nodes: map[int]*trouble{}, open: map[int64]*side{}, breaks: map[[2]int]time.Duration{}}
}

func (t *troubles) of(node int) *trouble {
	if t.nodes[node] == nil {
		t.nodes[node] = &trouble{}
	}
	return t.nodes[node]
}

// Observe takes note of an event.
func (t *troubles) Observe(w World, e *trace.Event) {
	t.setting = w.Setting()
	switch e.Kind {
	case trace.Up:
		t.of(e.Node).down.end(e.At)
	case trace.Down:
		t.of(e.Node).down.begin(e.At)
	case trace.Slowed:
		t.of(e.Node).stopped.turn(e.At, e.Value == 0)
	case trace.Clogged:
		t.of(e.Node).clogged.turn(e.At, e.Value < thousand)
	case trace.DiskFailed:
		t.of(e.Node).disk.turn(e.At, e.Value > 0)
	case trace.Split:
		t.split(e)
	case trace.Joined:
		if s := t.open[e.Value]; s != nil {
			s.end(e.At)
			delete(t.open, e.Value)
		}
	case trace.Broke:
		t.breaks[[2]int{e.Node, e.Peer}] = e.At
		t.breaks[[2]int{e.Peer, e.Node}] = e.At
	}
}

// thousand is what events count shares in.
const thousand = 1000

// turn begins the spell, or ends it.
func (s *spell) turn(now time.Duration, on bool) {
	if on {
		s.begin(now)
	} else {
		s.end(now)
	}
}

// split adds a node to the group of a split.
func (t *troubles) split(e *trace.Event) {
	s := t.open[e.Value]
	if s == nil {
		s = &side{group: map[int]bool{}}
		s.begin(e.At)
		t.open[e.Value] = s
		t.splits = append(t.splits, s)
	}
	s.group[e.Node] = true
}

// apart names what kept two nodes from hearing each other at any time after
// since, or is "".
func (t *troubles) apart(a, b int, since time.Duration) string {
	for _, node := range [2]int{a, b} {
		if n := t.nodes[node]; n != nil && n.down.since(since) {
			return fmt.Sprintf("node %d was down", node)
		}
	}
	return t.cutOff(a, b, since)
}

// cutOff is apart for nodes that live.
func (t *troubles) cutOff(a, b int, since time.Duration) string {
	for _, s := range t.splits {
		if s.since(since) && s.group[a] != s.group[b] {
			return fmt.Sprintf("nodes %d and %d were split", a, b)
		}
	}
	if why := t.weak(a, since); why != "" {
		return why
	}
	if why := t.weak(b, since); why != "" {
		return why
	}
	if at, ever := t.breaks[[2]int{a, b}]; ever && at >= since && wayOf(t.setting, a, b).fragile() {
		return fmt.Sprintf("the stream of nodes %d and %d broke, and takes longer than a lease to stand again", a, b)
	}
	if a != b && wayOf(t.setting, a, b).silent() {
		return fmt.Sprintf("what nodes %d and %d send each other is lost so often that a lease may pass in silence", a, b)
	}
	return ""
}

// weak names what kept a living node from answering in time after since, or is
// "". One that is slow executes slowly, and answers as ever.
func (t *troubles) weak(node int, since time.Duration) string {
	switch n := t.nodes[node]; {
	case n == nil:
		return ""
	case n.stopped.since(since):
		return fmt.Sprintf("node %d was stopped", node)
	case n.clogged.since(since):
		return fmt.Sprintf("the links of node %d were clogged", node)
	default:
		return ""
	}
}

// shakes reports whether an event of the kind changes who reaches whom, or how
// quickly: what holds of a mesh at rest does not right after it.
func shakes(kind trace.Kind) bool {
	switch kind {
	case trace.Up, trace.Split, trace.Joined, trace.Slowed, trace.Clogged, trace.Broke:
		return true
	default:
		return false
	}
}
