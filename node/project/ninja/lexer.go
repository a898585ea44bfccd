package ninja

import (
	"fmt"
	"strings"
)

// token is a word of the language.
type token uint8

const (
	tokError token = iota
	tokBuild
	tokColon
	tokDefault
	tokEquals
	tokIdent
	tokInclude
	tokIndent
	tokNewline
	tokPipe
	tokPipe2
	tokPipeAt
	tokPool
	tokRule
	tokSubninja
	tokEOF
	tokenCount
)

var tokenNames = [tokenCount]string{
	tokError: "lexing error", tokBuild: "'build'", tokColon: "':'", tokDefault: "'default'",
	tokEquals: "'='", tokIdent: "identifier", tokInclude: "'include'", tokIndent: "indent",
	tokNewline: "newline", tokPipe: "'|'", tokPipe2: "'||'", tokPipeAt: "'|@'",
	tokPool: "'pool'", tokRule: "'rule'", tokSubninja: "'subninja'", tokEOF: "eof",
}

func (t token) String() string { return tokenNames[t] }

// hint is what an error says of a word that is missing.
func (t token) hint() string {
	if t == tokColon {
		return " ($ also escapes ':')"
	}
	return ""
}

// SyntaxError is a fault of a manifest or a dyndep file at a place in it.
type SyntaxError struct {
	File string
	Line int // from 1
	What string
	// Context is empty or what ninja shows below: the line and a caret.
	Context string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s:%d: %s\n%s", e.File, e.Line, e.What, e.Context)
}

// lexer takes a text apart. The text ends at its first NUL byte.
type lexer struct {
	file string
	text string
	pos  int
	last int // where the last token began: errors point there
	// pieces is an arena: values are slices of it.
	pieces []piece
}

// varChars may be in a name; simpleVarChars in one that no braces enclose.
var (
	varChars       = bytesOf(simpleNames + ".")
	simpleVarChars = bytesOf(simpleNames)
	// textEnds are the bytes that mean something in a path or a value.
	textEnds = bytesOf("$ :\r\n|\x00")
)

const simpleNames = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

// at returns the byte at i, 0 behind the end.
func (l *lexer) at(i int) byte {
	if i < len(l.text) {
		return l.text[i]
	}
	return 0
}

func (l *lexer) skip(i int, set *[256]bool) int {
	for i < len(l.text) && set[l.text[i]] {
		i++
	}
	return i
}

func (l *lexer) skipSpaces(i int) int {
	for i < len(l.text) && l.text[i] == ' ' {
		i++
	}
	return i
}

// newlineAt returns the length of the line break at i, 0 if there is none.
func (l *lexer) newlineAt(i int) int {
	switch l.at(i) {
	case '\n':
		return 1
	case '\r':
		if l.at(i+1) == '\n' {
			return 2
		}
	}
	return 0
}

// next reads a token and the spaces behind it.
func (l *lexer) next() token {
	t, start, end := l.scan(l.pos)
	l.last, l.pos = start, end
	if t != tokNewline && t != tokEOF {
		l.eatSpace()
	}
	return t
}

// peek reads the next token if it is t.
func (l *lexer) peek(t token) bool {
	if l.next() == t {
		return true
	}
	l.pos = l.last
	return false
}

func (l *lexer) scan(start int) (t token, from, end int) {
	for {
		i := l.skipSpaces(start)
		if l.at(i) == '#' {
			end := strings.IndexByte(l.text[i:], '\n')
			if end >= 0 && strings.IndexByte(l.text[i:i+end], 0) < 0 {
				start = i + end + 1
				continue
			}
		} else if n := l.newlineAt(i); n > 0 {
			return tokNewline, start, i + n
		}
		if i > start {
			return tokIndent, start, i
		}
		t, n := l.word(i)
		return t, start, i + n
	}
}

// word reads a token that is neither space nor comment.
func (l *lexer) word(i int) (token, int) {
	switch c := l.at(i); c {
	case 0:
		return tokEOF, 0
	case '=':
		return tokEquals, 1
	case ':':
		return tokColon, 1
	case '|':
		switch l.at(i + 1) {
		case '@':
			return tokPipeAt, 2
		case '|':
			return tokPipe2, 2
		}
		return tokPipe, 1
	default:
		end := l.skip(i, &varChars)
		if end == i {
			return tokError, 1
		}
		return keyword(l.text[i:end]), end - i
	}
}

func keyword(s string) token {
	switch s {
	case "build":
		return tokBuild
	case "pool":
		return tokPool
	case "rule":
		return tokRule
	case "default":
		return tokDefault
	case "include":
		return tokInclude
	case "subninja":
		return tokSubninja
	}
	return tokIdent
}

