package include

import (
	"slices"
	"strings"
)

// maxDepth is how far macros that stand for macros are followed.
const maxDepth = 16

// predefined are macros of gcc and clang that occur in names of headers.
var predefined = []string{"linux", "unix", "i386", "arm", "mips", "sparc", "sun"}

// compute follows the names that stand in macros. Every definition that was met
// counts, whatever condition it stands under.
func (v *visit) compute() {
	for _, a := range v.askers {
		x := expansion{v: v, a: a}
		x.expand(a.d.name, 0)
		for _, h := range x.headers {
			for _, e := range v.edges(nil, a.node, h) {
				v.take(&e)
			}
		}
	}
}

// expansion is what one computed name can become.
type expansion struct {
	v       *visit
	a       asker
	headers []directive
	done    []string // identifiers
}

func (x *expansion) expand(s string, depth int) {
	l := lexer{b: []byte(s), t: &text{}}
	switch form, value := l.value(); form {
	case literal:
		x.literal(value)
	case alias:
		x.identifier(value, depth)
	case several:
		x.call(s)
	}
}

// literal takes a header's name as it is written. Between angles stand tokens,
// in which macros count.
func (x *expansion) literal(s string) {
	d := directive{x.a.d.deed, quoted, s[1 : len(s)-1]}
	if s[0] == '<' {
		d.form = angled
		for _, token := range strings.FieldsFunc(d.name, func(r rune) bool { return r < 0x80 && !word[r] }) {
			if slices.Contains(predefined, token) || len(x.v.definitions(token)) > 0 {
				x.fail(token)
				return
			}
		}
	}
	if d.name != "" && !slices.Contains(x.headers, d) {
		x.headers = append(x.headers, d)
	}
}

func (x *expansion) identifier(name string, depth int) {
	if slices.Contains(x.done, name) {
		return
	}
	x.done = append(x.done, name)
	if depth > maxDepth || name == "__FILE__" || name == "__BASE_FILE__" {
		x.fail(name)
		return
	}
	for _, d := range x.v.definitions(name) {
		switch d.form {
		case literal, alias:
			x.expand(d.value, depth+1)
		case several:
			x.fail(name)
		}
	}
}

// call is given more than one token. What calls a macro that nobody defines is
// under a condition that does not hold.
func (x *expansion) call(s string) {
	l := lexer{b: []byte(s), t: &text{}}
	if !word[l.peek(0)] {
		x.fail(s)
		return
	}
	if name := string(l.name()); len(x.v.definitions(name)) > 0 || strings.HasPrefix(name, "__") {
		x.fail(name)
	}
}

func (x *expansion) fail(name string) {
	deaf := x.a.d.deed == asks || x.a.d.deed == asksNext || x.a.d.deed == embeds
	x.v.doubt(deaf, "%s: the name of a header is in the macro %s", x.a.node.src.path, name)
}

// definitions returns all that a macro may be.
func (v *visit) definitions(name string) []define {
	var all []define
	for _, m := range v.u.Command.Macros {
		if m.Name != name {
			continue
		}
		l := lexer{b: []byte(m.Value), t: &text{}}
		d := define{name: name}
		d.form, d.value = l.value()
		all = append(all, d)
	}
	for _, n := range v.reached {
		all = append(all, n.text.lookUp(name)...)
	}
	return all
}
