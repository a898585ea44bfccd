package check

import (
	"fmt"
	"time"

	"github.com/buildnet/buildnet/simulations/trace"
)

// troubles remember what went wrong with nodes and between them, so that rules
// can name it as an excuse. Each spell is remembered until the next of its kind.
type troubles struct {
	nodes  map[int]*trouble
	splits map[[2]int]*spell
	breaks map[[2]int]time.Duration
}

// trouble is what went wrong with one node.
type trouble struct {
	down, slow, clogged, disk spell
}

// spell is a stretch of time.
type spell struct {
	on, ever bool
	until    time.Duration
}

func (s *spell) begin() { s.on, s.ever = true, true }

func (s *spell) end(now time.Duration) {
	if s.on {
		s.on, s.until = false, now
	}
}

// since reports whether any of the spell was after a time.
func (s *spell) since(t time.Duration) bool { return s.on || s.ever && s.until >= t }

func newTroubles() *troubles {
	return &troubles{nodes: map[int]*trouble{}, splits: map[[2]int]*spell{}, breaks: map[[2]int]time.Duration{}}
}

func (t *troubles) of(node int) *trouble {
	if t.nodes[node] == nil {
		t.nodes[node] = &trouble{}
	}
	return t.nodes[node]
}

// Observe takes note of an event.
func (t *troubles) Observe(e *trace.Event) {
	switch e.Kind {
	case trace.Up:
		t.of(e.Node).down.end(e.At)
	case trace.Down:
		t.of(e.Node).down.begin()
	case trace.Slowed:
		less(&t.of(e.Node).slow, e)
	case trace.Clogged:
		less(&t.of(e.Node).clogged, e)
	case trace.DiskFailed:
		if e.Value > 0 {
			t.of(e.Node).disk.begin()
		} else {
			t.of(e.Node).disk.end(e.At)
		}
	case trace.Split:
		t.between(e.Node, e.Peer).begin()
	case trace.Joined:
		t.between(e.Node, e.Peer).end(e.At)
	case trace.Broke:
		t.breaks[[2]int{e.Node, e.Peer}] = e.At
		t.breaks[[2]int{e.Peer, e.Node}] = e.At
	}
}

// less begins a spell of less than a thousand thousandths, and ends it.
func less(s *spell, e *trace.Event) {
	if e.Value < 1000 {
		s.begin()
	} else {
		s.end(e.At)
	}
}

// between is the way from one node to another.
func (t *troubles) between(from, to int) *spell {
	way := [2]int{from, to}
	if t.splits[way] == nil {
		t.splits[way] = &spell{}
	}
	return t.splits[way]
}

// apart names what kept two nodes from hearing each other at any time after
// since, or is "".
func (t *troubles) apart(a, b int, since time.Duration) string {
	if a == b {
		return t.ill(a, since)
	}
	for _, way := range [2][2]int{{a, b}, {b, a}} {
		if s := t.splits[way]; s != nil && s.since(since) {
			return fmt.Sprintf("node %d could not send to node %d", way[0], way[1])
		}
	}
	if why := t.ill(a, since); why != "" {
		return why
	}
	return t.ill(b, since)
}

// ill names what kept a node from answering in time after since, or is "".
func (t *troubles) ill(node int, since time.Duration) string {
	n := t.nodes[node]
	switch {
	case n == nil:
		return ""
	case n.down.since(since):
		return fmt.Sprintf("node %d was down", node)
	case n.slow.since(since):
		return fmt.Sprintf("node %d was slow, or stopped", node)
	case n.clogged.since(since):
		return fmt.Sprintf("the links of node %d were clogged", node)
	default:
		return ""
	}
}
