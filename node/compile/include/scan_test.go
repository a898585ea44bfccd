package include_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/buildnet/buildnet/node/compile/include"
)

// files are sources of a unit, by path and content.
type files = map[string]string

// Each case is a tree, a command in /w, and what it reads, with what was
// looked for in vain.
func TestScanFindsWhatTheCompilerWouldRead(t *testing.T) {
	for name, tc := range map[string]struct {
		tree         files
		command      string
		want, absent string
	}{
		"BesideTheIncluderFirst": {files{"/w/s/a.c": `#include "x.h"`, "/w/s/x.h": "", "/w/i/x.h": ""}, "gcc -c -Ii s/a.c", "/w/s/a.c /w/s/x.h", ""},
		"AnglesOnThePathAlone":   {files{"/w/s/a.c": `#include <x.h>`, "/w/s/x.h": "", "/w/i/x.h": ""}, "gcc -c -Ii s/a.c", "/w/i/x.h /w/s/a.c", ""},
		"EarlierOnThePath":       {files{"/w/a.c": `#include <x.h>`, "/w/j/x.h": "", "/w/k/x.h": "", "/w/i/y": ""}, "gcc -c -Ii -Ij -Ik a.c", "/w/a.c /w/j/x.h", "/w/i/x.h"},
		"QuotePathForQuotes":     {files{"/w/a.c": "#include \"x.h\"\n#include <x.h>\n", "/w/q/x.h": "", "/w/i/x.h": ""}, "gcc -c -Ii -iquote q a.c", "/w/a.c /w/i/x.h /w/q/x.h", "/w/x.h"},
		"SystemBehind":           {files{"/w/a.c": `#include <x.h>`, "/w/s/x.h": "", "/w/i/x.h": ""}, "gcc -c -isystem s -Ii a.c", "/w/a.c /w/i/x.h", ""},
		"AfterBehindAll":         {files{"/w/a.c": `#include <x.h>`, "/w/s/x.h": "", "/sys/x.h": ""}, "gcc -c -idirafter s a.c", "/sys/x.h /w/a.c", ""},
		"UsersThatIsTheSystems":  {files{"/w/a.c": `#include <x.h>`, "/sys/x.h": "", "/w/i/x.h": ""}, "gcc -c -I/sys -Ii a.c", "/w/a.c /w/i/x.h", ""},
		"NextOnThePath":          {files{"/w/a.c": `#include <x.h>`, "/w/i/x.h": "#include_next <x.h>", "/w/j/x.h": "#include_next <x.h>", "/sys/x.h": ""}, "gcc -c -Ii -Ij a.c", "/sys/x.h /w/a.c /w/i/x.h /w/j/x.h", ""},
		"NextOfOneBeside":        {files{"/w/s/a.c": `#include "x.h"`, "/w/s/x.h": "#include_next <x.h>", "/sys/x.h": ""}, "gcc -c s/a.c", "/sys/x.h /w/s/a.c /w/s/x.h", ""},
		"NextInTheSource":        {files{"/w/a.c": `#include_next "x.h"`, "/w/x.h": ""}, "gcc -c a.c", "/w/a.c /w/x.h", ""},
		"Forced":                 {files{"/w/s/a.c": "", "/w/f.h": `#include "g.h"`, "/w/g.h": "", "/w/s/f.h": ""}, "gcc -c -include f.h s/a.c", "/w/f.h /w/g.h /w/s/a.c", ""},
		"ForcedOnThePath":        {files{"/w/a.c": "", "/w/i/f.h": ""}, "gcc -c -Ii -imacros f.h a.c", "/w/a.c /w/i/f.h", "/w/f.h"},
		"NowhereToBeFound":       {files{"/w/a.c": `#include <windows.h>`, "/w/i/x": ""}, "gcc -c -Ii a.c", "/w/a.c", "/sys/windows.h /w/i/windows.h"},
		"AskedForAlone":          {files{"/w/a.c": "#if __has_include(\"x.h\")\n", "/w/x.h": `#include "y.h"`, "/w/y.h": ""}, "gcc -c a.c", "/w/a.c /w/x.h", ""},
		"ThroughAMacro":          {files{"/w/a.c": "#define A B\n#if 0\n#define B \"x.h\"\n#else\n#define B <y.h>\n#endif\n#include A\n", "/w/x.h": "", "/sys/y.h": ""}, "gcc -c a.c", "/sys/y.h /w/a.c /w/x.h", ""},
		"ThroughAnArgument":      {files{"/w/a.c": "#include A\n", "/w/x.h": ""}, `gcc -c -DA="x.h" a.c`, "/w/a.c /w/x.h", ""},
		"MacroOfALaterHeader":    {files{"/w/a.c": "#include A\n#include \"n.h\"\n", "/w/n.h": "#define A \"m.h\"\n", "/w/m.h": "#define Z \"z.h\"\n#include Z\n", "/w/z.h": ""}, "gcc -c a.c", "/w/a.c /w/m.h /w/n.h /w/z.h", ""},
		"MacroThatNobodyDefines": {files{"/w/a.c": "#include CONFIG_H\n#include STR(X)\n"}, "gcc -c a.c", "/w/a.c", ""},
		"ADirectoryIsNoHeader":   {files{"/w/a.c": `#include <x.h>`, "/w/i/x.h/y": "", "/w/j/x.h": ""}, "gcc -c -Ii -Ij a.c", "/w/a.c /w/j/x.h", "/w/i/x.h"},
		"Around":                 {files{"/w/a/a.h": `#include "../b/b.h"`, "/w/b/b.h": `#include "../a/a.h"`, "/w/a.c": `#include "a/a.h"`}, "gcc -c a.c", "/w/a.c /w/a/a.h /w/b/b.h", ""},
		"Absolute":               {files{"/w/a.c": `#include "/x/x.h"`, "/x/x.h": `#include "y.h"`, "/x/y.h": ""}, "gcc -c a.c", "/w/a.c /x/x.h /x/y.h", ""},
		"Assembler":              {files{"/w/s/a.s": "#include \"no.h\"\n.include \"x.s\"\n", "/w/s/no.h": "", "/w/i/x.s": ".incbin \"x.bin\"", "/w/x.bin": ".include \"n\""}, "gcc -c -Ii s/a.s", "/w/i/x.s /w/s/a.s /w/x.bin", "/sys/x.bin /sys/x.s /w/i/x.bin /w/s/x.s /w/x.s"},
		"AssemblerPreprocessed":  {files{"/w/a.S": "#include \"x.h\"\n.incbin \"x.bin\"\n", "/w/x.h": "", "/w/x.bin": ""}, "gcc -c a.S", "/w/a.S /w/x.bin /w/x.h", "/sys/x.bin"},
		"GlibcsOwn":              {files{"/w/a.c": "", "/sys/stdc-predef.h": ""}, "gcc -c a.c", "/sys/stdc-predef.h /w/a.c", ""},
		"NoSuchDirectory":        {files{"/w/a.c": ""}, "gcc -c -Igone a.c", "/w/a.c", "/w/gone"},
		"BeforeTheDots":          {files{"/w/a.c": "#include <x.h>", "/w/i/x.h": "", "/w/j/y": ""}, "gcc -c -Ij/../i a.c", "/w/a.c /w/i/x.h", ""},
	} {
		t.Run(name, func(t *testing.T) {
			tc.tree["/sys/keep"] = ""
			s := include.New(newMemory(tc.tree), include.Options{})
			r := s.Scan(unit(tc.command, "/sys"))
			if r.Doubt != nil {
				t.Errorf("doubt: %v", *r.Doubt)
			}
			if diff := cmp.Diff(strings.Fields(tc.want), sorted(r.Files)); diff != "" {
				t.Error(diff)
			}
			var absent []string
			for _, a := range sorted(r.Absent) {
				if !strings.HasSuffix(a, "/stdc-predef.h") {
					absent = append(absent, a)
				}
			}
			if tc.absent != "" {
				if diff := cmp.Diff(strings.Fields(tc.absent), absent); diff != "" {
					t.Errorf("absent: %s", diff)
				}
			}
		})
	}
}

