package ninja

import "slices"

// Command returns what the shell gets.
func (e *Edge) Command() (string, error) { return e.Binding("command") }

// AppendCommand appends the command to dst.
func (e *Edge) AppendCommand(dst []byte, more CommandParts) ([]byte, error) {
	x := expansion{edge: e, dst: dst, base: len(dst)}
	if err := x.top("command"); err != nil || more == CommandOnly {
		return x.dst, err
	}
	const separator = ";rspfile="
	before := len(x.dst)
	x.dst = append(x.dst, separator...)
	x.base = len(x.dst)
	err := x.top("rspfile_content")
	if len(x.dst) == before+len(separator) {
		x.dst = x.dst[:before]
	}
	return x.dst, err
}

// CommandParts says what AppendCommand appends.
type CommandParts uint8

const (
	// CommandOnly is what Command returns.
	CommandOnly CommandParts = iota
	// WithRspfile adds the response file's content. It is what ninja hashes to
	// see that a command has changed.
	WithRspfile
)

// Binding returns the value of a variable in the edge's scope, as the shell
// takes it: paths in $in and $out are quoted. In order, the edge's own
// variables count, those of its rule, and those around it.
func (e *Edge) Binding(name string) (string, error) { return e.expand(name, quoted) }

// Flag reports whether a variable has any value at all, as restat and
// generator are asked.
func (e *Edge) Flag(name string) (bool, error) {
	v, err := e.Binding(name)
	return v != "", err
}

// Restat reports whether outputs that did not change leave their readers alone.
func (e *Edge) Restat() (bool, error) { return e.Flag("restat") }

// Generator reports whether the edge makes manifests: it does not run only
// because its command has changed, and clean leaves its outputs.
func (e *Edge) Generator() (bool, error) { return e.Flag("generator") }

// Deps returns how the edge tells its dependencies: gcc, msvc or not at all.
func (e *Edge) Deps() (string, error) { return e.Binding("deps") }

// Depfile returns the path of the file with dependencies, "" for none.
func (e *Edge) Depfile() (string, error) { return e.expand("depfile", literal) }

// Rspfile returns the path of the response file, "" for none.
func (e *Edge) Rspfile() (string, error) { return e.expand("rspfile", literal) }

// RspfileContent returns what the response file holds.
func (e *Edge) RspfileContent() (string, error) { return e.Binding("rspfile_content") }

// dyndepPath returns the path that Dyndep was made from.
func (e *Edge) dyndepPath() (string, error) { return e.expand("dyndep", literal) }

// quoting says how paths stand in an expansion.
type quoting uint8

const (
	quoted  quoting = iota // for /bin/sh
	literal                // as they are
)

func (e *Edge) expand(name string, q quoting) (string, error) {
	if v, ok := e.plain(name); ok {
		return v, nil
	}
	x := expansion{edge: e, quoting: q}
	if err := x.top(name); err != nil {
		return "", err
	}
	return string(x.dst), nil
}

// plain returns the value of name if that needs no expansion.
func (e *Edge) plain(name string) (string, bool) {
	if isPathList(name) {
		return "", false
	}
	if v, ok := e.own(name); ok {
		return v, true
	}
	v := e.Rule.bound(name)
	if v == nil {
		return e.Scope.parent.Lookup(name), true
	}
	return v.text, len(v.pieces) == 0
}

// own returns the value that name has in the edge's own scope.
func (e *Edge) own(name string) (string, bool) {
	if e.dyndepRestat && name == "restat" {
		return "1", true
	}
	return e.Scope.own(name)
}

func isPathList(name string) bool { return name == "in" || name == "out" || name == "in_newline" }

// expansion is one variable of an edge being expanded.
type expansion struct {
	edge    *Edge
	quoting quoting
	dst     []byte
	base    int // where in dst the expansion begins
	// open are the rule's bindings that are being expanded, outermost first.
	// The one that was asked for is not among them, as ninja names cycles.
	open  []string
	array [bindingCount + 1]string
}

// top expands the variable that was asked for.
func (x *expansion) top(name string) error {
	x.open = x.array[:0]
	return x.variable(name, false)
}

func (x *expansion) variable(name string, nested bool) error {
	switch name {
	case "in":
		return x.paths(x.edge.ExplicitIns(), ' ')
	case "in_newline":
		return x.paths(x.edge.ExplicitIns(), '\n')
	case "out":
		return x.paths(x.edge.ExplicitOuts(), ' ')
	}
	if at := slices.Index(x.open, name); at >= 0 {
		return &CycleError{append(slices.Clone(x.open[at:]), name)}
	}
	if v, ok := x.edge.own(name); ok {
		return x.text(v)
	}
	v := x.edge.Rule.bound(name)
	if v == nil {
		return x.text(x.edge.Scope.parent.Lookup(name))
	}
	if nested {
		x.open = append(x.open, name)
		defer func() { x.open = x.open[:len(x.open)-1] }()
	}
	return x.value(v)
}

func (x *expansion) value(v *Value) error {
	if err := x.text(v.text); err != nil {
		return err
	}
	for i := range v.pieces {
		p := &v.pieces[i]
		var err error
		if p.variable {
			err = x.variable(p.text, true)
		} else {
			err = x.text(p.text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (x *expansion) text(s string) error {
	if len(x.dst)-x.base+len(s) > MaxExpansion {
		return ErrTooLong
	}
	x.dst = append(x.dst, s...)
	return nil
}

func (x *expansion) paths(nodes []*Node, separator byte) error {
	for i, n := range nodes {
		if len(x.dst)-x.base+len(n.Path) > MaxExpansion {
			return ErrTooLong
		}
		if i > 0 {
			x.dst = append(x.dst, separator)
		}
		if x.quoting == quoted {
			x.dst = appendQuoted(x.dst, n.Path)
		} else {
			x.dst = append(x.dst, n.Path...)
		}
	}
	return nil
}

// appendQuoted appends s as one word of a shell.
func appendQuoted(dst []byte, s string) []byte {
	if !needsQuotes(s) {
		return append(dst, s...)
	}
	dst = append(dst, '\'')
	for i := range len(s) {
		if s[i] == '\'' {
			dst = append(dst, `'\'`...)
		}
		dst = append(dst, s[i])
	}
	return append(dst, '\'')
}

func needsQuotes(s string) bool {
	for i := range len(s) {
		if !shellSafe[s[i]] {
			return true
		}
	}
	return false
}

// shellSafe are the bytes that mean themselves to every shell.
var shellSafe = bytesOf("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-./")

func bytesOf(s string) (set [256]bool) {
	for i := range len(s) {
		set[s[i]] = true
	}
	return set
}
