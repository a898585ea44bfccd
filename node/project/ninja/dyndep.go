package ninja

import "fmt"

// Dyndep is what a dyndep file says of one edge.
type Dyndep struct {
	Edge         *Edge
	ImplicitIns  []*Node
	ImplicitOuts []*Node
	Restat       bool
}

// LoadDyndep reads the dyndep file n and adds what it says to its edges. It
// returns that in the order of the file. After an error some edges may have
// changed, and n counts as loaded.
func (g *Graph) LoadDyndep(files Files, n *Node) ([]Dyndep, error) {
	n.DyndepPending = false
	text, err := files.ReadFile(n.Path)
	if err != nil {
		return nil, fmt.Errorf("loading '%s': %w", n.Path, err)
	}
	if len(text) > MaxText {
		return nil, fmt.Errorf("loading '%s': more than %d MiB", n.Path, MaxText>>20)
	}
	p := dyndepParser{lexer: lexer{file: n.Path, text: text}, graph: g, of: map[*Edge]int{}}
	if err := p.parse(); err != nil {
		return nil, err
	}
	return p.found, p.apply(n)
}

// apply adds what p has read to the edges whose dyndep file n is.
func (p *dyndepParser) apply(n *Node) error {
	used := make([]bool, len(p.found))
	for _, e := range n.Out {
		if e.Dyndep != n {
			continue
		}
		i, ok := p.of[e]
		if !ok {
			return fmt.Errorf("'%s' not mentioned in its dyndep file '%s'", e.Outputs[0].Path, n.Path)
		}
		if used[i] {
			continue // the edge names the file twice
		}
		used[i] = true
		if err := e.learn(&p.found[i]); err != nil {
			return err
		}
	}
	for i := range p.found {
		if !used[i] {
			return fmt.Errorf("dyndep file '%s' mentions output '%s' whose build statement does not have a dyndep binding for the file",
				n.Path, p.found[i].Edge.Outputs[0].Path)
		}
	}
	return nil
}

// learn adds what a dyndep file says of the edge.
func (e *Edge) learn(d *Dyndep) error {
	e.dyndepRestat = e.dyndepRestat || d.Restat
	e.Outputs = append(e.Outputs, d.ImplicitOuts...)
	e.ImplicitOuts += len(d.ImplicitOuts)
	for _, n := range d.ImplicitOuts {
		if old := n.In; old != nil {
			if !old.FromDeps {
				return fmt.Errorf("multiple rules generate %s", n.Path)
			}
			old.Outputs = nil // it stood in for this edge
		}
		n.In = e
	}
	e.insertImplicit(d.ImplicitIns)
	return nil
}

// dyndepParser reads one dyndep file: a version, then build statements that
// name an output that the graph knows, and the rule dyndep.
type dyndepParser struct {
	lexer
	graph *Graph
	found []Dyndep
	of    map[*Edge]int // where in found
}

const noDyndepVersion = "expected 'ninja_dyndep_version = ...'"

func (p *dyndepParser) parse() error {
	versioned := false
	for {
		switch t := p.next(); t {
		case tokNewline:
		case tokEOF, tokBuild:
			if !versioned {
				return p.fault(noDyndepVersion)
			}
			if t == tokEOF {
				return nil
			}
			if err := p.statement(); err != nil {
				return err
			}
		case tokIdent:
			if versioned {
				return p.fault("unexpected " + t.String())
			}
			p.pos = p.last
			if err := p.version(); err != nil {
				return err
			}
			versioned = true
		case tokError:
			return p.fault(p.lexingError())
		default:
			return p.fault("unexpected " + t.String())
		}
	}
}

func (p *dyndepParser) version() error {
	name, v, err := p.let()
	if err != nil {
		return err
	}
	if name != "ninja_dyndep_version" {
		return p.fault(noDyndepVersion)
	}
	version, err := p.expand(v)
	if err != nil {
		return err
	}
	if major, minor := parseVersion(version); major != 1 || minor != 0 {
		return p.fault("unsupported 'ninja_dyndep_version = " + version + "'")
	}
	return nil
}

func (p *dyndepParser) statement() error {
	d, err := p.output()
	if err != nil {
		return err
	}
	var outs, ins []Value
	if p.peek(tokPipe) {
		if outs, err = p.paths(nil); err != nil {
			return err
		}
	}
	if err := p.expect(tokColon); err != nil {
		return err
	}
	if name, ok := p.ident(); !ok || name != "dyndep" {
		return p.fault("expected build command name 'dyndep'")
	}
	if err := p.none("explicit inputs not supported"); err != nil {
		return err
	}
	if p.peek(tokPipe) {
		if ins, err = p.paths(nil); err != nil {
			return err
		}
	}
	if p.peek(tokPipe2) {
		return p.fault("order-only inputs not supported")
	}
	if err := p.expect(tokNewline); err != nil {
		return err
	}
	if d.Restat, err = p.restat(); err != nil {
		return err
	}
	if d.ImplicitIns, err = p.nodes(ins); err != nil {
		return err
	}
	if d.ImplicitOuts, err = p.nodes(outs); err != nil {
		return err
	}
	p.found = append(p.found, d)
	return nil
}

// output reads the one output that names the edge.
func (p *dyndepParser) output() (Dyndep, error) {
	v, err := p.path()
	if err != nil {
		return Dyndep{}, err
	}
	if v.empty() {
		return Dyndep{}, p.fault("expected path")
	}
	path, err := p.expandPath(v)
	if err != nil {
		return Dyndep{}, err
	}
	n := p.graph.Lookup(path)
	if n == nil || n.In == nil {
		return Dyndep{}, p.fault("no build statement exists for '" + path + "'")
	}
	if _, twice := p.of[n.In]; twice {
		return Dyndep{}, p.fault("multiple statements for '" + path + "'")
	}
	p.of[n.In] = len(p.found)
	return Dyndep{Edge: n.In}, p.none("explicit outputs not supported")
}

// none returns an error if there is a path.
func (p *dyndepParser) none(what string) error {
	v, err := p.path()
	if err == nil && !v.empty() {
		return p.fault(what)
	}
	return err
}

func (p *dyndepParser) restat() (bool, error) {
	if !p.indented() {
		return false, nil
	}
	name, v, err := p.let()
	if err != nil {
		return false, err
	}
	if name != "restat" {
		return false, p.fault("binding is not 'restat'")
	}
	value, err := p.expand(v)
	return value != "", err
}

func (p *dyndepParser) nodes(paths []Value) ([]*Node, error) {
	nodes := make([]*Node, 0, len(paths))
	for _, v := range paths {
		path, err := p.expandPath(v)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, p.graph.Node(path))
	}
	return nodes, nil
}

// expand replaces variables by nothing: a dyndep file has none.
func (p *dyndepParser) expand(v Value) (string, error) {
	if len(v.pieces) == 0 {
		return v.text, nil
	}
	buf, err := (*Scope)(nil).appendValue(nil, v)
	if err != nil {
		return "", p.fault(err.Error())
	}
	return string(buf), nil
}

func (p *dyndepParser) expandPath(v Value) (string, error) {
	path, err := p.expand(v)
	if err != nil {
		return "", err
	}
	if path == "" {
		return "", p.fault("empty path")
	}
	return Canonical(path), nil
}