// What a scan cannot know it says, and whether it is any use to ask the compiler.
func TestScanSaysWhatItDoesNotKnow(t *testing.T) {
	for name, tc := range map[string]struct {
		tree    files
		command string
		deaf    bool
	}{
		"NameInACall":            {files{"/w/a.c": "#define S(x) #x\n#include S(x.h)\n"}, "gcc -c a.c", false},
		"NameOfSeveralTokens":    {files{"/w/a.c": "#define S X \"x.h\"\n#include S\n"}, "gcc -c a.c", false},
		"OwnName":                {files{"/w/a.c": "#include __FILE__\n"}, "gcc -c a.c", false},
		"MacroBetweenAngles":     {files{"/w/a.c": "#define dir other\n#define S <dir/x.h>\n#include S\n"}, "gcc -c a.c", false},
		"PredefinedBetween":      {files{"/w/a.c": "#define S <linux/x.h>\n#include S\n"}, "gcc -c a.c", false},
		"QuestionInACall":        {files{"/w/a.c": "#define S(x) #x\n#if __has_include(S(x.h))\n#endif\n"}, "gcc -c a.c", true},
		"PrecompiledHeader":      {files{"/w/a.c": `#include "x.h"`, "/w/x.h": "", "/w/x.h.gch": ""}, "gcc -c a.c", true},
		"PrecompiledInDirectory": {files{"/w/a.c": `#include <x.h>`, "/w/i/x.h.gch/1": "", "/w/j/x.h": ""}, "gcc -c -Ii -Ij a.c", true},
		"NoSource":               {files{"/w/b.c": ""}, "gcc -c a.c", true},
		"NoForced":               {files{"/w/a.c": ""}, "gcc -c -include x.h a.c", true},
		"Incbin":                 {files{"/w/a.c": `asm(".incbin " NAME);`}, "gcc -c a.c", true},
		"Trigraph":               {files{"/w/a.c": "??=include <x.h>\n"}, "gcc -std=c99 -c a.c", false},
		"LineCommentInC90":       {files{"/w/a.c": "// /*\n"}, "gcc -ansi -c a.c", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := include.New(newMemory(tc.tree), include.Options{}).Scan(unit(tc.command))
			if r.Doubt == nil || r.Doubt.Deaf != tc.deaf {
				t.Errorf("doubt %+v, want one that is deaf: %v", r.Doubt, tc.deaf)
			}
		})
	}
}

