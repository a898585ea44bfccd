package include

import (
	"bytes"
	"slices"
	"strings"

	"github.com/buildnet/buildnet/node/compile"
)

// Limits of one file. What exceeds them is left to the compiler.
const (
	maxFileBytes  = 32 << 20 // generated tables are the longest sources
	maxDirectives = 1 << 16
	maxValue      = 512 // bytes of a macro's value that may be a header's name
)

// deed is what a directive does with the file that it names.
type deed uint8

const (
	reads     deed = iota // #include, #import
	readsNext             // #include_next
	asks                  // __has_include: whether it is there is all that counts
	asksNext
	embeds    // #embed, __has_embed
	incbins   // .incbin of the assembler
	assembles // .include of the assembler
)

// leaf says that what the named file itself names does not count.
func (d deed) leaf() bool { return d == asks || d == asksNext || d == embeds || d == incbins }

// silent reports whether a depfile does not name such a file: the assembler
// reads it, or a compiler from before #embed was named there.
func (d deed) silent() bool { return d == embeds || d == incbins || d == assembles }

// directive is one place of a file that names another.
type directive struct {
	deed deed
	form form
	// name is the header's name; of a computed one, what stands there.
	name string
}

// form is how a name is written.
type form uint8

const (
	quoted form = iota
	angled
	computed // through macros
)

// define is a macro's definition.
type define struct {
	name  string
	form  value
	value string
}

// value is what a macro can expand to, as far as header names go.
type value uint8

const (
	nothing  value = iota // no header's name, whatever follows
	literal               // "x.h" or <x.h>
	alias                 // another identifier
	several               // more than one token: only the compiler knows
	function              // a macro with parameters
)

// text is what a scan needs to know of a file.
type text struct {
	named    []directive // those that say their file
	computed []directive
	defines  []define // sorted by name
	clock    Clock
	// deaf says why neither a scan nor the compiler's -M knows what this reads.
	deaf string
	// asmDeaf is as deaf, but only for what goes to the assembler as it is.
	asmDeaf string
	// wrought says that macros or escapes make some of its inline assembler, which
	// may then read files that are named nowhere.
	wrought bool
	// odd is what a dialect may read otherwise than it was read here.
	odd compile.Dialect
	// glued says that a raw string touches a literal: whether its prefix is
	// that one's suffix depends on macros.
	glued   bool
	tooMuch bool
	// once says that the file is to be read once, by #pragma once, and imports
	// that it has others read once.
	once, imports bool
}

// otherwise reports whether the file reads otherwise in a dialect.
func (t *text) otherwise(d compile.Dialect) bool {
	o := t.odd
	return o.Trigraphs && d.Trigraphs || o.LineComments && !d.LineComments || o.RawStrings && !d.RawStrings || o.Separators && !d.Separators
}

func (t *text) equal(o *text) bool {
	return o != nil && slices.Equal(t.named, o.named) && slices.Equal(t.computed, o.computed) && slices.Equal(t.defines, o.defines) &&
		t.clock == o.clock && t.deaf == o.deaf && t.asmDeaf == o.asmDeaf && t.wrought == o.wrought && t.odd == o.odd && t.glued == o.glued && t.tooMuch == o.tooMuch && t.once == o.once && t.imports == o.imports
}

// lookUp returns the definitions of a name.
func (t *text) lookUp(name string) []define {
	i, found := slices.BinarySearchFunc(t.defines, name, func(d define, n string) int { return strings.Compare(d.name, n) })
	if !found {
		return nil
	}
	j := i + 1
	for j < len(t.defines) && t.defines[j].name == name {
		j++
	}
	return t.defines[i:j]
}

// lexer reads a file of C, C++ or assembler with preprocessing. It takes every
// branch of every conditional, and so needs no macros.
type lexer struct {
	b   []byte // without line continuations
	i   int
	t   *text
	asm bool // the file names ".inc" somewhere: its strings are worth a look
}

// lex reads a file. plain is assembler that the preprocessor does not see.
func lex(content []byte, plain bool) *text {
	t := &text{}
	if len(content) > maxFileBytes {
		t.tooMuch = true
		return t
	}
	l := &lexer{b: splice(bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))), t: t}
	l.asm = bytes.Contains(l.b, []byte(".inc"))
	t.odd.Trigraphs = bytes.Contains(content, []byte("??=")) || bytes.Contains(content, []byte("??/"))
	if plain {
		l.plain()
	} else {
		l.run()
	}
	slices.SortStableFunc(t.defines, func(a, b define) int { return strings.Compare(a.name, b.name) })
	t.defines = slices.Clip(slices.Compact(t.defines))
	t.tooMuch = len(t.named)+len(t.computed) > maxDirectives
	return t
}

// splice removes line continuations: a backslash and a newline, with blanks
// between them as gcc and clang have it.
func splice(b []byte) []byte {
	var out []byte
	done, from := 0, 0
	for {
		n := bytes.IndexByte(b[from:], '\\')
		if n < 0 {
			break
		}
		at := from + n
		end := at + 1
		for end < len(b) && blank[b[end]] {
			end++
		}
		from = at + 1
		if end < len(b) && b[end] == '\n' {
			out = append(out, b[done:at]...)
			done, from = end+1, end+1
		}
	}
	if done == 0 {
		return b
	}
	return append(out, b[done:]...)
}

var (
	blank = [256]bool{' ': true, '\t': true, '\r': true, '\v': true, '\f': true}
	// word is the bytes of an identifier. What is not ASCII can be a letter.
	word [256]bool
	// dull is what the main loop has nothing to do for.
	dull [256]bool
)

