package plan

import (
	"github.com/buildnet/buildnet/node/project/ninja"
	"github.com/buildnet/buildnet/node/project/ninja/record"
)

// outputsDirty reports whether an edge whose inputs are clean has to run all the
// same. newest is the newest of its inputs, nil if it has none.
func (s *Scan) outputsDirty(e *ninja.Edge, newest *ninja.Node) (bool, error) {
	if e.Phony() {
		return s.phonyDirty(e, newest), nil
	}
	c := check{Scan: s, newest: newest}
	var err error
	if c.restat, err = e.Restat(); err != nil {
		return false, err
	}
	if c.generator, err = e.Generator(); err != nil {
		return false, err
	}
	for _, o := range e.Outputs {
		if dirty, err := c.output(e, o); dirty || err != nil {
			return dirty, err
		}
	}
	return false, nil
}

// check is the comparison of one edge's outputs with its inputs.
type check struct {
	*Scan
	newest            *ninja.Node // nil if there is no input
	restat, generator bool
	hash              uint64
	hashed            bool
}

func (c *check) output(e *ninja.Edge, o *ninja.Node) (dirty bool, err error) {
	if c.file(o).seen != exists {
		c.explain(e, "output %s doesn't exist", o.Path)
		return true, nil
	}
	entry, recorded := c.recorded(o)
	if c.older(o, c.restat && recorded, entry.Mtime) {
		return true, nil
	}
	switch {
	case c.opts.Commands == nil:
		return false, nil
	case !recorded && !c.generator:
		c.explain(e, "command line not found in log for %s", o.Path)
		return true, nil
	case !recorded:
		return false, nil
	}
	if changed, err := c.changed(e, entry.Hash); changed || err != nil {
		if changed {
			c.explain(e, "command line changed for %s", o.Path)
		}
		return changed, err
	}
	// The file may be newer than the record if a run wrote it and failed.
	if c.newest != nil && entry.Mtime < c.file(c.newest).mtime {
		c.explain(e, "recorded mtime of %s older than most recent input %s (%d vs %d)",
			o.Path, c.newest.Path, entry.Mtime, c.file(c.newest).mtime)
		return true, nil
	}
	return false, nil
}

// changed reports whether the command is another than the recorded one. A
// generator's is left alone: it changes when the generator itself is updated.
func (c *check) changed(e *ninja.Edge, recorded uint64) (bool, error) {
	if c.generator {
		return false, nil
	}
	if !c.hashed {
		command, err := e.AppendCommand(nil, ninja.WithRspfile)
		if err != nil {
			return false, err
		}
		c.hash, c.hashed = record.Hash(command), true
	}
	return c.hash != recorded, nil
}

func (s *Scan) recorded(o *ninja.Node) (record.Command, bool) {
	if s.opts.Commands == nil {
		return record.Command{}, false
	}
	return s.opts.Commands.Lookup(o.Path)
}

// older reports whether an output is older than an input. A restat rule may have
// left the file alone; then the recorded mtime is that of the inputs it had.
func (c *check) older(o *ninja.Node, useRecord bool, recorded int64) bool {
	if c.newest == nil || c.file(o).mtime >= c.file(c.newest).mtime {
		return false
	}
	mtime, prefix := c.file(o).mtime, ""
	if useRecord {
		mtime, prefix = recorded, "restat of "
	}
	if mtime >= c.file(c.newest).mtime {
		return false
	}
	c.explain(o.In, "%soutput %s older than most recent input %s (%d vs %d)",
		prefix, o.Path, c.newest.Path, mtime, c.file(c.newest).mtime)
	return true
}

// phonyDirty also gives outputs that are no files the time of what they stand for.
func (s *Scan) phonyDirty(e *ninja.Edge, newest *ninja.Node) bool {
	for _, o := range e.Outputs {
		f := s.file(o)
		if len(e.Inputs) == 0 && f.seen != exists {
			s.explain(e, "output %s of phony edge with no inputs doesn't exist", o.Path)
			return true
		}
		if newest != nil && f.seen != exists {
			f.mtime = max(f.mtime, s.file(newest).mtime)
		}
	}
	return false
}
