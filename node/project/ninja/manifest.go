package ninja

import (
	"fmt"
	"slices"
)

// Version is the ninja whose language and words these are.
const Version = "1.11.1"

// A manifest may come from a stranger. The limits leave room for the largest
// trees that are built with ninja: Android's has a million edges in some
// hundred megabytes, and includes nest two or three deep.
const (
	// MaxDepth bounds how deep subninja and include nest.
	MaxDepth = 128
	// MaxFiles bounds how many files are read, each time counted.
	MaxFiles = 200_000
	// MaxText bounds the bytes of all that is read, each time counted.
	MaxText = 1 << 30
	// MaxExpanded bounds the bytes that replacing variables may make.
	MaxExpanded = 1 << 30
	// MaxEdges bounds the build statements.
	MaxEdges = 8 << 20
)

// Files gives the parsers their text.
type Files interface {
	// ReadFile returns what a file holds. Of its error only the text counts: it
	// stands behind "loading 'path': ", where ninja has the words of strerror,
	// "No such file or directory".
	ReadFile(path string) (string, error)
}

// Options are what ninja's -w flags say. The zero value is ninja's default.
type Options struct {
	Duplicates  Duplicates
	PhonyCycles PhonyCycles
	// Warn is told what is odd but no fault, without "ninja: warning: ". It may
	// be nil.
	Warn func(string)
}

// Duplicates says what becomes of a second edge for one output.
type Duplicates uint8

const (
	// DuplicatesFail makes it an error.
	DuplicatesFail Duplicates = iota
	// DuplicatesWarn keeps the first edge.
	DuplicatesWarn
)

// PhonyCycles says what becomes of a phony edge that is its own input. CMake
// before 3.1 wrote such.
type PhonyCycles uint8

const (
	// PhonyCyclesWarn takes the input away.
	PhonyCyclesWarn PhonyCycles = iota
	// PhonyCyclesFail leaves it: the build will name the cycle.
	PhonyCyclesFail
)

// VersionError says that a manifest is for a later ninja.
type VersionError struct{ Required string }

func (e *VersionError) Error() string {
	return fmt.Sprintf("ninja version (%s) incompatible with build file ninja_required_version version (%s).",
		Version, e.Required)
}

// Load reads a manifest and all that it includes.
func Load(files Files, path string, opts Options) (*Graph, error) {
	l := &loading{graph: NewGraph(), files: files, opts: opts}
	text, err := l.read(path)
	if err != nil {
		return nil, err
	}
	l.graph.expect(len(text))
	p := &parser{loading: l, scope: l.graph.Scope}
	if err := p.parse(path, text); err != nil {
		return nil, err
	}
	return l.graph, nil
}

// loading is what the files of one manifest have in common.
type loading struct {
	graph *Graph
	files Files
	opts  Options

	depth, count int
	// Bytes so far.
	taken, expanded int

	// The lists of the statement that is being read.
	outs, ins, validations []Value
	vars                   []variable
	buf                    []byte
}

// read returns a file's text.
func (l *loading) read(path string) (string, error) {
	if l.count++; l.count > MaxFiles {
		return "", fmt.Errorf("loading '%s': more than %d files", path, MaxFiles)
	}
	text, err := l.files.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("loading '%s': %w", path, err)
	}
	if l.taken += len(text); l.taken > MaxText {
		return "", fmt.Errorf("loading '%s': more than %d MiB in all files", path, MaxText>>20)
	}
	return text, nil
}

func (l *loading) warn(format string, args ...any) {
	if l.opts.Warn != nil {
		l.opts.Warn(fmt.Sprintf(format, args...))
	}
}

// parser reads one file.
type parser struct {
	*loading
	lexer
	scope *Scope
}

func (p *parser) parse(path, text string) error {
	p.lexer = lexer{file: path, text: text}
	for {
		p.pieces = p.pieces[:0]
		t := p.next()
		if t == tokEOF {
			return nil
		}
		if err := p.statement(t); err != nil {
			return err
		}
	}
}

func (p *parser) statement(t token) error {
	switch t {
	case tokNewline:
		return nil
	case tokBuild:
		return p.build()
	case tokIdent:
		p.pos = p.last
		return p.assignment()
	case tokRule:
		return p.rule()
	case tokPool:
		return p.pool()
	case tokDefault:
		return p.defaults()
	case tokInclude:
		return p.include(p.scope)
	case tokSubninja:
		return p.include(NewScope(p.scope))
	case tokError:
		return p.fault(p.lexingError())
	default:
		return p.fault("unexpected " + t.String())
	}
}

func (p *parser) assignment() error {
	name, v, err := p.let()
	if err != nil {
		return err
	}
	value, err := p.expand(v, p.scope)
	if err != nil {
		return err
	}
	// At once, so that an older ninja need not understand the rest.
	if name == "ninja_required_version" {
		if err := p.require(value); err != nil {
			return err
		}
	}
	p.scope.Bind(name, value)
	return nil
}

// let reads "name = value" and its line's end.
func (l *lexer) let() (string, Value, error) {
	name, ok := l.ident()
	if !ok {
		return "", Value{}, l.fault("expected variable name")
	}
	if err := l.expect(tokEquals); err != nil {
		return "", Value{}, err
	}
	v, err := l.rest()
	return name, v, err
}

