package project

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing that is wrong with a configuration.
type Fault struct {
	File string
	// Line is where it is, from 1; 0 if it concerns the file as a whole.
	Line int
	// Path is the key that it concerns, such as packages[0].steps[2].run.
	Path string
	What string
	// Do says what to do about it.
	Do string
}

// String returns "file:line: path: what; what to do".
func (f Fault) String() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d", f.Line)
	}
	b.WriteString(": ")
	if f.Path != "" {
		b.WriteString(f.Path + ": ")
	}
	b.WriteString(f.What)
	if f.Do != "" {
		b.WriteString("; " + f.Do)
	}
	return b.String()
}

// Faults is the error of Parse and Plan: everything that is wrong, in the
// order of the file.
type Faults struct {
	List []Fault
}

// Error returns one fault a line.
func (f *Faults) Error() string {
	lines := make([]string, len(f.List))
	for i, one := range f.List {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

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
