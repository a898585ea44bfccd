package ninja

import (
	"errors"
	"fmt"
)

// Graph is what a manifest declares: files (Node) and the commands that make
// one from others (Edge). Its fields are for reading; methods change it.
type Graph struct {
	// Nodes are in the order in which they were first named: Nodes[i].ID is i.
	Nodes []*Node
	// Edges are in the order of the manifest: Edges[i].ID is i.
	Edges []*Edge
	// Defaults are the targets of the default statements, in order.
	Defaults []*Node
	// Scope is the outermost one: it holds builddir and the like.
	Scope *Scope
	// Pools are in the order of declaration, after the two that always exist:
	// the one without a name and without a limit, and the console's.
	Pools []*Pool

	byPath     map[string]*Node
	poolByName map[string]*Pool

	// What is left of the last blocks: one allocation serves many.
	nodes    []Node
	edges    []Edge
	nodeRefs []*Node
	edgeRefs []*Edge
	scopes   []Scope
	vars     []variable
}

// Node is a file, whether it exists or not.
type Node struct {
	// Path is canonical: see Canonical.
	Path string
	ID   int
	// In is the edge that makes the file, nil for a source.
	In *Edge
	// Out are the edges that read it. An edge is here as often as it names it.
	Out []*Edge
	// ValidationOut are the edges whose validation it is.
	ValidationOut []*Edge
	// DyndepPending is true of a dyndep file that has not been loaded yet.
	DyndepPending bool
}

// Edge is one build statement.
type Edge struct {
	ID   int
	Rule *Rule
	Pool *Pool
	// Inputs are the explicit ones, then ImplicitIns implicit ones, then
	// OrderOnlyIns order-only ones.
	Inputs       []*Node
	ImplicitIns  int
	OrderOnlyIns int
	// Outputs are the explicit ones, then ImplicitOuts implicit ones. An edge
	// of FromDeps loses its output when a dyndep file names the real producer.
	Outputs      []*Node
	ImplicitOuts int
	Validations  []*Node
	// Dyndep is the input that says more of the edge, nil if there is none.
	Dyndep *Node
	// Scope holds the edge's own variables, or is the one around it.
	Scope *Scope
	// FromDeps marks the phony edge of a file that only recorded dependencies
	// name: that it is missing is then no fault, but makes its readers dirty.
	FromDeps bool

	dyndepRestat bool // the dyndep file says so
}

// Rule is a command with variables in it. Its bindings are expanded for each
// edge anew, in that edge's scope.
type Rule struct {
	Name     string
	bindings [bindingCount]*Value
}

// Pool bounds how many of its edges run at once.
type Pool struct {
	Name string
	// Depth is the bound; 0 means none.
	Depth int
}

// Scope maps names to values and rules. A file that is read by subninja has
// one of its own, and so has an edge with variables.
type Scope struct {
	parent *Scope
	// vars are in order of first binding; index is made when they are many.
	vars  []variable
	index map[string]int
	rules map[string]*Rule
}

type variable struct {
	name, value string
}

// ConsolePool is the pool whose edges have the terminal, one at a time.
const ConsolePool = "console"

// phony is the rule of edges that run nothing.
var phony = &Rule{Name: "phony"}

// NewGraph returns a graph with the rule phony and the two pools that always
// exist.
func NewGraph() *Graph {
	g := &Graph{Scope: NewScope(nil), byPath: map[string]*Node{}, poolByName: map[string]*Pool{}}
	g.Scope.addRule(phony)
	g.AddPool("", 0)
	g.AddPool(ConsolePool, 1)
	return g
}

// Node returns the node of path, which must be canonical, and makes it if
// there is none.
func (g *Graph) Node(path string) *Node {
	if n := g.byPath[path]; n != nil {
		return n
	}
	if len(g.nodes) == 0 {
		g.nodes = make([]Node, blockSize(len(g.Nodes)))
	}
	n := &g.nodes[0]
	g.nodes = g.nodes[1:]
	n.Path, n.ID = path, len(g.Nodes)
	g.Nodes = append(g.Nodes, n)
	g.byPath[path] = n
	return n
}

// Lookup returns the node of path, nil if there is none.
func (g *Graph) Lookup(path string) *Node { return g.byPath[path] }

// expect makes room for the graph of a manifest of that many bytes. A path
// takes about a hundred of them where it is first named.
func (g *Graph) expect(bytes int) {
	g.byPath = make(map[string]*Node, min(bytes/100, 1<<20))
}

// Pool returns the pool of that name, nil if there is none.
func (g *Graph) Pool(name string) *Pool { return g.poolByName[name] }

// AddPool appends a pool. There must be none of that name.
func (g *Graph) AddPool(name string, depth int) *Pool {
	p := &Pool{name, depth}
	g.Pools = append(g.Pools, p)
	g.poolByName[name] = p
	return p
}

// AddEdge appends an edge without files, in the outermost scope.
func (g *Graph) AddEdge(rule *Rule) *Edge {
	if len(g.edges) == 0 {
		g.edges = make([]Edge, blockSize(len(g.Edges)))
	}
	e := &g.edges[0]
	g.edges = g.edges[1:]
	e.ID, e.Rule, e.Pool, e.Scope = len(g.Edges), rule, g.Pools[0], g.Scope
	g.Edges = append(g.Edges, e)
	return e
}

// nodeSlots returns an empty list with room for n nodes.
func (g *Graph) nodeSlots(n int) []*Node {
	if n > len(g.nodeRefs) {
		g.nodeRefs = make([]*Node, max(n, blockSize(len(g.Nodes))))
	}
	s := g.nodeRefs[:0:n]
	g.nodeRefs = g.nodeRefs[n:]
	return s
}

