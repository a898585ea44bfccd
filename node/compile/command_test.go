package compile_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/buildnet/buildnet/node/compile"
	"github.com/buildnet/buildnet/sched/action"
)

// read reads a command written with blanks, and the variables in front of it.
func read(t testing.TB, line string) *compile.Command {
	t.Helper()
	words := strings.Fields(line)
	env := map[string]string{}
	for len(words) > 0 && strings.Contains(words[0], "=") {
		name, value, _ := strings.Cut(words[0], "=")
		env[name], words = value, words[1:]
	}
	c, err := compile.Read(words, compile.Setting{Getenv: func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}})
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return c
}

func TestWhatIsACompiler(t *testing.T) {
	for name, want := range map[string]compile.Family{
		"cc": compile.GCC, "gcc": compile.GCC, "/usr/bin/g++": compile.GCC, "c++": compile.GCC, "gcc-12": compile.GCC, "g++-12.2": compile.GCC,
		"x86_64-linux-gnu-gcc-12": compile.GCC, "clang": compile.Clang, "clang++-15": compile.Clang, "arm-none-eabi-g++": compile.GCC,
		"ccache": 0, "sh": 0, "ld": 0, "gcc-ar": 0, "clang-format": 0, "distcc": 0, "cpp": 0, "nvcc": 0,
	} {
		c, err := compile.Read([]string{name, "-c", "a.c"}, compile.Setting{})
		switch {
		case want == 0 && !errors.Is(err, compile.ErrNotCompiler):
			t.Errorf("%s: %v, want ErrNotCompiler", name, err)
		case want != 0 && (err != nil || c.Family != want):
			t.Errorf("%s: %v, %v, want family %v", name, c, err, want)
		}
	}
	if c, err := compile.Read([]string{"cc"}, compile.Setting{Family: compile.Clang}); err != nil || c.Family != compile.Clang {
		t.Errorf("cc that is clang: %v, %v", c, err)
	}
}

