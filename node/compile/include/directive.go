package include

import (
	"bytes"
	"strings"
)

// directive reads a line of the preprocessor, after its #.
func (l *lexer) directive() {
	l.blanks()
	if !word[l.peek(0)] {
		l.rest()
		return
	}
	switch string(l.name()) {
	case "include":
		l.header(reads)
	case "import":
		l.t.imports = true
		l.header(reads)
	case "include_next":
		l.header(readsNext)
	case "embed":
		l.header(embeds)
	case "define":
		l.define()
	case "if", "elif":
		l.condition()
		return
	case "pragma":
		l.pragma()
	}
	l.rest()
}

// rest passes what is left of a line.
func (l *lexer) rest() {
	for l.i < len(l.b) && l.b[l.i] != '\n' {
		if c := l.b[l.i]; blank[c] {
			l.i++
		} else if c != '/' || !l.comment() {
			l.upToNewline()
		}
	}
}

// upToNewline passes a token without running over the line's end.
func (l *lexer) upToNewline() {
	c := l.b[l.i]
	if word[c] || c == '"' || c == '\'' || c == '.' {
		l.token()
		return
	}
	l.i++
}

// header reads the name of a header.
func (l *lexer) header(d deed) {
	l.blanks()
	if name, f, ok := l.headerName(); ok {
		l.names(directive{d, f, name})
		return
	}
	if name := l.line(); name != "" {
		l.t.computed = append(l.t.computed, directive{d, computed, name})
	}
}

func (l *lexer) names(d directive) {
	if d.name != "" && strings.IndexByte(d.name, 0) < 0 {
		l.t.named = append(l.t.named, d)
	}
}

// headerName reads "NAME" or <NAME>: nothing is escaped in either.
func (l *lexer) headerName() (string, form, bool) {
	f, closing := quoted, byte('"')
	switch l.peek(0) {
	case '"':
	case '<':
		f, closing = angled, '>'
	default:
		return "", 0, false
	}
	for j := l.i + 1; j < len(l.b) && l.b[j] != '\n'; j++ {
		if l.b[j] == closing {
			name := string(l.b[l.i+1 : j])
			l.i = j + 1
			return name, f, true
		}
	}
	return "", 0, false
}

// line returns what is left of a line without its comments, and does not pass it.
func (l *lexer) line() string {
	var out []byte
	look := *l
	look.t, look.asm = &text{}, false
	for look.i < len(look.b) && look.b[look.i] != '\n' {
		start := look.i
		if look.b[look.i] == '/' && look.comment() {
			out = append(out, ' ')
			continue
		}
		look.upToNewline()
		out = append(out, look.b[start:look.i]...)
	}
	return string(bytes.TrimSpace(out))
}

// question reads the operand of a __has_include.
func (l *lexer) question(d deed) {
	save := l.i
	l.blanks()
	if l.peek(0) != '(' {
		l.i = save // as in #ifdef __has_include
		return
	}
	l.i++
	l.blanks()
	if name, f, ok := l.headerName(); ok {
		l.names(directive{d, f, name})
		return
	}
	end := bytes.IndexAny(l.b[l.i:], ")\n")
	if end < 0 {
		end = len(l.b) - l.i
	}
	if operand := strings.TrimSpace(string(l.b[l.i : l.i+end])); operand != "" {
		l.t.computed = append(l.t.computed, directive{d, computed, operand})
	}
}

// condition reads an #if. A macro that is called with a header's name there
// stands for __has_include: nothing else takes one.
func (l *lexer) condition() {
	for l.i < len(l.b) && l.b[l.i] != '\n' {
		c := l.b[l.i]
		switch {
		case blank[c]:
			l.i++
		case c == '/' && l.comment():
		case word[c] && !isDigit(c):
			l.identifier()
			l.wrapped()
		default:
			l.upToNewline()
		}
	}
}

