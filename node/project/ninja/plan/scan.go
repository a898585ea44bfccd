package plan

import (
	"errors"
	"fmt"
	"strings"

	"github.com/buildnet/buildnet/node/project/ninja"
	"github.com/buildnet/buildnet/node/project/ninja/record"
)

// Options are what a scan can do without.
type Options struct {
	// Commands is the record of earlier runs; without it only mtimes count.
	Commands *record.Commands
	// Deps is the record of inputs that were found; without it all are missing.
	Deps *record.Deps
	// Explain is told why something is dirty.
	Explain func(reason string)
}

// Scan knows the state of all files of a graph.
type Scan struct {
	graph *ninja.Graph
	files Files
	opts  Options

	nodes table[file]
	steps table[step]
}

// NewScan returns a scan that has looked at nothing yet.
func NewScan(graph *ninja.Graph, files Files, opts Options) *Scan {
	return &Scan{graph: graph, files: files, opts: opts}
}

// Edges are those of the graph, in the manifest's order.
func (s *Scan) Edges() []*ninja.Edge { return s.graph.Edges }

// Reset forgets what was seen of files, for another plan over the same graph.
func (s *Scan) Reset() {
	s.nodes, s.steps = table[file]{}, table[step]{}
}

// Dirty reports whether a node was found to be out of date.
func (s *Scan) Dirty(n *ninja.Node) bool { return s.file(n).dirty }

// Mtime is the mtime of a node when it was looked at, and -1 if it was not.
func (s *Scan) Mtime(n *ninja.Node) int64 { return s.file(n).time() }

func (s *Scan) file(n *ninja.Node) *file { return s.nodes.at(n.ID) }
func (s *Scan) step(e *ninja.Edge) *step { return s.steps.at(e.ID) }

// Why is the first reason that was found for an edge to run; "" if there is none.
func (s *Scan) Why(e *ninja.Edge) string { return s.step(e).why }

// explain tells a reason of an edge, or of none in particular.
func (s *Scan) explain(e *ninja.Edge, format string, args ...any) {
	first := e != nil && s.step(e).why == ""
	if !first && s.opts.Explain == nil {
		return
	}
	reason := fmt.Sprintf(format, args...)
	if first {
		s.step(e).why = reason
	}
	if s.opts.Explain != nil {
		s.opts.Explain(reason)
	}
}

// look stats a file that was not looked at.
func (s *Scan) look(n *ninja.Node) error {
	f := s.file(n)
	if f.seen != unknown {
		return nil
	}
	mtime, err := s.files.Stat(n.Path)
	if err != nil {
		return err
	}
	f.mtime, f.seen = mtime, exists
	if mtime == 0 {
		f.seen = missing
	}
	return nil
}

// Visit finds out whether a node and what it is made of are dirty. It returns
// the validations that came to light: they have been visited too, and are to be
// built as if they had been asked for.
func (s *Scan) Visit(n *ninja.Node) (validations []*ninja.Node, err error) {
	v := visit{Scan: s}
	if err := v.node(n); err != nil {
		return nil, err
	}
	// Validations are no inputs: they start anew, and may depend on n.
	for i := 0; i < len(v.validations); i++ {
		v.stack = v.stack[:0]
		if err := v.node(v.validations[i]); err != nil {
			return nil, err
		}
	}
	return v.validations, nil
}

// visit is one walk from a node to the sources.
type visit struct {
	*Scan
	stack       []*ninja.Node
	validations []*ninja.Node
}

func (v *visit) node(n *ninja.Node) error {
	e := n.In
	if e == nil {
		return v.source(n)
	}
	st := v.step(e)
	if st.mark == visited {
		return nil
	}
	if err := v.cycle(n); err != nil {
		return err
	}
	st.mark = onStack
	v.stack = append(v.stack, n)
	if err := v.edge(e, st); err != nil {
		return err
	}
	st.mark = visited
	v.stack = v.stack[:len(v.stack)-1]
	return nil
}

// source visits a node that nothing makes: it is dirty if it is missing.
func (v *visit) source(n *ninja.Node) error {
	f := v.file(n)
	if f.seen != unknown {
		return nil
	}
	if err := v.look(n); err != nil {
		return err
	}
	if f.seen == missing {
		v.explain(nil, "%s has no in-edge and is missing", n.Path)
	}
	f.dirty = f.seen == missing
	return nil
}

// edge visits an edge, its inputs first.
func (v *visit) edge(e *ninja.Edge, st *step) error {
	st.ready, st.depsMissing, st.why = true, false, ""
	if err := v.dyndep(e, st); err != nil {
		return err
	}
	for _, o := range e.Outputs {
		if err := v.look(o); err != nil {
			return err
		}
	}
	if !st.depsLoaded {
		st.depsLoaded = true
		found, err := v.loadDeps(e)
		if err != nil {
			return err
		}
		st.depsMissing = !found
	}
	v.validations = append(v.validations, e.Validations...)
	newest, dirty, err := v.inputs(e, st)
	if err != nil {
		return err
	}
	if dirty = dirty || st.depsMissing; !dirty {
		if dirty, err = v.outputsDirty(e, newest); err != nil {
			return err
		}
	}
	if dirty {
		for _, o := range e.Outputs {
			v.file(o).dirty = true
		}
	}
	// A phony edge without inputs has nothing to do, so it is ready in any case.
	if dirty && (!e.Phony() || len(e.Inputs) > 0) {
		st.ready = false
	}
	return nil
}

// dyndep loads what the edge's dyndep file says, if the file is ready. If it is
// not, the edge waits for it as for any input, and it is loaded then.
func (v *visit) dyndep(e *ninja.Edge, st *step) error {
	if st.depsLoaded || e.Dyndep == nil || !e.Dyndep.DyndepPending {
		return nil
	}
	if err := v.node(e.Dyndep); err != nil {
		return err
	}
	if in := e.Dyndep.In; in != nil && !v.step(in).ready {
		return nil
	}
	_, err := v.loadDyndep(e.Dyndep)
	return err
}

// inputs visits the inputs, and returns the newest that counts for mtimes.
func (v *visit) inputs(e *ninja.Edge, st *step) (newest *ninja.Node, dirty bool, err error) {
	// Visiting an input may load dyndep files, and so add inputs.
	for i := 0; i < len(e.Inputs); i++ {
		in := e.Inputs[i]
		if err := v.node(in); err != nil {
			return nil, false, err
		}
		if in.In != nil && !v.step(in.In).ready {
			st.ready = false
		}
		if e.IsOrderOnly(i) {
			continue
		}
		if v.file(in).dirty {
			v.explain(e, "%s is dirty", in.Path)
			dirty = true
		} else if newest == nil || v.file(in).mtime > v.file(newest).mtime {
			newest = in
		}
	}
	return newest, dirty, nil
}

// cycle reports an edge that the walk is already at.
func (v *visit) cycle(n *ninja.Node) error {
	if v.step(n.In).mark != onStack {
		return nil
	}
	start := 0
	for v.stack[start].In != n.In {
		start++
	}
	// The cycle is named from the node that closes it, even if it was entered
	// through another output of the same edge.
	var b strings.Builder
	b.WriteString("dependency cycle: " + n.Path)
	for _, s := range v.stack[start+1:] {
		b.WriteString(" -> " + s.Path)
	}
	b.WriteString(" -> " + n.Path)
	if e := n.In; start+1 == len(v.stack) && e.Phony() && len(e.Outputs) == 1 && e.ImplicitOuts == 0 && e.ImplicitIns == 0 {
		b.WriteString(" [-w phonycycle=err]")
	}
	return errors.New(b.String())
}
