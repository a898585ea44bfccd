package include

import "regexp"

// qualifiers may stand between asm and what it says.
var qualifiers = map[string]bool{
	"volatile": true, "__volatile": true, "__volatile__": true, "goto": true, "inline": true, "__inline": true, "__inline__": true,
}

// reading matches assembler that may read files: by the directives themselves, in
// any case, or by what can put them together.
var reading = regexp.MustCompile(`(?i)incbin|include|\.(alt)?macro|\.irp|\.rept`)

// escape matches what may stand for any letter.
var escape = regexp.MustCompile(`\\[^nt"'\\]`)

// inline notes inline assembler of which it cannot be seen that it reads no files:
// that which is anything but whole strings up to its operands. All of it is read
// again by whoever called.
func (l *lexer) inline() {
	save := l.i
	said, plain := l.saying()
	l.i = save
	if !plain || reading.Match(said) || escape.Match(said) {
		l.t.wrought = true
	}
}

// saying returns the strings behind an asm, and whether there is nothing else.
func (l *lexer) saying() (said []byte, plain bool) {
	l.gap()
	for word[l.peek(0)] {
		if !qualifiers[string(l.name())] {
			return nil, false
		}
		l.gap()
	}
	if l.peek(0) != '(' {
		return nil, false
	}
	l.i++
	for strings := 0; ; strings++ {
		l.gap()
		switch l.peek(0) {
		case '"':
			said = append(said, l.string()...)
		case ':', ')':
			return said, strings > 0
		default:
			return nil, false
		}
	}
}

// gap passes blanks and comments, over the ends of lines.
func (l *lexer) gap() {
	for l.blanks(); l.peek(0) == '\n'; l.blanks() {
		l.i++
	}
}