// eatSpace skips spaces and escaped line breaks.
func (l *lexer) eatSpace() {
	for i := l.pos; ; {
		i = l.skipSpaces(i)
		n := 0
		if l.at(i) == '$' {
			n = l.newlineAt(i + 1)
		}
		if n == 0 {
			l.pos = i
			return
		}
		i += 1 + n
	}
}

// ident reads a name; false if there is none.
func (l *lexer) ident() (string, bool) {
	l.last = l.pos
	end := l.skip(l.pos, &varChars)
	if end == l.pos {
		return "", false
	}
	name := l.text[l.pos:end]
	l.pos = end
	l.eatSpace()
	return name, true
}

// path reads one path of a list; it is empty at the list's end.
func (l *lexer) path() (Value, error) {
	v, err := l.value(inPath)
	if err == nil {
		l.eatSpace()
	}
	return v, err
}

// rest reads the rest of a line.
func (l *lexer) rest() (Value, error) { return l.value(inLine) }

// extent says where a value ends.
type extent uint8

const (
	inPath extent = iota // before a space, a colon, a bar, or the line's end
	inLine               // behind the line's end
)

func (l *lexer) value(x extent) (Value, error) {
	start := l.pos
	i := l.plainEnd(start, x)
	if n := l.newlineAt(i); n > 0 || x == inPath && endsPath(l.at(i)) {
		l.last, l.pos = i, i
		if x == inLine {
			l.pos += n
		}
		return Value{text: l.text[start:i]}, nil
	}
	return l.pieced(start, i, x)
}

func endsPath(c byte) bool { return c == ' ' || c == ':' || c == '|' }

// plainEnd returns where text without meaning ends.
func (l *lexer) plainEnd(i int, x extent) int {
	for {
		for i < len(l.text) && !textEnds[l.text[i]] {
			i++
		}
		if x == inPath || !endsPath(l.at(i)) {
			return i
		}
		i++
	}
}

// pieced reads a value whose text from start to i is plain, and which goes on
// with something else.
func (l *lexer) pieced(start, i int, x extent) (Value, error) {
	first := len(l.pieces)
	for {
		if i > start {
			l.pieces = append(l.pieces, piece{text: l.text[start:i]})
		}
		if n := l.newlineAt(i); n > 0 || x == inPath && endsPath(l.at(i)) {
			l.last, l.pos = i, i
			if x == inLine {
				l.pos += n
			}
			return Value{pieces: l.pieces[first:len(l.pieces):len(l.pieces)]}, nil
		}
		l.last = i
		switch l.at(i) {
		case '$':
			n := l.escape(i)
			if n == 0 {
				return Value{}, l.fault("bad $-escape (literal $ must be written as $$)")
			}
			i += n
		case 0:
			return Value{}, l.fault("unexpected EOF")
		default:
			return Value{}, l.fault(l.lexingError())
		}
		start = i
		i = l.plainEnd(i, x)
	}
}

// escape reads what a $ at i begins, and returns its length.
func (l *lexer) escape(i int) int {
	switch c := l.at(i + 1); c {
	case '$', ' ', ':':
		l.pieces = append(l.pieces, piece{text: l.text[i+1 : i+2]})
		return 2
	case '\r', '\n':
		n := l.newlineAt(i + 1)
		if n == 0 {
			return 0
		}
		return l.skipSpaces(i+1+n) - i
	case '{':
		end := l.skip(i+2, &varChars)
		if end == i+2 || l.at(end) != '}' {
			return 0
		}
		l.pieces = append(l.pieces, piece{l.text[i+2 : end], true})
		return end + 1 - i
	default:
		end := l.skip(i+1, &simpleVarChars)
		if end == i+1 {
			return 0
		}
		l.pieces = append(l.pieces, piece{l.text[i+1 : end], true})
		return end - i
	}
}

// lexingError says what is wrong with the byte at last.
func (l *lexer) lexingError() string {
	if l.at(l.last) == '\t' {
		return "tabs are not allowed, use spaces"
	}
	return "lexing error"
}

// maxContext is how much of a line an error shows, in bytes.
const maxContext = 72

// fault returns an error at the last token.
func (l *lexer) fault(what string) *SyntaxError {
	before := l.text[:min(l.last, len(l.text))]
	start := strings.LastIndexByte(before, '\n') + 1
	e := &SyntaxError{File: l.file, Line: strings.Count(before, "\n") + 1, What: what}
	column := len(before) - start
	if column == 0 || column >= maxContext {
		return e
	}
	line, more := l.text[start:], ""
	if end := strings.IndexAny(line, "\n\x00"); end >= 0 {
		line = line[:end]
	}
	if len(line) >= maxContext {
		line, more = line[:maxContext], "..."
	}
	e.Context = line + more + "\n" + strings.Repeat(" ", column) + "^ near here"
	return e
}
