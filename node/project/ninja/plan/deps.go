package plan

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/buildnet/buildnet/node/project/ninja"
	"github.com/buildnet/buildnet/node/project/ninja/depfile"
)

// loadDeps adds the inputs that the edge's last run was found to read. It
// reports false if they are not known: then the edge has to run to find them.
func (s *Scan) loadDeps(e *ninja.Edge) (bool, error) {
	inputs, known, err := s.RecordedDeps(e)
	if err != nil || !known {
		return false, err
	}
	nodes := make([]*ninja.Node, len(inputs))
	for i, path := range inputs {
		nodes[i] = s.graph.Node(path)
	}
	before := len(s.graph.Edges)
	s.graph.AddDeps(e, nodes)
	// Who has seen such a node before saw it without an edge, and so as ready.
	for _, made := range s.graph.Edges[before:] {
		s.step(made).ready = true
	}
	return true, nil
}

// RecordedDeps returns what the edge's last run was found to read, by the record
// of builds or by the depfile. known is false if that is lost or out of date.
func (s *Scan) RecordedDeps(e *ninja.Edge) (inputs []string, known bool, err error) {
	kind, err := e.Deps()
	if err != nil {
		return nil, false, err
	}
	if kind != "" {
		inputs, known = s.depsFromRecord(e)
		return inputs, known, nil
	}
	path, err := e.Depfile()
	if err != nil || path == "" {
		return nil, true, err
	}
	return s.depsFromFile(e, path)
}

func (s *Scan) depsFromRecord(e *ninja.Edge) ([]string, bool) {
	out := e.Outputs[0]
	if s.opts.Deps == nil {
		s.explain(e, "deps for '%s' are missing", out.Path)
		return nil, false
	}
	inputs, mtime, known := s.opts.Deps.Lookup(out.Path)
	if !known {
		s.explain(e, "deps for '%s' are missing", out.Path)
		return nil, false
	}
	if now := s.file(out).time(); now > mtime {
		s.explain(e, "stored deps info out of date for '%s' (%d vs %d)", out.Path, mtime, now)
		return nil, false
	}
	return inputs, true
}

func (s *Scan) depsFromFile(e *ninja.Edge, path string) ([]string, bool, error) {
	content, err := s.files.ReadFile(path)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, false, fmt.Errorf("loading '%s': %w", path, err)
	case len(content) == 0:
		s.explain(e, "depfile '%s' is missing", path)
		return nil, false, nil
	}
	parsed, err := depfile.Parse(content)
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", path, err)
	}
	if len(parsed.Outs) == 0 {
		return nil, false, fmt.Errorf("%s: no outputs declared", path)
	}
	// Only the first output is taken with any spelling.
	outs := slices.Clone(parsed.Outs)
	outs[0] = ninja.Canonical(outs[0])
	if first := e.Outputs[0].Path; outs[0] != first {
		s.explain(e, "expected depfile '%s' to mention '%s', got '%s'", path, first, outs[0])
		return nil, false, nil
	}
	for _, o := range outs {
		if !slices.ContainsFunc(e.Outputs, func(n *ninja.Node) bool { return n.Path == o }) {
			return nil, false, fmt.Errorf("%s: depfile mentions '%s' as an output, but no such output was declared", path, o)
		}
	}
	return ninja.CanonicalAll(parsed.Ins), true, nil
}
