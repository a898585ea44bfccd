package ninja

import (
	"strings"
	"testing"
)

// shown shows a value with its variables in brackets.
func shown(v Value) string {
	if len(v.pieces) == 0 {
		return v.text
	}
	var b strings.Builder
	for _, p := range v.pieces {
		if p.variable {
			b.WriteString("[" + p.text + "]")
		} else {
			b.WriteString(p.text)
		}
	}
	return b.String()
}

// TestValues covers ninja's lexer_test: ReadVarValue, ReadEvalStringEscapes,
// ReadIdentCurlies and Error.
func TestValues(t *testing.T) {
	for _, tc := range []struct {
		name, text, want, err string
	}{
		{name: "Variables", text: "some text $one $Two ${3}\n", want: "some text [one] [Two] [3]"},
		{name: "Escapes", text: "$ $$one t$: $\nwo\n", want: " $one t: wo"},
		{name: "DotsNeedBraces", text: "$one.two ${one.two}\n", want: "[one].two [one.two]"},
		{name: "ColonsAndBars", text: "a:b|c d\n", want: "a:b|c d"},
		{name: "IndentAfterContinuation", text: "a$\n    b\n", want: "ab"},
		{name: "CRLF", text: "a$\r\n  b\r\n", want: "ab"},
		{name: "Empty", text: "\n"},
		{name: "OnlyContinuation", text: "$\n\n"},
		{name: "AdjacentVariables", text: "$a$b\n", want: "[a][b]"},
		{name: "DashesInNames", text: "$a-b_c$-\n", want: "[a-b_c][-]"},
		{name: "Fault", text: "a$\nb $", err: "input:2: bad $-escape (literal $ must be written as $$)\nb $\n  ^ near here"},
		{name: "NUL", text: "a\x00\n", err: "input:1: unexpected EOF\na\n ^ near here"},
		{name: "BraceAtTheEnd", text: "${", err: "input:1: bad $-escape (literal $ must be written as $$)\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := lexer{file: "input", text: tc.text}
			v, err := l.rest()
			if err != nil {
				if err.Error() != tc.err {
					t.Errorf("error = %q, want %q", err, tc.err)
				}
				return
			}
			if got := shown(v); got != tc.want || v.empty() != (tc.want == "") || l.pos != len(tc.text) {
				t.Errorf("value = %q up to %d, want %q", got, l.pos, tc.want)
			}
		})
	}
}

// TestNames covers lexer_test's ReadIdent and ReadIdentCurlies.
func TestNames(t *testing.T) {
	l := lexer{text: "one tWo three_3 $\n four-4 a.b -"}
	for _, want := range []string{"one", "tWo", "three_3", "four-4", "a.b", "-"} {
		if got, ok := l.ident(); !ok || got != want {
			t.Errorf("ident = %q, %v; want %q", got, ok, want)
		}
	}
	if got, ok := l.ident(); ok {
		t.Errorf("ident = %q behind the last", got)
	}
}

// TestTokens covers lexer_test's CommentEOF and Tabs.
func TestTokens(t *testing.T) {
	for _, tc := range []struct {
		text string
		want []token
	}{
		{"", []token{tokEOF}},
		{"build pool rule default include subninja builds = : | || |@", []token{tokBuild, tokPool, tokRule, tokDefault,
			tokInclude, tokSubninja, tokIdent, tokEquals, tokColon, tokPipe, tokPipe2, tokPipeAt, tokEOF}},
		{"a|||@|b", []token{tokIdent, tokPipe2, tokPipeAt, tokPipe, tokIdent, tokEOF}},
		{"# a\n  # b\n  c\n   \n\r\n", []token{tokIndent, tokIdent, tokNewline, tokNewline, tokNewline, tokEOF}},
		{"a $\n  $\r\n b", []token{tokIdent, tokIdent, tokEOF}},
		{"  # open", []token{tokIndent, tokError}},
		{"# op\x00en\n", []token{tokError}},
		{"   \ta", []token{tokIndent, tokError}},
		{"\r", []token{tokError}},
		{"a\x00b", []token{tokIdent, tokEOF}},
	} {
		l := lexer{text: tc.text}
		for i, want := range tc.want {
			if got := l.next(); got != want {
				t.Errorf("token %d of %q is %v, want %v", i, tc.text, got, want)
			}
		}
	}
	tab := lexer{text: "\t"}
	if tab.next(); tab.lexingError() != "tabs are not allowed, use spaces" {
		t.Errorf("of a tab is said %q", tab.lexingError())
	}
}

func TestPathsOfAList(t *testing.T) {
	l := lexer{text: "a$ b  c$:d $\n  e|f"}
	for _, want := range []string{"a b", "c:d", "e", ""} {
		if v, err := l.path(); err != nil || shown(v) != want {
			t.Errorf("path = %q, %v; want %q", shown(v), err, want)
		}
	}
	if !l.peek(tokPipe) || l.peek(tokPipe) {
		t.Error("the list does not end at the bar")
	}
}

// TestQuoting covers util_test's PathEscaping for the shells of Unix. Its
// cases for Windows do not apply.
func TestQuoting(t *testing.T) {
	for in, want := range map[string]string{
		"a/plain_path-of/its+own.c++": "a/plain_path-of/its+own.c++",
		`a b"/'$@x!y'/z'`:             `'a b"/'\''$@x!y'\''/z'\'''`,
		"ä":                           "'ä'",
		"'":                           `''\'''`,
	} {
		if got := string(appendQuoted([]byte("> "), in)); got != "> "+want {
			t.Errorf("%q is quoted as %q, want %q", in, got, want)
		}
	}
}

// TestDistance covers ninja's edit_distance_test, but for the mode without
// replacements, which nobody asks for.
func TestDistance(t *testing.T) {
	for _, tc := range []struct {
		a, b        string
		limit, want int
	}{
		{"", "", 9, 0}, {"", "build", 9, 5}, {"build", "", 9, 5}, {"build", "build", 9, 0},
		{"build", "bxild", 9, 1}, {"bxild", "build", 9, 1}, {"unit_test", "unit_tests", 9, 1}, {"unit_tests", "unit_test", 9, 1},
		{"abcdefghijklm", "mlkjihgfedcba", 1, 2}, {"abcdefghijklm", "mlkjihgfedcba", 4, 5}, {"abcdefghijklm", "mlkjihgfedcba", 6, 7},
		{"ab", "abcdef", 3, 4},
	} {
		if got := distance(tc.a, tc.b, tc.limit); got != tc.want {
			t.Errorf("distance(%q, %q, %d) = %d, want %d", tc.a, tc.b, tc.limit, got, tc.want)
		}
	}
}