// edgeSlot returns an empty list with room for one edge: most files have one
// reader.
func (g *Graph) edgeSlot() []*Edge {
	if len(g.edgeRefs) == 0 {
		g.edgeRefs = make([]*Edge, blockSize(len(g.Nodes)))
	}
	s := g.edgeRefs[:0:1]
	g.edgeRefs = g.edgeRefs[1:]
	return s
}

// edgeScope returns a scope with those variables, which it copies.
func (g *Graph) edgeScope(parent *Scope, vars []variable) *Scope {
	if len(vars) > manyVars {
		s := NewScope(parent)
		for _, v := range vars {
			s.Bind(v.name, v.value)
		}
		return s
	}
	if len(g.scopes) == 0 {
		g.scopes = make([]Scope, blockSize(len(g.Edges)))
	}
	if len(g.vars) < len(vars) {
		g.vars = make([]variable, max(len(vars), 4*blockSize(len(g.Edges))))
	}
	s, n := &g.scopes[0], copy(g.vars, vars)
	s.parent, s.vars = parent, g.vars[:n:n]
	g.scopes, g.vars = g.scopes[1:], g.vars[n:]
	return s
}

// blockSize lets blocks grow with the graph, so that a small one costs little
// and a large one few allocations.
func blockSize(have int) int { return min(max(have, 16), 1024) }

// AddIn appends an input.
func (g *Graph) AddIn(e *Edge, path string) {
	n := g.Node(path)
	e.Inputs = append(e.Inputs, n)
	if n.Out == nil {
		n.Out = g.edgeSlot()
	}
	n.Out = append(n.Out, e)
}

// AddOut appends an output, and reports false if another edge makes it.
func (g *Graph) AddOut(e *Edge, path string) bool {
	n := g.Node(path)
	if n.In != nil {
		return false
	}
	e.Outputs = append(e.Outputs, n)
	n.In = e
	return true
}

// AddValidation appends a validation.
func (g *Graph) AddValidation(e *Edge, path string) {
	n := g.Node(path)
	e.Validations = append(e.Validations, n)
	n.ValidationOut = append(n.ValidationOut, e)
}

// AddDeps inserts recorded dependencies behind the implicit inputs. What no
// edge makes gets a phony edge of FromDeps; a driver takes its outputs as
// ready until it has looked.
func (g *Graph) AddDeps(e *Edge, deps []*Node) {
	e.insertImplicit(deps)
	for _, n := range deps {
		if n.In == nil {
			made := g.AddEdge(phony)
			made.FromDeps = true
			made.Outputs = append(g.nodeSlots(1), n)
			n.In = made
		}
	}
}

// insertImplicit adds implicit inputs in front of the order-only ones.
func (e *Edge) insertImplicit(nodes []*Node) {
	at := len(e.Inputs) - e.OrderOnlyIns
	all := make([]*Node, 0, len(e.Inputs)+len(nodes))
	all = append(append(append(all, e.Inputs[:at]...), nodes...), e.Inputs[at:]...)
	e.Inputs = all
	e.ImplicitIns += len(nodes)
	for _, n := range nodes {
		n.Out = append(n.Out, e)
	}
}

// AddDefault makes path a default target.
func (g *Graph) AddDefault(path string) error {
	n := g.Lookup(path)
	if n == nil {
		return fmt.Errorf("unknown target '%s'", path)
	}
	g.Defaults = append(g.Defaults, n)
	return nil
}

// ErrNoRoots says that every output of a graph is an input of some edge.
var ErrNoRoots = errors.New("could not determine root nodes of build graph")

// Roots returns the outputs that no edge reads, in the order of their edges.
func (g *Graph) Roots() ([]*Node, error) {
	var roots []*Node
	for _, e := range g.Edges {
		for _, n := range e.Outputs {
			if len(n.Out) == 0 {
				roots = append(roots, n)
			}
		}
	}
	if len(g.Edges) > 0 && len(roots) == 0 {
		return nil, ErrNoRoots
	}
	return roots, nil
}

// DefaultNodes returns what to build when nothing is named.
func (g *Graph) DefaultNodes() ([]*Node, error) {
	if len(g.Defaults) > 0 {
		return g.Defaults, nil
	}
	return g.Roots()
}

// Phony reports whether the edge runs nothing and only groups its inputs.
func (e *Edge) Phony() bool { return e.Rule == phony }

// Console reports whether the edge has the terminal for itself.
func (e *Edge) Console() bool { return e.Pool.Name == ConsolePool }

// ExplicitIns returns what $in stands for.
func (e *Edge) ExplicitIns() []*Node {
	return e.Inputs[:len(e.Inputs)-e.ImplicitIns-e.OrderOnlyIns]
}

// NonOrderOnlyIns returns the inputs whose change makes the outputs stale.
func (e *Edge) NonOrderOnlyIns() []*Node { return e.Inputs[:len(e.Inputs)-e.OrderOnlyIns] }

// ExplicitOuts returns what $out stands for.
func (e *Edge) ExplicitOuts() []*Node { return e.Outputs[:len(e.Outputs)-e.ImplicitOuts] }

// IsImplicit reports whether input i is an implicit one.
func (e *Edge) IsImplicit(i int) bool {
	return i >= len(e.Inputs)-e.OrderOnlyIns-e.ImplicitIns && !e.IsOrderOnly(i)
}

// IsOrderOnly reports whether input i is an order-only one.
func (e *Edge) IsOrderOnly(i int) bool { return i >= len(e.Inputs)-e.OrderOnlyIns }
