package terms

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/buildnet/buildnet/node/compile"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

// caseOf is a command in /p that reads /p/a.c and stdio.h.
func caseOf(t *testing.T, command string, env map[string]string) *Case {
	t.Helper()
	c, err := compile.Read(strings.Fields(command), compile.Setting{Getenv: func(name string) (string, bool) { v, ok := env[name]; return v, ok }})
	if err != nil {
		t.Fatal(err)
	}
	k := &Case{
		Command: c, Dir: "/p", Bound: []string{"/usr", "/lib", "/usr/lib"}, Own: []string{"/usr/include", "/usr/lib/gcc/12/include"},
		Answer: compile.Answer{
			Rung: compile.Scanned, Program: "/usr/bin/gcc", Own: []string{"/usr/lib/gcc/12/include", "/usr/include"},
			Reads: compile.Reads{Files: []string{"/p/a.c"}, System: []string{"/usr/include/stdio.h"}, Dirs: []string{"/p"}},
		},
	}
	for _, o := range c.Outputs {
		k.Outputs = append(k.Outputs, "/p/"+o)
	}
	return k
}

func TestTerms(t *testing.T) {
	for name, tc := range map[string]struct {
		command string
		env     map[string]string
		change  func(*Case)
		argv    string
		want    Terms
	}{
		"Plain": {"gcc -g -c a.c -o o/a.o -MD", nil, nil, "/usr/bin/gcc -g -c a.c -o o/a.o -MD",
			Terms{Dir: "p", Outputs: []string{"p/o/a.d", "p/o/a.o"}, Spec: "cc:gcc"}},
		"Environment": {"gcc -c a.c", map[string]string{"PWD": "/p", "LANG": "C", "TZ": "UTC", "TMPDIR": "/x", "HOME": "/y"}, nil, "/usr/bin/gcc -c a.c",
			Terms{Env: []action.Property{{Name: "TZ", Value: "UTC"}}, Dir: "p", Outputs: []string{"p/a.o"}, Spec: "cc:gcc"}},
		"OtherNameOfTheDirectory": {"gcc -c a.c", map[string]string{"PWD": "/q"}, func(k *Case) { k.PWD = "/q" }, "/usr/bin/gcc -c a.c",
			Terms{Env: []action.Property{{Name: "PWD", Value: "/q"}}, Dir: "p", Outputs: []string{"p/a.o"}, Spec: "cc:gcc"}},
		"Terminal": {"gcc -c a.c", nil, func(k *Case) { k.Terminal = true }, "/usr/bin/gcc -fdiagnostics-color=always -c a.c",
			Terms{Dir: "p", Outputs: []string{"p/a.o"}, Spec: "cc:gcc"}},
		"TerminalAndColours": {"gcc -fdiagnostics-color=never -c a.c", nil, func(k *Case) { k.Terminal = true }, "/usr/bin/gcc -fdiagnostics-color=never -c a.c",
			Terms{Dir: "p", Outputs: []string{"p/a.o"}, Spec: "cc:gcc"}},
		"Native": {"gcc -march=native -c a.c", nil, func(k *Case) { k.Native = ` /usr/libexec/cc1 -quiet -march=haswell -mavx2 x.c` }, "/usr/bin/gcc -march=haswell -mavx2 -c a.c",
			Terms{Dir: "p", Outputs: []string{"p/a.o"}, Spec: "cc:gcc"}},
		"NativeWrittenDown": {"gcc -g -march=native -c a.c", nil, func(k *Case) { k.Native = ` /usr/libexec/cc1 -quiet -march=haswell x.c` }, "/usr/bin/gcc -g -march=native -c a.c",
			Terms{Dir: "p", Outputs: []string{"p/a.o"}, Spec: "cc+native:gcc"}},
		"FurtherDirectories": {"gcc -I/usr/lib/glib/include -I/usr/lib/glib -I/usr/include/x -Ii -c a.c", nil, func(k *Case) {
			k.Answer.System = append(k.Answer.System, "/usr/lib/glib/include/g.h", "/usr/share/s/s.h", "/usr/include/x/x.h")
			k.Answer.Absent = []string{"/usr/lib/glib/stdio.h", "/usr/include/x/stdio.h", "/p/i/stdio.h"}
		}, "/usr/bin/gcc -I/usr/lib/glib/include -I/usr/lib/glib -I/usr/include/x -Ii -c a.c",
			Terms{Dir: "p", Outputs: []string{"p/a.o"}, Spec: "cc:gcc", Dirs: "/usr/lib/glib:/usr/share/s"}},
		"AnotherTarget": {"gcc -m32 -c a.c", nil, nil, "/usr/bin/gcc -m32 -c a.c",
			Terms{Dir: "p", Outputs: []string{"p/a.o"}, Spec: "cc:gcc", Dirs: "/usr/include:/usr/lib/gcc/12/include"}},
	} {
		t.Run(name, func(t *testing.T) {
			k := caseOf(t, tc.command, tc.env)
			if tc.change != nil {
				tc.change(k)
			}
			got, reasons := Of(k)
			if len(reasons) > 0 {
				t.Fatalf("only here: %v", reasons)
			}
			tc.want.Argv = strings.Fields(tc.argv)
			if d := cmp.Diff(&tc.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestLocalesTravelAsWhatTheyMean(t *testing.T) {
	for _, tc := range []struct {
		env  string
		has  bool // en_US.utf8
		want string
	}{
		{"", true, ""},
		{"LANG=C", true, ""},
		{"LANG=POSIX LANGUAGE=de", true, ""},
		{"LANG=C.UTF-8", true, "LC_ALL=C.UTF-8"},
		{"LANG=en_US.UTF-8", true, "LC_ALL=C.UTF-8"},
		{"LANG=en_US.UTF-8 LANGUAGE=en_US:en", true, "LC_ALL=C.UTF-8"},
		{"LANG=en_US.UTF-8", false, ""},
		{"LANG=en_US.UTF-8 LANGUAGE=de", false, ""},
		{"LANG=en_US.UTF-8 LANGUAGE=de:en", true, "LANG=en_US.UTF-8 LANGUAGE=de:en"},
		{"LANG=de_DE.UTF-8", true, "LANG=de_DE.UTF-8"},
		{"LANG=de_DE.UTF-8 LC_ALL=C", true, ""},
		{"LANG=en_US.UTF-8 LC_MESSAGES=de_DE.UTF-8", true, "LANG=en_US.UTF-8 LC_MESSAGES=de_DE.UTF-8"},
		{"LANG=en_US.UTF-8 LC_CTYPE=C", true, ""},
		{"LANG=en_US", true, "LANG=en_US"},
		{"LANG=en_GB.UTF-8", true, "LANG=en_GB.UTF-8"},
		{"LANG=en_US.UTF-8 TZ=UTC", true, "LC_ALL=C.UTF-8 TZ=UTC"},
	} {
		env := map[string]string{}
		for _, v := range strings.Fields(tc.env) {
			name, value, _ := strings.Cut(v, "=")
			env[name] = value
		}
		k := caseOf(t, "gcc -c a.c", env)
		k.Installed = func(locale string) bool { return tc.has && locale == "en_US.utf8" }
		terms, reasons := Of(k)
		if len(reasons) > 0 {
			t.Fatal(reasons)
		}
		var got []string
		for _, p := range terms.Env {
			got = append(got, p.Name+"="+p.Value)
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: %v, want %s", tc.env, got, tc.want)
		}
	}
}

func TestReasons(t *testing.T) {
	for name, tc := range map[string]struct {
		command string
		change  func(*Case)
		why     string
	}{
		"OfTheCommand":       {"gcc -E a.c", nil, "preprocesses"},
		"Unknown":            {"gcc -c a.c", func(k *Case) { k.Answer.Rung, k.Answer.Why = compile.Unknown, "nobody knows" }, "nobody knows"},
		"Doubt":              {"gcc -c a.c", func(k *Case) { k.Answer.Doubt = &compile.Doubt{Why: "it doubts"} }, "it doubts"},
		"Coming":             {"gcc -c a.c", func(k *Case) { k.Answer.Coming = []string{"/p/gen.h"} }, "/p/gen.h is yet to be made"},
		"Clock":              {"gcc -c a.c", func(k *Case) { k.Answer.Clock = compile.ClockOfBuild }, "SOURCE_DATE_EPOCH"},
		"ClockOfClang":       {"clang -c a.c", func(k *Case) { k.Answer.Clock = compile.ClockOfBuild }, "time of the build"},
		"ClockOfFile":        {"gcc -c a.c", func(k *Case) { k.Answer.Clock = compile.ClockOfFile }, "__TIMESTAMP__"},
		"WorksInBound":       {"gcc -c a.c", func(k *Case) { k.Dir = "/usr/src" }, "/usr, of which each machine has its own"},
		"WritesInBound":      {"gcc -c a.c", func(k *Case) { k.Outputs[0] = "/lib/a.o" }, "/lib, of which each machine has its own"},
		"WritesInRoot":       {"gcc -c a.c", func(k *Case) { k.Outputs[0] = "/a.o" }, "each machine has its own"},
		"ReadsADevice":       {"gcc -c a.c", func(k *Case) { k.Answer.Files = append(k.Answer.Files, "/dev/shm/x.h") }, "no ordinary file"},
		"ReadsUsers":         {"gcc -c a.c", func(k *Case) { k.Answer.Files = append(k.Answer.Files, "/etc/passwd") }, "no ordinary file"},
		"ReadsWhatItWrites":  {"gcc -c a.c", func(k *Case) { k.Outputs[0] = "/p/a.c" }, "which it writes"},
		"OwnHeadersAtHome":   {"gcc -c a.c", func(k *Case) { k.Answer.Own = append(k.Answer.Own, "/home/u/gcc/include") }, "/home/u/gcc/include"},
		"AbsentInBound":      {"gcc -c a.c", func(k *Case) { k.Answer.Absent = []string{"/usr/share/x.h"} }, "other machines may have"},
		"AllOfBound":         {"gcc -I/usr -c a.c", nil, "looks for headers in /usr"},
		"AssemblerOfClang":   {"clang -fno-integrated-as -c a.c", nil, "assembler"},
		"ArgumentsOfBytes":   {"gcc -DX=\xff -c a.c", nil, "UTF-8"},
		"NamesOfBytes":       {"gcc -c a.c", func(k *Case) { k.Answer.Files = append(k.Answer.Files, "/p/\xff.h") }, "UTF-8"},
		"OutputsOfTwoLines":  {"gcc -c a.c", func(k *Case) { k.Outputs[0] = "/p/a\nb.o" }, "cannot be called"},
		"DirectoryOfTwo":     {"gcc -c a.c", func(k *Case) { k.Dir = "/p\nq" }, "cannot be called"},
		"ManyArguments":      {"gcc -c a.c" + strings.Repeat(" -DX", maxArgs), nil, "arguments"},
		"LinkWithOtherBytes": {"gcc -c a.c", func(k *Case) { k.Answer.Links = []compile.Reference{{Path: "/p/l", Target: "\xff"}} }, "UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			k := caseOf(t, tc.command, nil)
			if tc.change != nil {
				tc.change(k)
			}
			got, reasons := Of(k)
			if got != nil || !slices.ContainsFunc(reasons, func(r string) bool { return strings.Contains(r, tc.why) }) {
				t.Errorf("%v, %q; want %q", got, reasons, tc.why)
			}
		})
	}
}

func TestStepsAreValid(t *testing.T) {
	terms, reasons := Of(caseOf(t, "gcc -I/usr/lib/x -g -c a.c -MD", map[string]string{"LANG": "C", "GCC_COLORS": "x"}))
	if len(reasons) > 0 {
		t.Fatal(reasons)
	}
	s := terms.Step("a.o", digest.Of(digest.BLAKE3, nil), "chain", time.Minute)
	if _, err := action.NewGraph([]action.Step{s}); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{
		action.PropertyRoot: action.RootAbsolute, action.PropertyToolchain: "chain", action.PropertyToolchainSpec: "cc:gcc", action.PropertyToolchainDirs: "/usr/lib/x",
	} {
		if got, _ := s.Property(name); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
}

func TestSuspect(t *testing.T) {
	here := func(name, from string) bool {
		return name == "x.h" && (from == "" || from == "a.c") || name == "d/x.bin"
	}
	failed := action.Result{ExitCode: 1}
	for name, tc := range map[string]struct {
		r    action.Result
		said string
		env  map[string]string
		why  string // "" is for one that is believed
	}{
		"Good":              {r: action.Result{}},
		"Warnings":          {said: "a.c:1:2: warning: unused variable 'x'\n"},
		"Errors":            {r: failed, said: "a.c:1:2: error: 'x.h' undeclared\n"},
		"GCC":               {r: failed, said: "a.c:1:10: fatal error: x.h: No such file or directory\n    1 | #include \"x.h\"\n", why: "x.h"},
		"GCCElsewhere":      {r: failed, said: "a.c:1:10: fatal error: y.h: No such file or directory\ncompilation terminated.\n"},
		"GCCColours":        {r: failed, said: "\x1b[01m\x1b[Ka.c:1:10:\x1b[m\x1b[K \x1b[01;31m\x1b[Kfatal error: \x1b[m\x1b[Kx.h: No such file or directory\n", why: "x.h"},
		"Clang":             {r: failed, said: "a.c:1:10: fatal error: 'x.h' file not found\n", why: "x.h"},
		"ClangElsewhere":    {r: failed, said: "a.c:1:10: fatal error: 'y.h' file not found\n"},
		"Assembler":         {r: failed, said: "a.s: Assembler messages:\na.s:1: Error: file not found: d/x.bin\n", why: "d/x.bin"},
		"AssemblersOwn":     {r: failed, said: "a.s:1: Error: can't open d/x.bin for reading: No such file or directory\n", why: "d/x.bin"},
		"AssemblerGone":     {r: failed, said: "a.s:1: Error: can't open d/y.bin for reading: No such file or directory\n"},
		"CC1":               {r: failed, said: "cc1: fatal error: x.h: No such file or directory\n", why: "x.h"},
		"NoName":            {r: failed, said: "error: cannot open\n", why: "a file"},
		"SourceSaysSo":      {said: "a.c:1:2: warning: unused\n    1 | puts(\"x.h: no such file\");\n      |      ^~~ not found\n"},
		"Signal":            {r: action.Result{ExitCode: 139}, why: "signal"},
		"Message":           {r: action.Result{ExitCode: 1, Message: "it took too long"}, why: "too long"},
		"Broken":            {r: failed, said: "a.c:1: internal compiler error: Segmentation fault\n", why: "internal compiler error"},
		"NoMemory":          {r: failed, said: "cc1: out of memory allocating 65536 bytes\n", why: "out of memory"},
		"Disk":              {r: failed, said: "/tmp/cc.s: No space left on device\n", why: "No space left"},
		"German":            {r: failed, said: "a.c:1: Fehler\n", env: map[string]string{"LANG": "de_DE.UTF-8"}, why: "another language"},
		"English":           {r: failed, said: "a.c:1: error\n", env: map[string]string{"LANG": "en_US.UTF-8"}},
		"GermanOfLanguage":  {r: failed, said: "a.c:1: Fehler\n", env: map[string]string{"LANG": "en_US.UTF-8", "LANGUAGE": "de:en"}, why: "another language"},
		"PlainOverLanguage": {r: failed, said: "a.c:1: error\n", env: map[string]string{"LC_ALL": "C", "LANGUAGE": "de"}},
	} {
		t.Run(name, func(t *testing.T) {
			k := caseOf(t, "gcc -c a.c", tc.env)
			got := Suspect(k.Command, &tc.r, []byte(tc.said), here)
			if (tc.why == "") != (got == "") || !strings.Contains(got, tc.why) {
				t.Errorf("%q, want %q", got, tc.why)
			}
		})
	}
}

func FuzzSuspect(f *testing.F) {
	f.Add("a.c:1:10: fatal error: x.h: No such file or directory\n")
	f.Add("\x1b]8;;http\x1b\\x\x1b]8;;\x1b\\: 'not found'")
	c, err := compile.Read([]string{"gcc", "-c", "a.c"}, compile.Setting{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(_ *testing.T, said string) {
		Suspect(c, &action.Result{ExitCode: 1}, []byte(said), func(string, string) bool { return false })
	})
}