// Every way in which a command is not for another machine, by a piece of its
// reason; "" is for those that are.
func TestWhichCommandsMayGoElsewhere(t *testing.T) {
	for line, want := range map[string]string{
		"gcc -c a.c": "",
		"gcc -O2 -g -Wall -fPIC -pipe -c -o x.o a.c":   "",
		"g++ -std=gnu++17 -fvisibility=hidden -c a.cc": "",
		"gcc -S a.c":                                      "",
		"gcc -c a.s":                                      "",
		"gcc -c a.S":                                      "",
		"gcc -x c++ -c a.inc":                             "",
		"gcc -MD -MP -MT x -MF x.d -c a.c":                "",
		"gcc -Wp,-MMD,x.d -c a.c":                         "",
		"gcc -march=native -c a.c":                        "",
		"gcc --coverage -c a.c":                           "",
		"gcc -gsplit-dwarf -c a.c":                        "",
		"gcc -fstack-usage -c a.c":                        "",
		"gcc -fprofile-generate -c a.c":                   "",
		"gcc -ffile-prefix-map=/a/b=. -c a.c":             "",
		"gcc -fdiagnostics-color=always -c a.c":           "",
		"gcc -flto=auto -fno-plugin -c a.c":               "",
		"gcc -Wa,--noexecstack -c a.c":                    "",
		"gcc -Wl,-z,now -lm -c a.c":                       "",
		"gcc -finput-charset=UTF-8 -c a.c":                "",
		"clang -fgnuc-version=4.2.1 -MJ x.json -c a.c":    "",
		"clang -target arm-none-eabi -c a.c":              "",
		"CPATH=/x C_INCLUDE_PATH=/y gcc -c a.c":           "",
		"LANG=en_US.UTF-8 SOURCE_DATE_EPOCH=1 gcc -c a.c": "",
		"LC_ALL=C LANG=de_DE.ISO-8859-1 gcc -c a.c":       "",

		"gcc a.c -o a":                        "links",
		"gcc a.c b.o -o a":                    "links",
		"gcc -E a.c":                          "preprocesses",
		"gcc -M a.c":                          "lists",
		"gcc -fsyntax-only a.c":               "makes nothing",
		"gcc -c":                              "no source",
		"gcc -c a.o":                          "no source",
		"gcc -c a.c b.c":                      "several sources",
		"gcc -c -":                            "typed",
		"gcc -c a.c -o -":                     "no file",
		"gcc -c a.c -o /dev/null":             "no file",
		"gcc -c a.c -o x -o y":                "several outputs",
		"gcc -c a.h":                          "precompiled",
		"g++ -x c++-header -c a.hpp":          "precompiled",
		"clang -include-pch a.pch -c a.c":     "precompiled",
		"gcc -fpch-preprocess -c a.c":         "precompiled",
		"g++ -std=c++20 -fmodules-ts -c a.cc": "modules",
		"clang++ -fmodule-file=x.pcm -c a.cc": "modules",
		"clang++ -c a.cppm":                   "module",
		"gcc -fplugin=p.so -c a.c":            "plugin",
		"gcc -fplugin-arg-p-x=y -c a.c":       "plugin",
		"gcc -specs=x.specs -c a.c":           "changes what the compiler does",
		"gcc -B tools -c a.c":                 "which programs",
		"gcc -wrapper gdb,--args -c a.c":      "another program",
		"gcc -fprofile-use -c a.c":            "profiles",
		"gcc -fprofile-use=x.gcda -c a.c":     "profiles",
		"gcc -fauto-profile=x -c a.c":         "profiles",
		"gcc -save-temps -c a.c":              "on the way",
		"gcc -save-temps=obj -c a.c":          "on the way",
		"gcc -fdump-tree-all -c a.c":          "further files",
		"gcc -da -c a.c":                      "further files",
		"gcc -fopt-info-vec=x -c a.c":         "file",
		"gcc -fsome-list=x.txt -c a.c":        "file",
		"clang -ftime-trace -c a.c":           "further files",
		"gcc -aux-info x -c a.c":              "further file",
		"gcc --coverage -S a.c":               "without an object",
		"gcc -MG -MD -c a.c":                  "not there",
		"gcc -MD -MF /dev/stdout -c a.c":      "no file",
		"gcc -Wa,-a=x.lst -c a.c":             "not looked into",
		"gcc -Wp,-include,x.h -c a.c":         "not looked into",
		"clang -Xclang -x -c a.c":             "not known",
		"gcc -traditional-cpp -c a.c":         "preprocessor",
		"gcc -finput-charset=latin1 -c a.c":   "sources read",
		"gcc -I- -c a.c":                      "not looked into",
		"gcc -I=/x -c a.c":                    "system root",
		"gcc -iwithprefix x -c a.c":           "prefix",
		"gcc -c a.f90":                        "f95",
		"gcc -x objective-c -c a.m":           "objective-c",
		"gcc --frobnicate -c a.c":             "not known",
		"gcc -c a.c -o":                       "no value",
		"gcc -c a.c @x":                       "arguments of @x",
		"gcc -v -c a.c":                       "on this machine",
		"clang -march=native -c a.c":          "native",
		"clang -arch x86_64 -c a.c":           "several machines",
		"COMPILER_PATH=/x gcc -c a.c":         "COMPILER_PATH",
		"GCC_EXEC_PREFIX=/x gcc -c a.c":       "GCC_EXEC_PREFIX",
		"DEPENDENCIES_OUTPUT=x gcc -c a.c":    "DEPENDENCIES_OUTPUT",
		"LANG=de_DE.ISO-8859-1 gcc -c a.c":    "character set",
	} {
		c := read(t, line)
		if got := strings.Join(c.Local, "; "); want == "" && got != "" || !strings.Contains(got, want) || c.Remote() != (want == "") {
			t.Errorf("%s: local for %q, want %q", line, got, want)
		}
	}
}

func TestWhatACommandMakes(t *testing.T) {
	for line, want := range map[string]string{
		"gcc -c a.c":                            "a.o",
		"gcc -c s/a.b.c":                        "a.b.o",
		"gcc -S s/a.c":                          "a.s",
		"gcc -c s/a.c -o o/x.c.o":               "o/x.c.o",
		"gcc -c s/a.c -oo/x.o -MD":              "o/x.o o/x.d",
		"gcc -c a.c -o o/x.c.o -MMD":            "o/x.c.o o/x.c.d",
		"gcc -c a.c -o x -MD":                   "x x.d",
		"gcc -c s/a.c -MD":                      "a.o a.d",
		"gcc -c a.c -MD -MF d/x.d":              "a.o d/x.d",
		"gcc -c a.c -MFx.d":                     "a.o",
		"gcc -c a.c -Wp,-MD,.x.d":               "a.o .x.d",
		"gcc -c a.c -o o/x.o --coverage":        "o/x.o o/x.gcno",
		"gcc -c a.c -o o/x.o -gsplit-dwarf":     "o/x.o o/x.dwo",
		"gcc -c a.c -o o/x.o -fstack-usage -MD": "o/x.o o/x.d o/x.su",
		"clang -c a.c -o o/x.o -MJ o/x.json":    "o/x.o o/x.json",
		"gcc -c a.c -o o.d/x":                   "o.d/x",
	} {
		if diff := cmp.Diff(strings.Fields(want), read(t, line).Outputs); diff != "" {
			t.Errorf("%s: %s", line, diff)
		}
	}
}

