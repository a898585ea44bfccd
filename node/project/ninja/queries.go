package ninja

import (
	"iter"
	"slices"
	"strings"
)

// What the tools of -t list. Each comes line by line, without line ends, in
// ninja's order: a driver prints, and stops when nobody reads any more.

// RuleLines lists the rules of the outermost scope by name.
func (g *Graph) RuleLines(d Descriptions) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, r := range g.Scope.Rules() {
			line := r.Name
			if v, ok := r.Binding("description"); ok && d == WithDescriptions {
				line += ": " + v.String()
			}
			if !yield(line) {
				return
			}
		}
	}
}

// Descriptions says whether RuleLines shows them.
type Descriptions uint8

const (
	// NamesOnly shows the rules' names.
	NamesOnly Descriptions = iota
	// WithDescriptions shows the description of a rule that has one.
	WithDescriptions
)

// TargetLines lists the outputs of all edges with their rules.
func (g *Graph) TargetLines() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, e := range g.Edges {
			for _, n := range e.Outputs {
				if !yield(n.Path + ": " + e.Rule.Name) {
					return
				}
			}
		}
	}
}

// OutputsOf lists the outputs of a rule's edges, sorted, each once.
func (g *Graph) OutputsOf(rule string) []string {
	var paths []string
	for _, e := range g.Edges {
		if e.Rule.Name == rule {
			for _, n := range e.Outputs {
				paths = append(paths, n.Path)
			}
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// SourceLines lists the inputs that no edge makes, as often as they are named.
func (g *Graph) SourceLines() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, e := range g.Edges {
			for _, n := range e.Inputs {
				if n.In == nil && !yield(n.Path) {
					return
				}
			}
		}
	}
}

// TreeLines lists nodes and what they are made from, indented, depth levels
// deep; 0 means all. What is used twice is listed twice, so a graph may have
// more lines than anybody reads. A cycle ends where it closes.
func TreeLines(nodes []*Node, depth int) iter.Seq[string] {
	return func(yield func(string) bool) {
		open := map[*Node]bool{}
		levels := []level{{nodes: nodes}}
		for len(levels) > 0 {
			l := &levels[len(levels)-1]
			if l.next == len(l.nodes) {
				delete(open, l.of)
				levels = levels[:len(levels)-1]
				continue
			}
			n := l.nodes[l.next]
			l.next++
			if !yield(strings.Repeat("  ", len(levels)-1) + treeLine(n)) {
				return
			}
			if n.In != nil && len(levels) != depth && !open[n] {
				open[n] = true
				levels = append(levels, level{of: n, nodes: n.In.Inputs})
			}
		}
	}
}

// level is a list of nodes on the way from a root to a leaf. The way is a
// slice and not the stack: a manifest may make it millions of nodes long.
type level struct {
	of    *Node // what nodes are the inputs for
	nodes []*Node
	next  int
}

func treeLine(n *Node) string {
	if n.In == nil {
		return n.Path
	}
	return n.Path + ": " + n.In.Rule.Name
}

// EdgesFor returns the edges that make nodes, and those that make their
// inputs, each after the ones that it needs.
func EdgesFor(nodes []*Node) []*Edge {
	var edges []*Edge
	seen := map[*Edge]bool{}
	levels := []level{{nodes: nodes}}
	for len(levels) > 0 {
		l := &levels[len(levels)-1]
		if l.next == len(l.nodes) {
			if l.of != nil {
				edges = append(edges, l.of.In)
			}
			levels = levels[:len(levels)-1]
			continue
		}
		n := l.nodes[l.next]
		l.next++
		if e := n.In; e != nil && !seen[e] {
			seen[e] = true
			levels = append(levels, level{of: n, nodes: e.Inputs})
		}
	}
	return edges
}

// ProducersOf returns the edges that make nodes, each once.
func ProducersOf(nodes []*Node) []*Edge {
	var edges []*Edge
	seen := map[*Edge]bool{}
	for _, n := range nodes {
		if e := n.In; e != nil && !seen[e] {
			seen[e] = true
			edges = append(edges, e)
		}
	}
	return edges
}

// Commands lists the commands of edges that run something.
func Commands(edges []*Edge) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, e := range edges {
			if e.Phony() {
				continue
			}
			if command, err := e.Command(); !yield(command, err) || err != nil {
				return
			}
		}
	}
}

// InputsFor returns the inputs of all edges that run something for nodes,
// quoted for a shell, sorted, each once.
func InputsFor(nodes []*Node) []string {
	var paths []string
	seen := map[*Node]bool{}
	for _, e := range EdgesFor(nodes) {
		if e.Phony() {
			continue
		}
		for _, n := range e.Inputs {
			if !seen[n] {
				seen[n] = true
				paths = append(paths, string(appendQuoted(nil, n.Path)))
			}
		}
	}
	slices.Sort(paths)
	return paths
}

// QueryLines says what a node is made from and what is made from it. Its
// dyndep file should have been loaded.
func QueryLines(n *Node) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range queryLines(n) {
			if !yield(line) {
				return
			}
		}
	}
}

func queryLines(n *Node) []string {
	lines := []string{n.Path + ":"}
	if e := n.In; e != nil {
		lines = append(lines, "  input: "+e.Rule.Name)
		for i, in := range e.Inputs {
			label := ""
			switch {
			case e.IsImplicit(i):
				label = "| "
			case e.IsOrderOnly(i):
				label = "|| "
			}
			lines = append(lines, "    "+label+in.Path)
		}
		if len(e.Validations) > 0 {
			lines = append(lines, "  validations:")
			lines = appendPaths(lines, e.Validations)
		}
	}
	lines = append(lines, "  outputs:")
	for _, e := range n.Out {
		lines = appendPaths(lines, e.Outputs)
	}
	if len(n.ValidationOut) > 0 {
		lines = append(lines, "  validation for:")
		for _, e := range n.ValidationOut {
			lines = appendPaths(lines, e.Outputs)
		}
	}
	return lines
}

func appendPaths(lines []string, nodes []*Node) []string {
	for _, n := range nodes {
		lines = append(lines, "    "+n.Path)
	}
	return lines
}
