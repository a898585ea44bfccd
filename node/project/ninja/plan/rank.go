package plan

import (
	"container/heap"

	"github.com/buildnet/buildnet/node/project/ninja"
)

// Prioritize ranks the edges that are to run, by what each costs: those come out
// first from which the longest way leads to the end. What a dyndep file adds
// later has no rank.
func (p *Plan) Prioritize(cost func(*ninja.Edge) float64) {
	for _, e := range p.scan.graph.Edges {
		p.scan.step(e).ranked = false
	}
	for _, e := range p.scan.graph.Edges {
		if p.scan.step(e).want != absent {
			p.rank(e, cost)
		}
	}
	p.reorder(p.ready)
	for _, pl := range p.pools {
		p.reorder(pl.delayed)
	}
}

func (p *Plan) reorder(q queue) {
	for i := range q {
		q[i].rank = p.Rank(q[i].edge)
	}
	heap.Init(&q)
}

// Rank is what Prioritize has found to wait for an edge, without the edge itself.
func (p *Plan) Rank(e *ninja.Edge) float64 { return p.scan.step(e).rank }

// rank finds the costliest way from the end of an edge to that of the build.
func (p *Plan) rank(e *ninja.Edge, cost func(*ninja.Edge) float64) float64 {
	st := p.scan.step(e)
	if st.ranked {
		return st.rank
	}
	st.ranked, st.rank = true, 0
	for _, o := range e.Outputs {
		for _, reader := range o.Out {
			if p.scan.step(reader).want != absent {
				st.rank = max(st.rank, p.rank(reader, cost)+p.costOf(reader, cost))
			}
		}
	}
	return st.rank
}

// costOf is nothing for an edge that runs nothing.
func (p *Plan) costOf(e *ninja.Edge, cost func(*ninja.Edge) float64) float64 {
	if e.Phony() || p.scan.step(e).want == passed {
		return 0
	}
	return cost(e)
}

// Some reports whether a command that is still to be started has a property.
func (p *Plan) Some(is func(*ninja.Edge) (bool, error)) (bool, error) {
	for _, e := range p.scan.graph.Edges {
		st := p.scan.step(e)
		if e.Phony() || st.want != toStart && st.want != toFinish {
			continue
		}
		if yes, err := is(e); yes || err != nil {
			return yes, err
		}
	}
	return false, nil
}