// A depfile names what the preprocessor reads, and nothing else.
func TestWhatADepfileDoesNotName(t *testing.T) {
	s := include.New(newMemory(files{
		"/w/a.c": "#include \"x.h\"\nasm(\".incbin \\\"x.bin\\\"\");\nchar b[] = {\n#embed \"e.bin\"\n};\n", "/w/x.h": "", "/w/x.bin": "", "/w/e.bin": "",
		"/w/b.S": ".include \"i.s\"\n#include \"x.h\"\n", "/w/i.s": ".include \"j.s\"\n", "/w/j.s": "", "/sys/keep": "",
	}), include.Options{})
	for command, want := range map[string]string{"gcc -c a.c": "/w/e.bin /w/x.bin", "gcc -c b.S": "/w/i.s /w/j.s"} {
		r := s.Scan(unit(command, "/sys"))
		if got := strings.Join(sorted(r.Silent), " "); got != want || r.Doubt != nil {
			t.Errorf("%s: %s, want %s (%v)", command, got, want, r.Doubt)
		}
	}
}

func TestLinksOnTheWayBelongToTheResult(t *testing.T) {
	m := newMemory(files{"/w/a.c": "#include <x.h>\n#include <sub/../y.h>\n", "/real/deep/x.h": `#include "../z.h"`, "/real/z.h": "", "/real/deep/y.h": "", "/real/deep/sub/k": ""})
	m.link("/w/l", "../real/./deep")
	m.link("/real/deep/u.h", "x.h")
	m.write("/w/b.c", "#include <u.h>\n")
	s := include.New(m, include.Options{})
	r := s.Scan(unit("gcc -c -Il a.c"))
	want := include.Result{
		Files: []string{"/w/a.c", "/real/deep/y.h", "/real/deep/x.h", "/real/z.h"},
		Links: []include.Reference{{Path: "/w/l", Target: "../real/./deep"}},
	}
	if diff := cmp.Diff(sorted(want.Files), sorted(r.Files)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want.Links, r.Links); diff != "" {
		t.Error(diff)
	}
	for _, d := range []string{"/w", "/real/deep", "/real/deep/sub"} {
		if !strings.Contains(strings.Join(r.Dirs, " ")+" ", d+" ") {
			t.Errorf("directories %v: without %s", r.Dirs, d)
		}
	}
	r = s.Scan(unit("gcc -c -Il b.c"))
	if diff := cmp.Diff([]include.Reference{{Path: "/w/l", Target: "../real/./deep"}, {Path: "/real/deep/u.h", Target: "x.h"}}, r.Links); diff != "" {
		t.Error(diff)
	}
}

func TestLinksInARingLeadNowhere(t *testing.T) {
	m := newMemory(files{"/w/a.c": "#include <x.h>\n", "/w/i/k": ""})
	m.link("/w/i/x.h", "y.h")
	m.link("/w/i/y.h", "x.h")
	m.link("/w/l", "l")
	r := include.New(m, include.Options{}).Scan(unit("gcc -c -Il -Ii a.c"))
	if diff := cmp.Diff([]string{"/w/a.c"}, r.Files); diff != "" || r.Doubt != nil {
		t.Error(diff, r.Doubt)
	}
}

