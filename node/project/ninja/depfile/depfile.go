// Package depfile reads what compilers write with -MD: makefiles that name the
// files that an output was made from.
//
// The package is pure. It takes the dialect that ninja 1.11 takes, which is
// what gcc and clang write and not what make reads. Start reading at Parse.
package depfile

import (
	"errors"
	"fmt"
	"strings"
)

// MaxText bounds a depfile, in bytes: it is room for some hundred thousand names.
const MaxText = 16 << 20

// Deps are the targets and the dependencies of all rules of a depfile, each
// once, in the order in which they were first named, as they were written:
// they are not canonical.
type Deps struct {
	Outs []string
	Ins  []string
}

var (
	// ErrTooLong is returned for a text beyond MaxText.
	ErrTooLong = fmt.Errorf("depfile of more than %d MiB", MaxText>>20)
	// ErrNoColon is returned for a text without a rule.
	ErrNoColon = errors.New("expected ':' in depfile")
	// ErrInputHasInputs is returned if a dependency is a target with
	// dependencies of its own. Targets without any are what -MP writes.
	ErrInputHasInputs = errors.New("inputs may not also have inputs")
)

// Parse reads a depfile. What it returns may share memory with text.
func Parse(text string) (Deps, error) {
	if len(text) > MaxText {
		return Deps{}, ErrTooLong
	}
	p := parser{text: text, ins: map[string]bool{}, outs: map[string]bool{}}
	for p.pos < len(text) {
		name, lineEnds := p.name()
		if err := p.take(name); err != nil {
			return Deps{}, err
		}
		if lineEnds {
			p.side, p.poisoned = targets, false
		}
	}
	if !p.hasTarget {
		return Deps{}, ErrNoColon
	}
	return p.deps, nil
}

type side uint8

const (
	targets side = iota
	dependencies
)

type parser struct {
	text string
	pos  int
	deps Deps
	// ins and outs are what deps holds.
	ins, outs map[string]bool

	side      side
	hasTarget bool
	// poisoned: a dependency is among the targets of this line.
	poisoned bool
	buf      []byte
}

// take puts a name where it belongs. A colon at its end ends the targets.
func (p *parser) take(name string) error {
	at := p.side
	if before, ok := strings.CutSuffix(name, ":"); ok {
		name, p.side, p.hasTarget = before, dependencies, true
	}
	switch {
	case name == "":
	case p.ins[name]:
		p.poisoned = p.poisoned || at == targets
	case at == targets:
		if !p.outs[name] {
			p.outs[name] = true
			p.deps.Outs = append(p.deps.Outs, name)
		}
	case p.poisoned:
		return ErrInputHasInputs
	default:
		p.ins[name] = true
		p.deps.Ins = append(p.deps.Ins, name)
	}
	return nil
}

// name reads one name and what ends it, and reports whether that was the end
// of a line. Between separators the name is empty.
func (p *parser) name() (name string, lineEnds bool) {
	start := p.pos
	p.skipPlain()
	if c := p.at(p.pos); c != '\\' && c != '$' {
		return p.text[start:p.pos], p.separator()
	}
	p.buf = append(p.buf[:0], p.text[start:p.pos]...)
	for {
		from := p.pos
		switch c := p.at(p.pos); {
		case c == '\\':
			if ends, lineEnds := p.backslashes(); ends {
				return string(p.buf), lineEnds
			}
		case c == '$' && p.at(p.pos+1) == '$':
			p.buf = append(p.buf, '$')
			p.pos += 2
		case plain[c]:
			p.skipPlain()
			p.buf = append(p.buf, p.text[from:p.pos]...)
		default:
			return string(p.buf), p.separator()
		}
	}
}

// backslashes reads a run of them with the byte behind it, as gcc and clang
// write them: one escapes a space, a # or a colon, and before a space those in
// front of it are doubled. All others stand for themselves.
func (p *parser) backslashes() (ends, lineEnds bool) {
	n := 1
	for p.at(p.pos+n) == '\\' {
		n++
	}
	next := p.at(p.pos + n)
	p.pos += n + 1
	switch next {
	case ' ':
		if n%2 == 0 {
			p.append(n)
			return true, false
		}
		p.append(n/2, ' ')
	case '#':
		p.append(n-1, '#')
	case ':':
		// With a space behind it, it is the colon that ends the targets.
		if after := p.at(p.pos); isSpace(after) {
			p.append(n, ':')
			p.pos++
			return true, after == '\n'
		}
		p.append(n-1, ':')
	case 0, '\r', '\n':
		p.pos--
		if n == 1 {
			p.pos += p.newline() // the rule goes on in the next line
			return true, false
		}
		p.append(n)
	default:
		p.append(n, next)
	}
	return false, false
}

// append adds n backslashes and more to the name.
func (p *parser) append(n int, more ...byte) {
	for range n {
		p.buf = append(p.buf, '\\')
	}
	p.buf = append(p.buf, more...)
}

// separator skips what ends a name, and reports whether it ends the line.
func (p *parser) separator() bool {
	n := p.newline()
	p.pos += max(n, 1)
	return n > 0
}

// newline returns the length of the line break at pos, 0 if there is none.
func (p *parser) newline() int {
	switch p.at(p.pos) {
	case '\n':
		return 1
	case '\r':
		if p.at(p.pos+1) == '\n' {
			return 2
		}
	}
	return 0
}

// at returns the byte at i, 0 behind the end.
func (p *parser) at(i int) byte {
	if i < len(p.text) {
		return p.text[i]
	}
	return 0
}

func isSpace(c byte) bool { return c == 0 || c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func (p *parser) skipPlain() {
	for p.pos < len(p.text) && plain[p.text[p.pos]] {
		p.pos++
	}
}

// plain are the bytes that only ever stand for themselves in a name.
var plain = func() (set [256]bool) {
	const ascii = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+,/_:.~()}{%=@[]!-"
	for i := range len(ascii) {
		set[ascii[i]] = true
	}
	for i := 0x80; i < len(set); i++ {
		set[i] = true
	}
	return set
}()