func TestWhereACommandLooks(t *testing.T) {
	c := read(t, "CPATH=c1::c2 CPLUS_INCLUDE_PATH=p C_INCLUDE_PATH=no g++ -I a -isystem b -Ic -iquoted -idirafter=x --sysroot=/r -I=/e -I$SYSROOT/f -iprefix p/ -iwithprefix w -iwithprefixbefore v -nostdinc++ -m32 --sysroot /r2 -include f.h -imacrosg.h -DA -DB=1 -DF(x)=x -UA -x c++ -c s.inc -x none t.c")
	want := &compile.Command{
		Dirs: []compile.Dir{
			{Chain: compile.Bracket, Path: "a"}, {Chain: compile.System, Path: "b"}, {Chain: compile.Bracket, Path: "c"}, {Chain: compile.Quote, Path: "d"}, {Chain: compile.After, Path: "/r2x"},
			{Chain: compile.Bracket, Path: "/r2/e"}, {Chain: compile.Bracket, Path: "/r2/f"},
			{Chain: compile.After, Path: "p/w"}, {Chain: compile.Bracket, Path: "p/v"},
			{Chain: compile.Bracket, Path: "c1"}, {Chain: compile.Bracket, Path: "."}, {Chain: compile.Bracket, Path: "c2"}, {Chain: compile.System, Path: "p"},
		},
		Forced:  []compile.Forced{{Path: "f.h"}, {Path: "g.h", Macros: true}},
		Macros:  []compile.Macro{{Name: "A", Value: "1"}, {Name: "B", Value: "1"}, {Name: "F", Value: "("}},
		Asking:  []string{"--sysroot=/r", "-nostdinc++", "-m32", "--sysroot=/r2"},
		Sources: []compile.Source{{Path: "s.inc", Language: compile.CXX}, {Path: "t.c", Language: compile.CXX}},
		Env:     []action.Property{{Name: "CPATH", Value: "c1::c2"}, {Name: "CPLUS_INCLUDE_PATH", Value: "p"}},
	}
	got := &compile.Command{Dirs: c.Dirs, Forced: c.Forced, Macros: c.Macros, Asking: c.Asking, Sources: c.Sources, Env: c.Env}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(compile.Command{})); diff != "" {
		t.Error(diff)
	}
}

func TestDialects(t *testing.T) {
	for line, want := range map[string]string{ // trigraphs, line comments, raw strings, separators
		"gcc -c a.c": ".lr.", "gcc -std=gnu11 -c a.c": ".lr.", "gcc -std=c99 -c a.c": "tl..", "gcc -std=c89 -c a.c": "t...", "gcc -ansi -c a.c": "t...",
		"gcc -std=iso9899:1990 -c a.c": "t...", "gcc -std=gnu89 -c a.c": ".l..", "gcc -std=c2x -c a.c": ".l.s", "gcc -std=gnu2x -c a.c": ".lrs", "gcc -trigraphs -c a.c": "tlr.",
		"clang -c a.c": ".l..", "gcc -std=c++17 -c a.c": ".lr.", "gcc -c a.S": ".l..",
		"g++ -c a.cc": ".lrs", "g++ -std=c++98 -c a.cc": "tl..", "g++ -ansi -c a.cc": "tl..", "g++ -std=gnu++98 -c a.cc": ".l..", "g++ -std=c++11 -c a.cc": "tlr.", "g++ -std=c++14 -c a.cc": "tlrs",
		"g++ -std=c++17 -c a.cc": ".lrs", "g++ -std=gnu++20 -c a.cc": ".lrs", "clang++ -c a.cc": ".lrs", "g++ -std=c11 -c a.cc": ".lrs",
	} {
		d := read(t, line).Dialect
		got := ""
		for i, has := range []bool{d.Trigraphs, d.LineComments, d.RawStrings, d.Separators} {
			if has {
				got += string("tlrs"[i])
			} else {
				got += "."
			}
		}
		if got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

func TestResponseFilesAreReadInPlace(t *testing.T) {
	in := compile.Setting{Response: func(p string) ([]byte, error) {
		content, ok := map[string]string{"x": `-c "a b.c" -D'A=\'x\'' @y`, "y": "-I i\\ j\n-O2", "ring": "@ring"}[p]
		if !ok {
			return nil, errors.New("it is not there")
		}
		return []byte(content), nil
	}}
	c, err := compile.Read([]string{"gcc", "-g", "@x", "-o", "a.o"}, in)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"-g", "-c", "a b.c", "-DA='x'", "-I", "i j", "-O2", "-o", "a.o"}, c.Args); diff != "" || !c.Remote() {
		t.Error(diff, c.Local)
	}
	for _, bad := range []string{"@ring", "@gone"} {
		if c, err := compile.Read([]string{"gcc", "-c", "a.c", bad}, in); err != nil || c.Remote() {
			t.Errorf("%s: %v, remote", bad, err)
		}
	}
}

