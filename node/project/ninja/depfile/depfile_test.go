package depfile_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/project/ninja/depfile"
)

// TestParse covers ninja's depfile_parser_test, all 24 of it.
func TestParse(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		outs, ins  []string
		err        error
	}{
		{name: "AsLongAsMayBe", text: "a: b" + strings.Repeat(" ", depfile.MaxText-4), outs: []string{"a"}, ins: []string{"b"}},
		{name: "TooLong", text: "a: b" + strings.Repeat(" ", depfile.MaxText-3), err: depfile.ErrTooLong},
		{name: "OneLine", text: "o/a.o: a.c a.h b_c.h\n", outs: []string{"o/a.o"}, ins: []string{"a.c", "a.h", "b_c.h"}},
		{name: "NoLineEnd", text: "a: b", outs: []string{"a"}, ins: []string{"b"}},
		{name: "WhitespaceFirst", text: " \\\n\t  a: b\n", outs: []string{"a"}, ins: []string{"b"}},
		{name: "Continuation", text: "a.o: \\\n  b.h c.h\n", outs: []string{"a.o"}, ins: []string{"b.h", "c.h"}},
		{name: "ContinuationCRLF", text: "a.o: \\\r\n  b.h c.h\r\n", outs: []string{"a.o"}, ins: []string{"b.h", "c.h"}},
		{name: "ContinuationWithoutSpace", text: "a.o: b.h\\\n c.h\\\n", outs: []string{"a.o"}, ins: []string{"b.h", "c.h"}},
		{name: "Backslashes", text: "P\\D\\a.res : \\\n  D\\L\\a.rc \\\n  D\\L\\V\\b.h \\\n",
			outs: []string{`P\D\a.res`}, ins: []string{`D\L\a.rc`, `D\L\V\b.h`}},
		{name: "Spaces", text: `x\ yz\ v:   a\ b c d`, outs: []string{"x yz v"}, ins: []string{"a b", "c", "d"}},
		{name: "DoubledBackslashes", text: `a\ b\#c: \\\\\  \\\\ \\share\x\\#1`, outs: []string{"a b#c"},
			ins: []string{`\\ `, `\\\\`, `\\share\x\#1`}},
		{name: "DoubledBeforeTheFirstEscape", text: `a: \\\ b`, outs: []string{"a"}, ins: []string{`\ b`}},
		{name: "Escapes", text: `\!\@\#$$\%\^\&\[\]\\:`, outs: []string{`\!\@#$\%\^\&\[\]\\`}},
		{name: "EscapedColons", text: "c\\:\\gcc\\lib\\a.o: \\\n c:\\gcc\\lib\\a.h \n",
			outs: []string{`c:\gcc\lib\a.o`}, ins: []string{`c:\gcc\lib\a.h`}},
		{name: "BackslashBeforeTheTargetsColon", text: "a\\: x\na\\:\na\\:\r\na\\:\t\na\\:", outs: []string{`a\`}, ins: []string{"x"}},
		{name: "SpecialBytes", text: "C:/Some\\ Dir\\ (x86)/a.h: \\\n b@c.d~ t+t-x!=1 \\\n l.d/a=b/{0}c.e\\\n F\303\244b\\\n a[1]b@2%c",
			outs: []string{"C:/Some Dir (x86)/a.h"}, ins: []string{"b@c.d~", "t+t-x!=1", "l.d/a=b/{0}c.e", "F\303\244b", "a[1]b@2%c"}},
		{name: "TargetTwice", text: "a a: x y", outs: []string{"a"}, ins: []string{"x", "y"}},
		{name: "TwoTargets", text: "a b: x y", outs: []string{"a", "b"}, ins: []string{"x", "y"}},
		{name: "EmptyRules", text: "a: x\na: \na:\n", outs: []string{"a"}, ins: []string{"x"}},
		{name: "SeveralRules", text: "a: x\na: y\na \\\na: z\n", outs: []string{"a"}, ins: []string{"x", "y", "z"}},
		{name: "SeveralRulesCRLF", text: "a: x\r\na: y\r\na \\\r\na: z\r\n", outs: []string{"a"}, ins: []string{"x", "y", "z"}},
		{name: "MixedRules", text: "a: x\\\n   y\na \\\na: z\n", outs: []string{"a"}, ins: []string{"x", "y", "z"}},
		{name: "MixedRulesCRLF", text: "a: x\\\r\n   y\r\na \\\r\na: z\r\n", outs: []string{"a"}, ins: []string{"x", "y", "z"}},
		{name: "IndentedRules", text: " a: x\n a: y\n", outs: []string{"a"}, ins: []string{"x", "y"}},
		{name: "IndentedRulesCRLF", text: " a: x\r\n a: y\r\n", outs: []string{"a"}, ins: []string{"x", "y"}},
		{name: "PhonyTargets", text: "a: x y\nx:\ny:\n", outs: []string{"a"}, ins: []string{"x", "y"}},
		{name: "PhonyTargetsBetween", text: "a: x\nx:\na: y\ny:\n", outs: []string{"a"}, ins: []string{"x", "y"}},
		{name: "RulesOfSeveralTargets", text: "a: x y\nb: y z\n", outs: []string{"a", "b"}, ins: []string{"x", "y", "z"}},
		{name: "InputHasInputs", text: "a: x y\nx: z\ny:\n", err: depfile.ErrInputHasInputs},
		{name: "InputRepeatsInputs", text: "a: x y\nx: y\n", outs: []string{"a"}, ins: []string{"x", "y"}},
		{name: "InputTwice", text: "a: x y x\n", outs: []string{"a"}, ins: []string{"x", "y"}},
		{name: "Empty", err: depfile.ErrNoColon},
		{name: "NoColon", text: "a b\n", err: depfile.ErrNoColon},
		{name: "OnlyColon", text: ":", outs: nil, ins: nil},
		{name: "ColonApart", text: "a : b\n", outs: []string{"a"}, ins: []string{"b"}},
		{name: "BackslashAtTheEnd", text: `a: b\`, outs: []string{"a"}, ins: []string{"b"}},
		{name: "BackslashesAtTheEnd", text: `a: b\\`, outs: []string{"a"}, ins: []string{`b\\`}},
		{name: "BackslashesBeforeTheLineEnd", text: "a: b\\\\\nc: d\n", outs: []string{"a", "c"}, ins: []string{`b\\`, "d"}},
		{name: "OddBackslashesBeforeTheLineEnd", text: "a: b\\\\\\\nc: d\n", outs: []string{"a", "c"}, ins: []string{`b\\\`, "d"}},
		{name: "BackslashBeforeATab", text: "a: b\\\tc\n", outs: []string{"a"}, ins: []string{"b\\\tc"}},
		{name: "BytesThatSeparate", text: "a: b;c\"d'e$f|g\x00h\ri\n", outs: []string{"a"}, ins: []string{"b", "c", "d", "e", "f", "g", "h", "i"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := depfile.Parse(tc.text)
			if !errors.Is(err, tc.err) || !slices.Equal(got.Outs, tc.outs) || !slices.Equal(got.Ins, tc.ins) {
				t.Errorf("Parse = %q, %v; want %q and %q, %v", got, err, tc.outs, tc.ins, tc.err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add("a.o: b\\ c.h \\\n d$$e\\#f \\\\ g\nb\\:c: d\r\n")
	f.Add("a\\:\x00b\\\\\\ c:\\:d")
	f.Fuzz(func(t *testing.T, text string) {
		deps, err := depfile.Parse(text)
		if err != nil {
			return
		}
		bytes := 0
		for _, list := range [][]string{deps.Outs, deps.Ins} {
			seen := map[string]bool{}
			for _, name := range list {
				if name == "" || seen[name] {
					t.Errorf("%q is empty or named twice", name)
				}
				seen[name] = true
				bytes += len(name)
			}
		}
		if bytes > len(text) {
			t.Errorf("%d bytes of names in %d bytes", bytes, len(text))
		}
	})
}

func BenchmarkParse(b *testing.B) {
	var text strings.Builder
	text.WriteString("obj/some/dir/file.o: \\\n")
	for i := range 400 {
		text.WriteString(" ../include/some/library/header_" + strings.Repeat("x", i%30) + string(rune('a'+i%26)) + ".h \\\n")
	}
	b.SetBytes(int64(text.Len()))
	for b.Loop() {
		if _, err := depfile.Parse(text.String()); err != nil {
			b.Fatal(err)
		}
	}
}
