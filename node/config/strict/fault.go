package strict

import (
	"fmt"
	"strings"
)

// Fault is one thing that is wrong with a file.
type Fault struct {
	File string
	// Line is where it is, from 1; 0 if it concerns the file as a whole. Column is
	// 0 where the line alone is known.
	Line, Column int
	// Path is the key that it concerns, such as packages[0].steps[2].run.
	Path string
	What string
	// Do says what to do about it.
	Do string
}

// String returns "file:line:column: path: what; what to do", of these what
// there is.
func (f Fault) String() string {
	var b strings.Builder
	b.WriteString(f.File)
	for _, n := range []int{f.Line, f.Column} {
		if n > 0 {
			fmt.Fprintf(&b, ":%d", n)
		}
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

// Faults is the error of whoever reads a file: everything that is wrong, in the
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