func init() {
	for c := range 256 {
		word[c] = c == '_' || c == '$' || c >= 0x80 || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		dull[c] = !word[c] && !strings.ContainsRune("\n/\"'#%.", rune(c))
	}
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// run reads the whole file.
func (l *lexer) run() {
	fresh := true // nothing but blanks and comments on this line so far
	for l.i < len(l.b) {
		c := l.b[l.i]
		switch {
		case c == '\n':
			fresh = true
			l.i++
		case blank[c]:
			l.i++
		case c == '/' && l.comment():
		case fresh && c == '#':
			l.i++
			l.directive()
		case fresh && c == '%' && l.peek(1) == ':': // a digraph of #
			l.i += 2
			l.directive()
		default:
			fresh = false
			l.token()
		}
	}
}

// peek returns the byte n places on, 0 at the end.
func (l *lexer) peek(n int) byte {
	if l.i+n < len(l.b) {
		return l.b[l.i+n]
	}
	return 0
}

// comment passes a comment, if there is one here.
func (l *lexer) comment() bool {
	switch l.peek(1) {
	case '*':
		end := bytes.Index(l.b[l.i+2:], []byte("*/"))
		if end < 0 {
			l.i = len(l.b)
		} else {
			l.i += 2 + end + 2
		}
		return true
	case '/':
		end := bytes.IndexByte(l.b[l.i:], '\n')
		if end < 0 {
			end = len(l.b) - l.i
		}
		if bytes.Contains(l.b[l.i:l.i+end], []byte("/*")) {
			l.t.odd.LineComments = true
		}
		l.i += end
		return true
	}
	return false
}

// token passes one token that is neither blank nor comment, or a run of those
// that mean nothing here.
func (l *lexer) token() {
	switch c := l.b[l.i]; {
	case c == '"':
		l.literal(l.string())
	case c == '\'':
		l.string()
	case isDigit(c) || c == '.' && isDigit(l.peek(1)):
		l.number()
	case word[c]:
		l.identifier()
	case c == '.':
		l.i++
		l.assembler()
	default:
		l.i++
		for l.i < len(l.b) && dull[l.b[l.i]] {
			l.i++
		}
	}
}

// string passes a string or character literal and returns what is in it. One
// that is not closed ends with its line.
func (l *lexer) string() []byte {
	quote := l.b[l.i]
	l.i++
	for start := l.i; ; l.i++ {
		if l.i >= len(l.b) || l.b[l.i] == '\n' {
			return l.b[start:l.i]
		}
		switch l.b[l.i] {
		case quote:
			l.i++
			return l.b[start : l.i-1]
		case '\\':
			if l.peek(1) != '\n' {
				l.i++
			}
		}
	}
}

// number passes a preprocessing number, in which ' separates digits.
func (l *lexer) number() {
	for l.i < len(l.b) {
		c := l.b[l.i]
		switch {
		case word[c] || c == '.':
		case c == '\'' && l.peek(1) < 0x80 && word[l.peek(1)]:
			l.t.odd.Separators = true
		case (c == '+' || c == '-') && strings.IndexByte("eEpP", l.b[l.i-1]) >= 0:
		default:
			return
		}
		l.i++
	}
}

// raw passes a raw string, whose prefix was read.
func (l *lexer) raw() {
	l.t.odd.RawStrings = true
	open := bytes.IndexByte(l.b[l.i:], '(')
	if open < 0 || open > 17 || bytes.ContainsAny(l.b[l.i+1:l.i+open], " )\\\t\v\f\n\"") { // [lex.string]: d-chars, at most 16
		l.literal(l.string())
		return
	}
	closing := ")" + string(l.b[l.i+1:l.i+open]) + `"`
	start := l.i + open + 1
	end := bytes.Index(l.b[start:], []byte(closing))
	if end < 0 {
		l.i = len(l.b)
		return
	}
	l.i = start + end + len(closing)
	if content := l.b[start : start+end]; l.asm && bytes.Contains(content, []byte(".inc")) {
		l.inString(content, `"`)
	}
}

// identifier passes an identifier, and what the few that mean something here
// bring with them.
func (l *lexer) identifier() {
	before := l.i - 1
	name := l.name()
	if l.peek(0) == '"' {
		switch string(name) {
		case "R", "LR", "uR", "UR", "u8R":
			l.t.glued = l.t.glued || before >= 0 && (l.b[before] == '"' || l.b[before] == '\'')
			l.raw()
		}
		return
	}
	if len(name) == 3 && string(name) == "asm" {
		l.inline()
		return
	}
	if len(name) < 5 || name[0] != '_' || name[1] != '_' {
		return
	}
	switch string(name) {
	case "__asm", "__asm__":
		l.inline()
	case "__DATE__", "__TIME__":
		l.t.clock = max(l.t.clock, ClockOfBuild)
	case "__TIMESTAMP__":
		l.t.clock = ClockOfFile
	case "__has_include", "__has_include__":
		l.question(asks)
	case "__has_include_next", "__has_include_next__":
		l.question(asksNext)
	case "__has_embed":
		l.question(embeds)
	}
}

// name passes an identifier. There is one here.
func (l *lexer) name() []byte {
	start := l.i
	for l.i < len(l.b) && word[l.b[l.i]] {
		l.i++
	}
	return l.b[start:l.i]
}

// blanks passes blanks and comments of a line.
func (l *lexer) blanks() {
	for l.i < len(l.b) {
		switch c := l.b[l.i]; {
		case blank[c]:
			l.i++
		case c == '/' && l.comment():
		default:
			return
		}
	}
}
