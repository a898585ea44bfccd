package plan

import (
	"container/heap"
	"fmt"

	"github.com/buildnet/buildnet/node/project/ninja"
)

// Plan is what is to be built and has not been yet. Edges that may start come
// out in the manifest's order, unless Prioritize has given them another. A plan is not safe for concurrent use.
type Plan struct {
	scan *Scan

	ready queue
	pools map[*ninja.Pool]*pool
	// wanted counts edges that have to run, commands those that are not phony.
	wanted, commands int
}

// New returns a plan that wants nothing. scan keeps what it has seen, so that
// several plans can follow one another over it.
func New(scan *Scan) *Plan {
	for _, e := range scan.graph.Edges {
		scan.step(e).want = absent
	}
	return &Plan{scan: scan, pools: map[*ninja.Pool]*pool{}}
}

// Add wants a target, and the validations of what it is made of.
func (p *Plan) Add(target *ninja.Node) error {
	validations, err := p.scan.Visit(target)
	if err != nil {
		return err
	}
	if target.In == nil || !p.scan.step(target.In).ready {
		if err := p.add(target, nil, nil); err != nil {
			return err
		}
	}
	return p.addAll(validations)
}

func (p *Plan) addAll(validations []*ninja.Node) error {
	for _, v := range validations {
		if v.In == nil || p.scan.step(v.In).ready {
			continue
		}
		if err := p.add(v, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// add wants what a node needs. found collects the edges that were added because
// of a dyndep file; it is nil before the build: then what can start is scheduled
// at once.
func (p *Plan) add(n *ninja.Node, dependent *ninja.Node, found edgeSet) error {
	e := n.In
	if e == nil {
		return p.missing(n, dependent)
	}
	st := p.scan.step(e)
	if st.ready || found != nil && st.want == toFinish {
		return nil
	}
	fresh := st.want == absent
	if fresh {
		st.want = passed
	}
	if p.scan.file(n).dirty && st.want == passed {
		p.require(e, st)
		if found == nil && p.inputsReady(e) {
			p.schedule(e, st)
		}
	}
	if found != nil {
		found[e] = true
	}
	if !fresh {
		return nil
	}
	for _, in := range e.Inputs {
		if err := p.add(in, n, found); err != nil {
			return err
		}
	}
	return nil
}

// missing refuses a source that is not there.
func (p *Plan) missing(n, dependent *ninja.Node) error {
	switch {
	case !p.scan.file(n).dirty:
		return nil
	case dependent != nil:
		return fmt.Errorf("'%s', needed by '%s', missing and no known rule to make it", n.Path, dependent.Path)
	default:
		return fmt.Errorf("'%s' missing and no known rule to make it", n.Path)
	}
}

func (p *Plan) require(e *ninja.Edge, st *step) {
	st.want = toStart
	p.wanted++
	if !e.Phony() {
		p.commands++
	}
}

func (p *Plan) inputsReady(e *ninja.Edge) bool {
	for _, in := range e.Inputs {
		if in.In != nil && !p.scan.step(in.In).ready {
			return false
		}
	}
	return true
}

// More reports whether a command is still to run or to finish.
func (p *Plan) More() bool { return p.wanted > 0 && p.commands > 0 }

// Commands counts the commands that the plan has or had to run. It changes when
// restat finds that some need not run, and when dyndep brings others.
func (p *Plan) Commands() int { return p.commands }

// Next returns an edge that may start, nil if there is none now. Phony ones are
// to be reported to Finished at once.
func (p *Plan) Next() *ninja.Edge {
	if len(p.ready) == 0 {
		return nil
	}
	return heap.Pop(&p.ready).(queued).edge
}

func (p *Plan) schedule(e *ninja.Edge, st *step) {
	// It may be scheduled already: an edge and what it depends on can share an
	// order-only input.
	if st.want == toFinish {
		return
	}
	st.want = toFinish
	pl := p.pool(e)
	heap.Push(&pl.delayed, queued{e, st.rank})
	pl.release(&p.ready)
}

func (p *Plan) pool(e *ninja.Edge) *pool {
	pl := p.pools[e.Pool]
	if pl == nil {
		pl = &pool{depth: e.Pool.Depth}
		p.pools[e.Pool] = pl
	}
	return pl
}

// pool bounds how many of its edges are ready or run. Those that have to wait do
// so here.
type pool struct {
	depth, used int
	delayed     queue
}

// release moves as many edges as the pool allows to ready.
func (p *pool) release(ready *queue) {
	for len(p.delayed) > 0 && (p.depth == 0 || p.used < p.depth) {
		p.used++
		heap.Push(ready, heap.Pop(&p.delayed))
	}
}

// queue is a heap of edges: those for which most waits first, and among equals in
// the manifest's order. Nothing waits before Prioritize has found out.
type queue []queued

type queued struct {
	edge *ninja.Edge
	rank float64
}

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if q[i].rank != q[j].rank {
		return q[i].rank > q[j].rank
	}
	return q[i].edge.ID < q[j].edge.ID
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(queued)) }
func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = queued{}
	*q = (*q)[:last]
	return e
}
