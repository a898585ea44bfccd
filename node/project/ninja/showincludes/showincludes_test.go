package showincludes_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/project/ninja/showincludes"
)

// TestFilter covers ninja's clparser_test. Of DuplicatedHeaderPathConverted
// the form for Unix: here a backslash is no slash.
func TestFilter(t *testing.T) {
	for _, tc := range []struct {
		name, output, prefix, text string
		includes                   []string
	}{
		{name: "Nothing"},
		{name: "OnlyMessages", output: "compiling it\n", text: "compiling it\n"},
		{name: "AnInclude", output: "Note: including file: c:\\My Files\\a.h", includes: []string{`c:\My Files\a.h`}},
		{name: "SpacesShowTheDepth", output: "Note: including file:    c:\\a.h\n", includes: []string{`c:\a.h`}},
		{name: "AnotherPrefix", output: "Hinweis: Einlesen der Datei:   c:\\a.h\n", prefix: "Hinweis: Einlesen der Datei:",
			includes: []string{`c:\a.h`}},
		{name: "PrefixAlone", output: "inc:\n", prefix: "inc:", text: "inc:\n"},
		{name: "BetweenMessages", output: "one\r\ninc:  a.h\r\ntwo\r\n", prefix: "inc:", text: "one\ntwo\n", includes: []string{"a.h"}},
		{name: "NameOfTheSource", output: "a.cc\r\ncl: warning\r\n", text: "cl: warning\n"},
		{name: "NamesOfSources", output: "a b.cc\nc.c\nC.CC\nd.cpp\ne.CXX\nf.c++\ng.h\n", text: "g.h\n"},
		{name: "NoNameOfASource", output: "src\\a.cc(12) : fatal error: end of file\n", text: "src\\a.cc(12) : fatal error: end of file\n"},
		{name: "NameBehindIncludes", output: "a.cc\r\nNote: including file: a.h\r\nmore of a.cc\r\n", text: "more of a.cc\n",
			includes: []string{"a.h"}},
		{name: "System", output: "Note: including file: c:\\Program Files\\a.h\r\nNote: including file: d:\\MICROSOFT Visual Studio\\b.h\r\n" +
			"Note: including file: c.h\r\n", includes: []string{"c.h"}},
		{name: "Twice", output: "Note: including file: b.h\r\nNote: including file: a.h\r\nNote: including file: b.h\r\n",
			includes: []string{"a.h", "b.h"}},
		{name: "TwiceInTwoForms", output: "Note: including file: d/./a.h\r\nNote: including file: b.h\r\nNote: including file: d/a.h\r\n",
			includes: []string{"b.h", "d/a.h"}},
		{name: "LineEnds", output: "a\rb\n\nc\r\r\nd", text: "a\nb\n\nc\n\nd\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := showincludes.Filter(tc.output, tc.prefix)
			if got.Text != tc.text || !slices.Equal(got.Includes, tc.includes) {
				t.Errorf("Filter = %q, want %q and %q", got, tc.text, tc.includes)
			}
		})
	}
}

func FuzzFilter(f *testing.F) {
	f.Add("a.cc\r\nNote: including file:  b/../c.h\r\nwarning\rmore\n", "")
	f.Fuzz(func(t *testing.T, output, prefix string) {
		got := showincludes.Filter(output, prefix)
		if len(got.Text) > len(output)+1 {
			t.Errorf("%d bytes of text in %d", len(got.Text), len(output))
		}
		if !slices.IsSorted(got.Includes) || len(slices.Compact(slices.Clone(got.Includes))) != len(got.Includes) {
			t.Errorf("the includes are not in order: %q", got.Includes)
		}
		if len(strings.Join(got.Includes, "")) > len(output) {
			t.Errorf("the includes are longer than the output: %q", got.Includes)
		}
	})
}
