package ninja

import (
	"fmt"

	"github.com/buildnet/buildnet/node/project/ninja"
)

const cleanUsage = `usage: ninja -t clean [options] [targets]

options:
  -g     also clean files marked as ninja generator output
  -r     interpret targets as a list of rules to clean instead
`

// clean removes what was built: all of it, or targets and what they are made
// of, or the outputs of rules.
func (c *toolCall) clean() (int, error) {
	set, ok := c.flags("gr", cleanUsage)
	if !ok {
		return exitFailed, nil
	}
	rules, generators := false, false
	for _, flag := range set {
		rules = rules || flag == 'r'
		generators = generators || flag == 'g'
	}
	if rules && len(c.args) == 0 {
		return 0, fmt.Errorf("expected a rule to clean")
	}
	w := newCleaner(c)
	// What dyndep files say must be known before they are removed.
	for _, e := range c.graph.Edges {
		if e.Dyndep != nil && e.Dyndep.DyndepPending {
			// Without it, what is known is cleaned.
			_, _ = c.graph.LoadDyndep(c.Disk, e.Dyndep)
		}
	}
	switch {
	case rules:
		return w.finish(w.rules(c.args))
	case len(c.args) > 0:
		return w.finish(w.targets(c.args))
	default:
		return w.finish(w.all(generators))
	}
}

// cleanDead removes what earlier manifests have made and this one does not name.
func (c *toolCall) cleanDead() (int, error) {
	w := newCleaner(c)
	for _, output := range c.logs.commands.Outputs() {
		if n := c.graph.Lookup(output); n == nil || n.In == nil && len(n.Out) == 0 {
			w.remove(output)
		}
	}
	return w.finish(nil)
}

// cleaner removes files and counts them.
type cleaner struct {
	*toolCall
	removed map[string]bool
	visited map[*ninja.Node]bool
	count   int
	failed  bool
}

func newCleaner(c *toolCall) *cleaner {
	w := &cleaner{toolCall: c, removed: map[string]bool{}, visited: map[*ninja.Node]bool{}}
	switch {
	case c.opts.Verbosity == NoStatus:
	case w.verbose():
		c.printf("Cleaning...\n")
	default:
		c.printf("Cleaning... ")
	}
	return w
}

// verbose is also what a dry run is: it is asked in order to see what goes.
func (w *cleaner) verbose() bool {
	return w.opts.Verbosity != NoStatus && (w.opts.Verbosity == Verbose || w.opts.DryRun)
}

func (w *cleaner) finish(err error) (int, error) {
	if err != nil {
		return 0, err
	}
	if w.opts.Verbosity != NoStatus {
		w.printf("%d files.\n", w.count)
	}
	if w.failed {
		return exitFailed, nil
	}
	return exitOK, nil
}

func (w *cleaner) fault(format string, args ...any) {
	w.failed = true
	w.status.error(format, args...)
}

func (w *cleaner) remove(path string) {
	if w.removed[path] {
		return
	}
	w.removed[path] = true
	var there bool
	var err error
	if w.opts.DryRun {
		var mtime int64
		mtime, err = w.Disk.Stat(path)
		there = mtime > 0
	} else {
		there, err = w.Disk.Remove(path)
	}
	if err != nil {
		w.fault("%v", err)
	}
	if there {
		w.count++
		if w.verbose() {
			w.printf("Remove %s\n", path)
		}
	}
}

// extras removes the files that an edge makes besides its outputs.
func (w *cleaner) extras(e *ninja.Edge) error {
	for _, path := range []func() (string, error){e.Depfile, e.Rspfile} {
		p, err := path()
		if err != nil {
			return err
		}
		if p != "" {
			w.remove(p)
		}
	}
	return nil
}

func (w *cleaner) edge(e *ninja.Edge) error {
	for _, o := range e.Outputs {
		w.remove(o.Path)
	}
	return w.extras(e)
}

func (w *cleaner) all(generators bool) error {
	for _, e := range w.graph.Edges {
		if e.Phony() {
			continue
		}
		if generator, err := e.Generator(); err != nil || generator && !generators {
			if err != nil {
				return err
			}
			continue
		}
		if err := w.edge(e); err != nil {
			return err
		}
	}
	return nil
}

func (w *cleaner) rules(names []string) error {
	for _, name := range names {
		r := w.graph.Scope.Rule(name)
		if r == nil {
			w.fault("unknown rule '%s'", name)
			continue
		}
		if w.verbose() {
			w.printf("Rule %s\n", name)
		}
		for _, e := range w.graph.Edges {
			if e.Rule.Name != name {
				continue
			}
			if err := w.edge(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *cleaner) targets(names []string) error {
	for _, name := range names {
		if name == "" {
			w.fault("failed to canonicalize '': empty path")
			continue
		}
		path := ninja.Canonical(name)
		n := w.graph.Lookup(path)
		if n == nil {
			w.fault("unknown target '%s'", path)
			continue
		}
		if w.verbose() {
			w.printf("Target %s\n", path)
		}
		if err := w.target(n); err != nil {
			return err
		}
	}
	return nil
}

// target removes a node and what it is made of.
func (w *cleaner) target(n *ninja.Node) error {
	if w.visited[n] {
		return nil
	}
	w.visited[n] = true
	e := n.In
	if e == nil {
		return nil
	}
	if !e.Phony() {
		w.remove(n.Path)
		if err := w.extras(e); err != nil {
			return err
		}
	}
	for _, in := range e.Inputs {
		if err := w.target(in); err != nil {
			return err
		}
	}
	return nil
}
