package include

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// names writes what a text names as one line each.
func names(t *text) []string {
	var out []string
	for _, d := range append(append([]directive{}, t.named...), t.computed...) {
		deed := map[deed]string{reads: "include", readsNext: "next", asks: "has", asksNext: "hasnext", embeds: "embed", incbins: "incbin", assembles: "asm"}[d.deed]
		out = append(out, deed+" "+map[form]string{quoted: `"` + d.name + `"`, angled: "<" + d.name + ">", computed: d.name}[d.form])
	}
	return out
}

func TestDirectivesAreFoundWhereThePreprocessorSeesThem(t *testing.T) {
	for name, tc := range map[string]struct{ in, want string }{
		"Plain":               {"#include <a.h>\n#include \"b/c.h\"\n", `include <a.h>;include "b/c.h"`},
		"NoNewlineAtTheEnd":   {"#include <a.h>", "include <a.h>"},
		"Blanks":              {" \t# \tinclude\t<a.h> junk\n", "include <a.h>"},
		"NoBlank":             {"#include<a.h>\n#include\"b.h\"", `include <a.h>;include "b.h"`},
		"CommentsBetween":     {"/* x\n */ # /* y */ include /* z */ <a.h>\n", "include <a.h>"},
		"InAComment":          {"/*\n#include <a.h>\n*/\n// #include <b.h>\n#include <c.h>", "include <c.h>"},
		"LineCommentGoesOn":   {"// \\\n#include <a.h>\n#include <b.h>", "include <b.h>"},
		"Continued":           {"#inc\\\nlude \\\n <a\\\n.h>\n", "include <a.h>"},
		"BlankAfterBackslash": {"#include \\ \t\n <a.h>\n", "include <a.h>"},
		"CarriageReturns":     {"#include <a.h>\r\n#define X \\\r\n  y\r\n#include \"b.h\"\r\n", `include <a.h>;include "b.h"`},
		"ByteOrderMark":       {"\xef\xbb\xbf#include <a.h>\n", "include <a.h>"},
		"Digraph":             {"%:include <a.h>\n", "include <a.h>"},
		"NotFirst":            {"int x; #include <a.h>\n", ""},
		"InAString":           {"char *s = \"\\\n#include <a.h>\\\n\";\n#include <b.h>\n", "include <b.h>"},
		"QuoteInAString":      {"s = \"\\\"/*\"; c = '\"'; d = '\\''; /* */\n#include <a.h>\n", "include <a.h>"},
		"LoneApostrophe":      {"#if 0\nit isn't /* so\n#endif\n#include <a.h>\n", "include <a.h>"},
		"ErrorLine":           {"#error don't do /* this */ \"that\n#include <a.h>\n", "include <a.h>"},
		"RawString":           {"auto s = R\"x(\n\"/* #include <a.h>\n#include <b.h>\n)\" )x\";\n#include <c.h>\n", "include <c.h>"},
		"PrefixedRawString":   {"auto s = u8R\"(\n/*)\" LR\"(\n#include <b.h>)\";\n#include <c.h>\n", "include <c.h>"},
		"NoRawString":         {"FOOR\"(\";\n#include <c.h>\n", "include <c.h>"},
		"DigitSeparators":     {"int x = 1'000'000; char c = '/';\n#include <a.h>\n", "include <a.h>"},
		"Exponent":            {"double d = 1e+5 - 0x1p-3; // '\n#include <a.h>\n", "include <a.h>"},
		"BothBranches":        {"#if 0\n#include <a.h>\n#else\n#include <b.h>\n#endif\n", "include <a.h>;include <b.h>"},
		"ImportAndNext":       {"#import <a.h>\n#include_next <b.h>\n", "include <a.h>;next <b.h>"},
		"HasInclude":          {"#if defined(__has_include) && __has_include ( <a.h> ) || __has_include(\"b.h\")\n", `has <a.h>;has "b.h"`},
		"HasIncludeNext":      {"#elif __has_include_next(<a.h>)\n", "hasnext <a.h>"},
		"AskedIfThereIs":      {"#ifdef __has_include\n#if defined __has_include\n", ""},
		"WrappedHasInclude":   {"#define HAS(x) __has_include(x)\n#if A && HAS(<a.h>) || HAS(\"b.h\") || f(x < 1)\n", `has <a.h>;has "b.h";has x`},
		"HasIncludeInAMacro":  {"#define HAVE __has_include(<a.h>)\n", "has <a.h>"},
		"Computed":            {"#include NAME /* c */\n#include STR(x.h) // d\n", "include NAME;include STR(x.h)"},
		"ComputedHasInclude":  {"#if __has_include(NAME)\n", "has NAME"},
		"Embed":               {"#embed \"a.bin\" limit(4)\n#if __has_embed(<b.bin>)\n", `embed "a.bin";embed <b.bin>`},
		"Incbin":              {`asm(".section x\n.incbin \"a.bin\", 4\n" ".incbin\t\"b.bin\"");`, `incbin "a.bin";incbin "b.bin"`},
		"IncbinInARawString":  {`asm(R"(.incbin "a.bin")");`, `incbin "a.bin"`},
		"AssemblerInclude":    {`asm(".include \"a.s\"");`, `asm "a.s"`},
		"AssemblerFile":       {".incbin \"a.bin\"\n\t.include \"b.s\"\n", `incbin "a.bin";asm "b.s"`},
		"Member":              {"x.include(y); x.includes = 1;\n", ""},
		"Unterminated":        {"#include \"a.h\n#include <b.h>\n", `include <b.h>;include "a.h`},
		"Empty":               {"#include\n#\n#include \"\"\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var want []string
			if tc.want != "" {
				want = strings.Split(tc.want, ";")
			}
			if diff := cmp.Diff(want, names(lex([]byte(tc.in), false))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMacrosThatCanNameAHeader(t *testing.T) {
	got := lex([]byte(`
#define A "a.h" /* c */
#define B <b/b.h> // c
#define C B
#define D STR(x)
#define E(x) x
#define F 1
#define G
#define H "a" "b"
#define I \
	"i.h"
`), false)
	want := []define{
		{"A", literal, `"a.h"`}, {"B", literal, "<b/b.h>"}, {"C", alias, "B"}, {"D", several, ""}, {"E", function, ""},
		{"F", nothing, ""}, {"G", nothing, ""}, {"H", several, ""}, {"I", literal, `"i.h"`},
	}
	if diff := cmp.Diff(want, got.defines, cmp.AllowUnexported(define{})); diff != "" {
		t.Error(diff)
	}
}

func TestWhatAFileDependsOnBesidesItsHeaders(t *testing.T) {
	for in, check := range map[string]func(*text) bool{
		"x = __DATE__ __TIME__;":                  func(t *text) bool { return t.clock == ClockOfBuild },
		"x = __TIMESTAMP__; y = __DATE__;":        func(t *text) bool { return t.clock == ClockOfFile },
		"// __DATE__\nx = \"__TIME__\";":          func(t *text) bool { return t.clock == NoClock },
		"#define NOW __TIME__":                    func(t *text) bool { return t.clock == ClockOfBuild },
		"asm(\".incbin \" FILE);":                 func(t *text) bool { return t.deaf != "" },
		"asm(\".incbin \\\"\" FILE \"\\\"\");":    func(t *text) bool { return t.deaf != "" },
		"#pragma GCC dependency \"x\"":            func(t *text) bool { return t.deaf != "" },
		".incbin FILE":                            func(t *text) bool { return t.deaf == "" && t.asmDeaf != "" },
		"x = \"a.include(b)\"; y = \".included\"": func(t *text) bool { return t.deaf == "" },
		"char *s = \"??/\";":                      func(t *text) bool { return t.odd.Trigraphs },
		"x = \"a\"R\"(b)\";":                      func(t *text) bool { return t.glued },
		"x // /* y":                               func(t *text) bool { return t.odd.LineComments },
		"x /* // */ /* y */":                      func(t *text) bool { return !t.odd.LineComments },
	} {
		if got := lex([]byte(in), false); !check(got) {
			t.Errorf("%s: %+v", in, got)
		}
	}
}

// Only assembler that is written out is sure to read no file.
func TestAssemblerThatMacrosMake(t *testing.T) {
	for in, want := range map[string]bool{
		`__asm__ __volatile__("");`: false,
		"asm volatile (\"mov %0, %1\\n\\t\"\n \"nop\" : \"=r\"(x) : \"r\"(INPUT) : \"memory\");": false,
		`int f(void) __asm__("g");`:             false,
		`register int x asm("r0");`:             false,
		"#define BLOCK() __asm__(\"\")":         false,
		"asm /* what */ goto ( // for\n \"x\")": false,
		`// asm(X)`:                             false,
		`char *asmname = "asm(X)";`:             false,
		`asm(X);`:                               true,
		`asm("a" X);`:                           true,
		`asm("." "inc" "bin \"f\"");`:           true,
		`asm(".INCBIN \"f\"");`:                 true,
		`asm("\056incbin");`:                    true,
		`asm(".macro m a\n.\\a \"f\"\n.endm");`: true,
		`asm(".irpc c,b\n.in");`:                true,
		`asm(R"(nop)");`:                        true,
		`#define A asm`:                         true,
		`#define A __asm__ __volatile__`:        true,
		"#define D(x) __asm(\".\" #x)":          true,
		`asm`:                                   true,
		`asm(`:                                  true,
		`asm();`:                                true,
		`asm volatile`:                          true,
		`asm_(X); __asm_x(Y); myasm(Z);`:        false,
	} {
		if got := lex([]byte(in), false).wrought; got != want {
			t.Errorf("%s: %v", in, got)
		}
	}
}

func FuzzLex(f *testing.F) {
	for _, s := range []string{"#include <a.h>\n", "/*", "\"", "R\"(", "#define A \\\n", "%:", "#if __has_include(", ".incbin \"", "1'", "\\"} {
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, in []byte, plain bool) {
		got := lex(in, plain)
		if !got.equal(lex(in, plain)) {
			t.Fatal("two readings differ")
		}
		// What comes after a whole file does not change what was in it.
		more := lex(append(in[:len(in):len(in)], "\n#include <z.h>\n"...), plain)
		if len(more.named) < len(got.named)-1 {
			t.Fatalf("%d names, with more behind them %d", len(got.named), len(more.named))
		}
	})
}