func TestBoundDirectoriesAreToldApart(t *testing.T) {
	m := newMemory(files{"/w/a.c": "#include <x.h>\n", "/sys/x.h": "#include <y.h>\n", "/sys/z.h": "", "/w/i/y.h": "#include <z.h>\n"})
	r := include.New(m, include.Options{Bound: []string{"/sys/"}}).Scan(unit("gcc -c -Ii a.c", "/sys"))
	if diff := cmp.Diff([]string{"/w/a.c", "/w/i/y.h"}, sorted(r.Files)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"/sys/x.h", "/sys/z.h"}, sorted(r.System)); diff != "" {
		t.Error(diff)
	}
}

func TestWhatTheGraphWillMakeIsComing(t *testing.T) {
	m := newMemory(files{"/w/a.c": "#include <gen/x.h>\n#include \"old.h\"\n", "/w/old.h": "", "/w/j/gen/x.h": ""})
	s := include.New(m, include.Options{})
	u := unit("gcc -c -Iout -Ij a.c")
	s.Scan(u)
	s.Expect("/w/out/gen/x.h", "/w/old.h", "/w/out/other.h")
	r := s.Scan(u)
	if diff := cmp.Diff([]string{"/w/old.h", "/w/out/gen/x.h"}, sorted(r.Coming)); diff != "" {
		t.Error(diff)
	}
	m.write("/w/out/gen/x.h", `#include "y.h"`)
	m.write("/w/out/gen/y.h", "")
	s.Made("/w/out/gen/x.h", "/w/old.h")
	r = s.Scan(u)
	if diff := cmp.Diff([]string{"/w/a.c", "/w/old.h", "/w/out/gen/x.h", "/w/out/gen/y.h"}, sorted(r.Files)); diff != "" || len(r.Coming) > 0 {
		t.Error(diff, r.Coming)
	}
}

func TestWhatIsMadeBehindALinkIsSeen(t *testing.T) {
	m := newMemory(files{"/data/w/a.c": "#include \"x.h\"\n#include \"g/y.h\"\n", "/data/w/x.h": ""})
	m.link("/w", "data/w")
	s := include.New(m, include.Options{})
	u := unit("gcc -c a.c")
	s.Expect("/w/x.h", "/w/g/y.h")
	if r := s.Scan(u); len(r.Coming) != 2 {
		t.Errorf("coming %v", r.Coming)
	}
	m.write("/data/w/x.h", "#include \"z.h\"\n")
	m.write("/data/w/z.h", "")
	m.write("/data/w/g/y.h", "")
	s.Made("/w/x.h", "/w/g/y.h")
	r := s.Scan(u)
	if diff := cmp.Diff([]string{"/data/w/a.c", "/data/w/g/y.h", "/data/w/x.h", "/data/w/z.h"}, sorted(r.Files)); diff != "" || len(r.Coming) > 0 {
		t.Error(diff, r.Coming)
	}
}

func TestNothingIsReadTwice(t *testing.T) {
	m := newMemory(files{"/w/a.c": "#include <x.h>\n", "/w/i/x.h": "", "/w/b.c": "#include <x.h>\n"})
	s := include.New(m, include.Options{})
	for range 3 {
		s.Scan(unit("gcc -c -Ii a.c"))
		s.Scan(unit("gcc -c -Ii -Ij b.c"))
		s.Begin()
	}
	if m.reads != 3 {
		t.Errorf("%d files read, want 3", m.reads)
	}
	s.Scan(unit("gcc -c -Ii a.c"))
	m.write("/w/i/x.h", "#include <y.h>\n")
	m.write("/w/i/y.h", "")
	if r := s.Scan(unit("gcc -c -Ii a.c")); len(r.Files) != 2 {
		t.Errorf("%v before the next epoch", r.Files)
	}
	s.Begin()
	if r := s.Scan(unit("gcc -c -Ii a.c")); len(r.Files) != 3 {
		t.Errorf("%v in the next epoch", r.Files)
	}
}

func TestAppearedDirectoryOfTheCompilerIsADoubt(t *testing.T) {
	m := newMemory(files{"/w/a.c": ""})
	s := include.New(m, include.Options{})
	u := unit("gcc -c a.c", "/sys")
	u.Own.Missing = []string{"/usr/local/include"}
	if r := s.Scan(u); r.Doubt != nil {
		t.Error(r.Doubt)
	}
	m.write("/usr/local/include/x.h", "")
	s.Begin()
	if r := s.Scan(u); r.Doubt == nil {
		t.Error("no doubt")
	}
}
