package ninja

import (
	"fmt"
	"slices"
)

// statementLists are how the lists of a build statement fall into parts.
type statementLists struct {
	rule                                *Rule
	implicitOuts, implicitIns, orderIns int
}

// build reads a build statement. All of it is read before a path is expanded,
// because the variables of the block below count in the paths above.
func (p *parser) build() error {
	lists, err := p.lists()
	if err != nil {
		return err
	}
	scope, err := p.block()
	if err != nil {
		return err
	}
	if len(p.graph.Edges) >= MaxEdges {
		return p.fault(fmt.Sprintf("more than %d build statements", MaxEdges))
	}
	e := p.graph.AddEdge(lists.rule)
	e.Scope = scope
	if err := p.choosePool(e); err != nil {
		return err
	}
	if err := p.outputs(e, lists.implicitOuts); err != nil {
		return err
	}
	if len(e.Outputs) == 0 {
		// Other edges make all of them: this one never was.
		p.graph.Edges = p.graph.Edges[:e.ID]
		return nil
	}
	if err := p.inputs(e, lists); err != nil {
		return err
	}
	if p.opts.PhonyCycles == PhonyCyclesWarn {
		p.breakPhonyCycle(e)
	}
	return p.chooseDyndep(e)
}

// lists reads the line of a build statement.
func (p *parser) lists() (lists statementLists, err error) {
	if p.outs, err = p.paths(p.outs[:0]); err != nil {
		return lists, err
	}
	t := p.next()
	if t == tokPipe {
		explicit := len(p.outs)
		if p.outs, err = p.paths(p.outs); err != nil {
			return lists, err
		}
		lists.implicitOuts = len(p.outs) - explicit
		if len(p.outs) > 0 {
			t = p.next()
		}
	}
	if len(p.outs) == 0 {
		return lists, p.fault("expected path")
	}
	if err := p.expected(tokColon, t); err != nil {
		return lists, err
	}
	name, ok := p.ident()
	if !ok {
		return lists, p.fault("expected build command name")
	}
	if lists.rule = p.scope.Rule(name); lists.rule == nil {
		return lists, p.fault("unknown build rule '" + name + "'")
	}
	return lists, p.inputLists(&lists)
}

func (p *parser) inputLists(lists *statementLists) (err error) {
	if p.ins, err = p.paths(p.ins[:0]); err != nil {
		return err
	}
	p.validations = p.validations[:0]
	t := p.next()
	if t == tokPipe {
		if lists.implicitIns, err = p.moreInputs(); err != nil {
			return err
		}
		t = p.next()
	}
	if t == tokPipe2 {
		if lists.orderIns, err = p.moreInputs(); err != nil {
			return err
		}
		t = p.next()
	}
	if t == tokPipeAt {
		if p.validations, err = p.paths(p.validations); err != nil {
			return err
		}
		t = p.next()
	}
	return p.expected(tokNewline, t)
}

func (p *parser) moreInputs() (n int, err error) {
	before := len(p.ins)
	p.ins, err = p.paths(p.ins)
	return len(p.ins) - before, err
}

// paths appends the paths up to the next token to dst.
func (l *lexer) paths(dst []Value) ([]Value, error) {
	for {
		v, err := l.path()
		if err != nil || v.empty() {
			return dst, err
		}
		dst = append(dst, v)
	}
}

// block reads the variables below a build statement. Their values are expanded
// in the scope around: they do not see each other.
func (p *parser) block() (*Scope, error) {
	if !p.indented() {
		return p.scope, nil
	}
	own := Scope{vars: p.vars[:0]}
	for more := true; more; more = p.indented() {
		name, v, err := p.let()
		if err != nil {
			return nil, err
		}
		value, err := p.expand(v, p.scope)
		if err != nil {
			return nil, err
		}
		own.Bind(name, value)
	}
	p.vars = own.vars
	return p.graph.edgeScope(p.scope, own.vars), nil
}

func (p *parser) choosePool(e *Edge) error {
	name, err := e.Binding("pool")
	if err != nil || name == "" {
		return err
	}
	pool := p.graph.Pool(name)
	if pool == nil {
		return p.fault("unknown pool name '" + name + "'")
	}
	e.Pool = pool
	return nil
}

func (p *parser) outputs(e *Edge, implicit int) error {
	e.Outputs = p.graph.nodeSlots(len(p.outs))
	for i, v := range p.outs {
		path, err := p.expandPath(v, e.Scope)
		if err != nil {
			return err
		}
		if p.graph.AddOut(e, path) {
			continue
		}
		if p.opts.Duplicates == DuplicatesFail {
			return p.fault("multiple rules generate " + path)
		}
		p.warn("multiple rules generate %s. builds involving this target will not be correct; continuing anyway", path)
		if len(p.outs)-i <= implicit {
			implicit--
		}
	}
	e.ImplicitOuts = implicit
	return nil
}

func (p *parser) inputs(e *Edge, lists statementLists) error {
	e.Inputs = p.graph.nodeSlots(len(p.ins))
	for _, v := range p.ins {
		path, err := p.expandPath(v, e.Scope)
		if err != nil {
			return err
		}
		p.graph.AddIn(e, path)
	}
	e.ImplicitIns, e.OrderOnlyIns = lists.implicitIns, lists.orderIns
	for _, v := range p.validations {
		path, err := p.expandPath(v, e.Scope)
		if err != nil {
			return err
		}
		p.graph.AddValidation(e, path)
	}
	return nil
}

// breakPhonyCycle takes the output of a phony edge out of its inputs. Only the
// form that CMake wrote counts; others are cycles.
func (p *parser) breakPhonyCycle(e *Edge) {
	if !e.Phony() || len(e.Outputs) != 1 || e.ImplicitOuts > 0 || e.ImplicitIns > 0 {
		return
	}
	out := e.Outputs[0]
	if !slices.Contains(e.Inputs, out) {
		return
	}
	for i, n := range e.Inputs {
		if n == out && e.IsOrderOnly(i) {
			e.OrderOnlyIns--
		}
	}
	e.Inputs = slices.DeleteFunc(e.Inputs, func(n *Node) bool { return n == out })
	p.warn("phony target '%s' names itself as an input; ignoring [-w phonycycle=warn]", out.Path)
}

// chooseDyndep finds the file that will say more of the edge among its inputs.
func (p *parser) chooseDyndep(e *Edge) error {
	path, err := e.dyndepPath()
	if err != nil || path == "" {
		return err
	}
	path = Canonical(path)
	e.Dyndep = p.graph.Node(path)
	e.Dyndep.DyndepPending = true
	if !slices.Contains(e.Inputs, e.Dyndep) {
		return p.fault("dyndep '" + path + "' is not an input")
	}
	return nil
}