func TestQuestions(t *testing.T) {
	c := read(t, "g++ -m32 -O2 -MD -MF x.d -MTx -MP -Wp,-MMD,y.d -c -o x.o -Ii -march=native a.cc")
	for _, tc := range []struct {
		got  []string
		want string
	}{
		{c.OwnQuestion(), "g++ -m32 -E -v -x c++ /dev/null -o /dev/null"},
		{c.DependQuestion(), "g++ -m32 -O2 -Ii -march=native a.cc -M -MT x"},
		{c.NativeQuestion(), "g++ -m32 -march=native -### -S -x c /dev/null -o /dev/null"},
	} {
		if got := strings.Join(tc.got, " "); got != tc.want {
			t.Errorf("%s, want %s", got, tc.want)
		}
	}
	args, ok := c.Expand("Using built-in specs.\n /usr/lib/cc1 -quiet /dev/null -m32 \"-march=znver3\" -mno-x --param \"l1-cache-size=32\" -mtune=znver3 -dumpbase null\n")
	want := "-m32 -O2 -MD -MF x.d -MTx -MP -Wp,-MMD,y.d -c -o x.o -Ii -march=znver3 -mno-x --param l1-cache-size=32 -mtune=znver3 a.cc"
	if got := strings.Join(args, " "); !ok || got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if _, ok := read(t, "gcc -march=native -flto -c a.c").Expand("cc1 -march=x\n"); ok {
		t.Error("the object has its arguments in it")
	}
	if _, ok := c.Expand("no such option"); ok {
		t.Error("nothing was said, and it is taken for an answer")
	}
}

func FuzzRead(f *testing.F) {
	f.Add("gcc -c a.c -o a.o @x", "-I i")
	f.Add("clang++ -MD -MF", "")
	f.Add("gcc -march=native -c a.c", " /usr/lib/cc1 -quiet \"-march=x\" -mno-y --param \"l1-cache-size=32\" -dumpbase null\n")
	f.Fuzz(func(t *testing.T, line, response string) {
		words, ok := compile.Words(line)
		if !ok {
			return
		}
		c, err := compile.Read(words, compile.Setting{Response: func(string) ([]byte, error) { return []byte(response), nil }})
		if err != nil {
			return
		}
		if c.Remote() && !c.Links() && (len(c.Sources) != 1 || len(c.Outputs) == 0 || c.Outputs[0] != c.Output) {
			t.Fatalf("%q goes elsewhere with sources %v and outputs %v", line, c.Sources, c.Outputs)
		}
		c.OwnQuestion()
		c.DependQuestion()
		c.Expand(response)
	})
}

func TestFamiliesOfDrivers(t *testing.T) {
	for name, want := range map[string]compile.Family{
		"gcc": compile.GCC, "/usr/bin/x86_64-linux-gnu-gcc-12": compile.GCC, "cc": 0, "c++": 0, "tcc": 0,
		"clang": compile.Clang, "/usr/lib/llvm-14/bin/clang": compile.Clang, "clang++-14": compile.Clang,
	} {
		if got := compile.FamilyOf(name); got != want {
			t.Errorf("%s is of family %v, want %v", name, got, want)
		}
	}
}