func (l *lexer) wrapped() {
	save := l.i
	l.blanks()
	if l.peek(0) == '(' {
		l.i++
		l.blanks()
		if name, f, ok := l.headerName(); ok {
			l.names(directive{asks, f, name})
			return
		}
	}
	l.i = save
}

// define reads a macro's definition as far as it may name a header.
func (l *lexer) define() {
	l.blanks()
	if !word[l.peek(0)] {
		return
	}
	d := define{name: string(l.name())}
	if l.peek(0) == '(' {
		d.form = function
	} else {
		save := l.i
		d.form, d.value = l.value()
		l.i = save
	}
	l.t.defines = append(l.t.defines, d)
}

// value reads what a macro stands for.
func (l *lexer) value() (value, string) {
	l.blanks()
	start := l.i
	var v value
	switch c := l.peek(0); {
	case c == '"' || c == '<':
		v = literal
		if _, _, ok := l.headerName(); !ok {
			return nothing, ""
		}
	case word[c] && !isDigit(c):
		v = alias
		l.name()
	default:
		return nothing, ""
	}
	end := l.i
	l.blanks()
	switch {
	case l.i < len(l.b) && l.b[l.i] != '\n' || end-start > maxValue:
		return several, ""
	default:
		return v, string(l.b[start:end])
	}
}

// pragma reads those that make a compiler read files.
func (l *lexer) pragma() {
	words := strings.Fields(l.line())
	if len(words) > 0 && words[0] == "once" {
		l.t.once = true
	}
	if len(words) < 2 {
		return
	}
	switch words[0] + " " + words[1] {
	case "GCC dependency":
		l.t.deaf = "#pragma GCC dependency compares the times of files"
	case "GCC pch_preprocess":
		l.t.deaf = "#pragma GCC pch_preprocess reads a precompiled header"
	case "clang module":
		l.t.deaf = "#pragma clang module reads modules"
	}
}

// literal looks for assembler in a string that was passed.
func (l *lexer) literal(content []byte) {
	if l.asm && bytes.Contains(content, []byte(".inc")) {
		l.inString(content, `\"`)
	}
}

// asmWords are the assembler's directives that read files.
var asmWords = []struct {
	word string
	deed deed
}{{"incbin", incbins}, {"include", assembles}}

// inString reads the directives of assembler in a string, where quotes are
// written as quote.
func (l *lexer) inString(content []byte, quote string) {
	s := string(content)
	for {
		at := strings.Index(s, ".inc")
		if at < 0 {
			return
		}
		s = s[at+1:]
		for _, w := range asmWords {
			rest, ok := strings.CutPrefix(s, w.word)
			if !ok || rest != "" && word[rest[0]] {
				continue
			}
			rest = strings.TrimLeft(strings.ReplaceAll(rest, `\t`, " "), " \t")
			name, ok := strings.CutPrefix(rest, quote)
			name, _, closed := strings.Cut(name, quote)
			switch {
			case ok && closed:
				l.names(directive{w.deed, quoted, name})
			case w.deed == incbins || rest == "" || ok:
				l.t.deaf = "assembler in a string reads a file that is named elsewhere"
			}
		}
	}
}

// assembler reads what follows a dot outside strings: a directive, where the
// file is assembler.
func (l *lexer) assembler() {
	if !l.asm || !word[l.peek(0)] {
		return
	}
	save := l.i
	name := string(l.name())
	for _, w := range asmWords {
		if name != w.word {
			continue
		}
		l.blanks()
		if file, f, ok := l.headerName(); ok && f == quoted {
			l.names(directive{w.deed, quoted, file})
			return
		}
		l.t.asmDeaf = "the assembler reads a file that is named elsewhere"
	}
	l.i = save
}

// plain reads assembler as the assembler does: no directive of the
// preprocessor, and comments that differ between processors. So it takes
// comments for code.
func (l *lexer) plain() {
	if !l.asm {
		return
	}
	for {
		n := bytes.Index(l.b[l.i:], []byte(".inc"))
		if n < 0 {
			return
		}
		l.i += n + 1
		l.assembler()
	}
}
