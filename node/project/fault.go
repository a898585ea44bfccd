package project

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/buildnet/buildnet/node/config/strict"
)

// Fault is one thing that is wrong with a configuration. Its column is not told.
type Fault = strict.Fault

// Faults is the error of Parse and Plan: everything that is wrong, in the
// order of the file.
type Faults = strict.Faults

// collector gathers faults about one file.
type collector struct {
	file string
	list []Fault
}

// place is where in a configuration something stands.
type place struct {
	line int
	path string
}

func (p place) key(name string, line int) place {
	if p.path != "" {
		name = p.path + "." + name
	}
	return place{line: line, path: name}
}

func (p place) item(i, line int) place {
	return place{line: line, path: fmt.Sprintf("%s[%d]", p.path, i)}
}

func (c *collector) add(at place, do, what string, args ...any) {
	c.list = append(c.list, Fault{File: c.file, Line: at.line, Path: at.path, What: fmt.Sprintf(what, args...), Do: do})
}

// err returns the faults in the order of the file, or nil if there are none.
func (c *collector) err() error {
	if len(c.list) == 0 {
		return nil
	}
	list := slices.Clone(c.list)
	slices.SortStableFunc(list, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Path, b.Path), cmp.Compare(a.What, b.What))
	})
	return &Faults{List: slices.Compact(list)}
}
