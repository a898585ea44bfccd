package plan

import (
	"cmp"
	"slices"

	"github.com/buildnet/buildnet/node/project/ninja"
)

func (s *Scan) loadDyndep(n *ninja.Node) ([]ninja.Dyndep, error) {
	s.explain(nil, "loading dyndep file '%s'", n.Path)
	return s.graph.LoadDyndep(s.files, n)
}

// loadDyndep loads a dyndep file that has just been made, and adds to the plan
// what has come within reach by it.
func (p *Plan) loadDyndep(n *ninja.Node) error {
	found, err := p.scan.loadDyndep(n)
	if err != nil {
		return err
	}
	if err := p.refresh(n); err != nil {
		return err
	}
	walk := edgeSet{}
	for _, d := range found {
		st := p.scan.step(d.Edge)
		// What is ready needs nothing, and what the plan does not know nobody needs.
		if st.ready || st.want == absent {
			continue
		}
		for _, in := range d.ImplicitIns {
			if err := p.add(in, d.Edge.Outputs[0], walk); err != nil {
				return err
			}
		}
	}
	for _, e := range n.Out {
		if p.scan.step(e).want != absent {
			walk[e] = true
		}
	}
	for _, e := range walk.sorted() {
		if err := p.maybeReady(e); err != nil {
			return err
		}
	}
	return nil
}

// refresh finds out anew what is dirty of all that depends on a node, and wants
// what has become so.
func (p *Plan) refresh(n *ninja.Node) error {
	dependents := map[*ninja.Node]bool{}
	p.unmark(n, dependents)
	ordered := make([]*ninja.Node, 0, len(dependents))
	for d := range dependents {
		ordered = append(ordered, d)
	}
	slices.SortFunc(ordered, func(a, b *ninja.Node) int { return cmp.Compare(a.ID, b.ID) })
	for _, d := range ordered {
		validations, err := p.scan.Visit(d)
		if err != nil {
			return err
		}
		if err := p.addAll(validations); err != nil {
			return err
		}
		if !p.scan.file(d).dirty {
			continue
		}
		if st := p.scan.step(d.In); st.want == passed {
			p.require(d.In, st)
		}
	}
	return nil
}

// unmark makes the plan's edges that depend on a node unvisited.
func (p *Plan) unmark(n *ninja.Node, dependents map[*ninja.Node]bool) {
	for _, e := range n.Out {
		st := p.scan.step(e)
		if st.want == absent || st.mark == unvisited {
			continue
		}
		st.mark = unvisited
		for _, o := range e.Outputs {
			if !dependents[o] {
				dependents[o] = true
				p.unmark(o, dependents)
			}
		}
	}
}
