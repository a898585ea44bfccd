package plan

import (
	"github.com/buildnet/buildnet/node/project/ninja"
)

// MissingDep is an output that was found to read a generated file without any
// path in the manifest from that file's edge to its own.
type MissingDep struct {
	Output, Input string
	// Rule is the rule that generates Input.
	Rule string
}

// Missing looks for missing dependencies.
type Missing struct {
	// Paths counts pairs of an output and a rule that it lacks a path to.
	Paths int
	// Outputs lack a path, Inputs are what they read, Rules what makes those.
	Outputs, Inputs map[*ninja.Node]bool
	Rules           map[*ninja.Rule]bool

	scan  *Scan
	graph *ninja.Graph
	tell  func(MissingDep)
	seen  map[*ninja.Node]bool
	above map[[2]*ninja.Edge]bool
}

// NewMissing returns a search that has found nothing. It uses what scan can tell
// of recorded inputs, and tells each find.
func NewMissing(g *ninja.Graph, scan *Scan, tell func(MissingDep)) *Missing {
	return &Missing{
		scan: scan, graph: g, tell: tell,
		Outputs: map[*ninja.Node]bool{}, Inputs: map[*ninja.Node]bool{}, Rules: map[*ninja.Rule]bool{},
		seen: map[*ninja.Node]bool{}, above: map[[2]*ninja.Edge]bool{},
	}
}

// Processed counts the outputs that were looked at.
func (m *Missing) Processed() int { return len(m.seen) }

// Check looks at a node and all that it is made of.
func (m *Missing) Check(n *ninja.Node) error {
	if n.In == nil || m.seen[n] {
		return nil
	}
	m.seen[n] = true
	for _, in := range n.In.Inputs {
		if err := m.Check(in); err != nil {
			return err
		}
	}
	kind, err := n.In.Deps()
	if err != nil {
		return err
	}
	if kind != "" {
		// What is recorded for the node counts, be it out of date or not.
		if m.scan.opts.Deps != nil {
			inputs, _, _ := m.scan.opts.Deps.Lookup(n.Path)
			m.node(n, inputs)
		}
		return nil
	}
	// A depfile that cannot be read tells of nothing missing.
	if inputs, known, err := m.scan.RecordedDeps(n.In); err == nil && known {
		m.node(n, inputs)
	}
	return nil
}

func (m *Missing) node(n *ninja.Node, inputs []string) {
	var makers []*ninja.Edge
	once := edgeSet{}
	for _, path := range inputs {
		// To depend on the manifest means to be built again with each
		// configuration; nobody names that in the manifest.
		if path == "build.ninja" {
			return
		}
		if in := m.graph.Lookup(path); in != nil && in.In != nil {
			once[in.In] = true
		}
	}
	for _, e := range once.sorted() {
		if !m.path(e, n.In) {
			makers = append(makers, e)
		}
	}
	if len(makers) == 0 {
		return
	}
	rules := map[string]bool{}
	for _, e := range makers {
		for _, path := range inputs {
			in := m.graph.Lookup(path)
			if in == nil || in.In != e {
				continue
			}
			m.Inputs[in], m.Rules[e.Rule], rules[e.Rule.Name] = true, true, true
			m.tell(MissingDep{Output: n.Path, Input: path, Rule: e.Rule.Name})
		}
	}
	m.Paths += len(rules)
	m.Outputs[n] = true
}

// path reports whether an edge is above another in the manifest.
func (m *Missing) path(from, to *ninja.Edge) bool {
	key := [2]*ninja.Edge{from, to}
	if found, known := m.above[key]; known {
		return found
	}
	// An answer in advance ends the walk of a cycle.
	m.above[key] = false
	for _, in := range to.Inputs {
		if in.In != nil && (in.In == from || m.path(from, in.In)) {
			m.above[key] = true
			break
		}
	}
	return m.above[key]
}