func (l *lexer) expect(t token) error { return l.expected(t, l.next()) }

// expected returns an error if got, which has just been read, is not want.
func (l *lexer) expected(want, got token) error {
	if got == want {
		return nil
	}
	return l.fault("expected " + want.String() + ", got " + got.String() + want.hint())
}

func (p *parser) rule() error {
	name, ok := p.ident()
	if !ok {
		return p.fault("expected rule name")
	}
	if err := p.expect(tokNewline); err != nil {
		return err
	}
	if p.scope.rules[name] != nil {
		return p.fault("duplicate rule '" + name + "'")
	}
	r := &Rule{Name: name}
	for p.indented() {
		key, v, err := p.let()
		if err != nil {
			return err
		}
		b, ok := ruleBinding(key)
		if !ok {
			return p.fault("unexpected variable '" + key + "'")
		}
		v.pieces = slices.Clone(v.pieces)
		r.bindings[b] = &v
	}
	// As in ninja, a rule without a response file hides such a variable around.
	for _, b := range []binding{bindCommand, bindRspfile, bindRspfileContent} {
		if r.bindings[b] == nil {
			r.bindings[b] = &Value{}
		}
	}
	if r.bindings[bindRspfile].empty() != r.bindings[bindRspfileContent].empty() {
		return p.fault("rspfile and rspfile_content need to be both specified")
	}
	if r.bindings[bindCommand].empty() {
		return p.fault("expected 'command =' line")
	}
	p.scope.addRule(r)
	return nil
}

func (p *parser) pool() error {
	name, ok := p.ident()
	if !ok {
		return p.fault("expected pool name")
	}
	if err := p.expect(tokNewline); err != nil {
		return err
	}
	if p.graph.Pool(name) != nil {
		return p.fault("duplicate pool '" + name + "'")
	}
	depth := -1
	for p.indented() {
		key, v, err := p.let()
		if err != nil {
			return err
		}
		if key != "depth" {
			return p.fault("unexpected variable '" + key + "'")
		}
		text, err := p.expand(v, p.scope)
		if err != nil {
			return err
		}
		if depth = leadingInt(text); depth < 0 {
			return p.fault("invalid pool depth")
		}
	}
	if depth < 0 {
		return p.fault("expected 'depth =' line")
	}
	p.graph.AddPool(name, depth)
	return nil
}

func (p *parser) defaults() error {
	v, err := p.path()
	if err != nil {
		return err
	}
	if v.empty() {
		return p.fault("expected target name")
	}
	for !v.empty() {
		path, err := p.expandPath(v, p.scope)
		if err != nil {
			return err
		}
		if err := p.graph.AddDefault(path); err != nil {
			return p.fault(err.Error())
		}
		if v, err = p.path(); err != nil {
			return err
		}
	}
	return p.expect(tokNewline)
}

// include reads another file into scope.
func (p *parser) include(scope *Scope) error {
	v, err := p.path()
	if err != nil {
		return err
	}
	path, err := p.expand(v, p.scope)
	if err != nil {
		return err
	}
	if p.depth >= MaxDepth {
		return p.fault(fmt.Sprintf("loading '%s': nested more than %d files deep", path, MaxDepth))
	}
	text, err := p.read(path)
	if err != nil {
		return p.fault(err.Error())
	}
	p.depth++
	sub := parser{loading: p.loading, scope: scope}
	err = sub.parse(path, text)
	p.depth--
	if err != nil {
		return err
	}
	return p.expect(tokNewline)
}

// indented reads the spaces that begin a line of a statement's block.
func (l *lexer) indented() bool {
	if c := l.at(l.pos); c != ' ' && c != '#' {
		l.last = l.pos
		return false
	}
	return l.peek(tokIndent)
}

// expand replaces the variables in v.
func (p *parser) expand(v Value, s *Scope) (string, error) {
	switch {
	case len(v.pieces) == 0:
		return v.text, nil
	case len(v.pieces) == 1 && v.pieces[0].variable:
		return s.Lookup(v.pieces[0].text), nil
	}
	buf, err := s.appendValue(p.buf[:0], v)
	if err != nil {
		return "", p.fault(err.Error())
	}
	p.buf = buf
	if p.expanded += len(buf); p.expanded > MaxExpanded {
		return "", p.fault(fmt.Sprintf("the manifest's variables expand to more than %d MiB", MaxExpanded>>20))
	}
	return string(buf), nil
}

// expandPath replaces the variables in a path and makes it canonical.
func (p *parser) expandPath(v Value, s *Scope) (string, error) {
	path, err := p.expand(v, s)
	if err != nil {
		return "", err
	}
	if path == "" {
		return "", p.fault("empty path")
	}
	return Canonical(path), nil
}

// require checks the version that a manifest asks for.
func (p *parser) require(version string) error {
	major, minor := parseVersion(version)
	ourMajor, ourMinor := parseVersion(Version)
	if ourMajor > major {
		p.warn("ninja executable version (%s) greater than build file ninja_required_version (%s); versions may be incompatible.",
			Version, version)
		return nil
	}
	if ourMajor < major || ourMinor < minor {
		return &VersionError{version}
	}
	return nil
}
