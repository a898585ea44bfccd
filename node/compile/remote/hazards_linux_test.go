package remote_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/compile/remote"
)

// project has a little of everything.
var project = map[string]string{
	"s/a.c":      "#include <stdio.h>\n#include \"x.h\"\n#include <y.h>\nint f(int n) { printf(\"%s %d\\n\", __FILE__, X); return n + Y; }\n",
	"s/x.h":      "#pragma once\n#define X 1\nstatic inline int unused(int n) { return n; }\n",
	"i/y.h":      "#ifndef Y\n#define Y 2\n#endif\n#if __has_include(\"z.h\")\n#define Z\n#endif\n",
	"i/pre.h":    "#define PRE 3\n",
	"i/mac.h":    "#define MAC 4\n",
	"j/y.h":      "#include_next <y.h>\n#define NEXT 1\n",
	"s/b.cc":     "#include <string>\n#include <vector>\n#include \"x.h\"\nstd::string g(std::vector<int> v) { return std::to_string(v.size() + X); }\n",
	"s/c.S":      "#include \"../i/mac.h\"\n.globl c\nc: .long MAC\n.incbin \"d/blob\"\n",
	"s/d.s":      ".include \"d/i.s\"\n.globl d\nd: .long 1\n",
	"s/warn.c":   "int f(void) { int unused; char *p = 1; return 0; }\n",
	"s/error.c":  "int f(void) { return undeclared; }\n",
	"s/gone.c":   "#include \"nowhere.h\"\nint x;\n",
	"s/date.c":   "char *d = __DATE__ __TIME__;\n",
	"s/stamp.c":  "char *d = __TIMESTAMP__;\n",
	"s/comp.c":   "#define S(x) #x\n#define T(x) S(x)\n#include T(x.h)\nint v = X;\n",
	"s/forced.c": "int v = PRE + MAC;\n",
	"s/bin.c":    "asm(\".section .rodata\\n.incbin \\\"d/blob\\\"\\n\");\n",
	"s/hidden.c": "#define F \"d/blob\"\nasm(\".incbin \\\"\" F \"\\\"\");\n",
	"s/link.c":   "#include <l/y.h>\n#include \"../k/e/up.h\"\nint v = Y;\n",
	"k/up.h":     "#define UP 1\n",
	"k/e":        "-> ../n/m",
	"n/up.h":     "#define OTHER 1\n",
	"n/m/up.h":   "#define UP 2\n",
	"r/l":        "-> ../i",
	"d/blob":     "bytes\n",
	"d/i.s":      ".globl e\ne: .long 2\n",
	"o/keep":     "",
	"ol":         "-> o",
	"args":       "-DFROM=\"a file\" -Ii\n-O2",
	"p.h":        "int x;\n",
}

// What another machine makes of a command, what it says and how it ends is what
// this one makes of it.
func TestCompilesElsewhereAreAsHere(t *testing.T) {
	for name, tc := range map[string]struct {
		command string
		env     string
	}{
		"Debug":               {"gcc -g -O2 -Wall -Ii -c s/a.c -o o/a.o", ""},
		"DebugAsItGoes":       {"gcc -g3 -ggdb -O0 -Ii -c s/a.c -o o/a.o -MD -MF o/a.d", ""},
		"CXX":                 {"g++ -g -O1 -std=c++17 -c s/b.cc -o o/b.o -MD -MT o/b.o -MF o/b.o.d", ""},
		"DepfileOfTheUser":    {"gcc -MMD -MP -MT x -MQ 'a b' -Ii -c s/a.c -o o/a.o", ""},
		"DepfileByWp":         {"gcc -Wp,-MD,o/.a.d -Ii -c s/a.c -o o/a.o", ""},
		"SplitDwarf":          {"gcc -g -gsplit-dwarf -Ii -c s/a.c -o o/a.o", ""},
		"Coverage":            {"gcc --coverage -frandom-seed=7 -Ii -c s/a.c -o o/a.o", ""},
		"ProfileGenerate":     {"gcc -fprofile-generate -frandom-seed=7 -Ii -c s/a.c -o o/a.o", ""},
		"StackUsage":          {"gcc -fstack-usage -Ii -c s/a.c -o o/a.o", ""},
		"Assembly":            {"gcc -S -fverbose-asm -Ii s/a.c -o o/a.s", ""},
		"Pipe":                {"gcc -pipe -Ii -c s/a.c -o o/a.o", ""},
		"NoOutputNamed":       {"gcc -Ii -c s/a.c", ""},
		"Response":            {"gcc @args -g -c s/a.c -o o/a.o", ""},
		"Forced":              {"gcc -include i/pre.h -imacros i/mac.h -g -c s/forced.c -o o/a.o", ""},
		"Next":                {"gcc -Ij -Ii -c s/a.c -o o/a.o -MD", ""},
		"AllKindsOfPaths":     {"gcc -iquote k -isystem j -idirafter i -g -c s/a.c -o o/a.o -MD", ""},
		"Language":            {"gcc -x c++ -Ii -g -c s/a.c -o o/a.o", ""},
		"AssemblerWithCPP":    {"gcc -g -c s/c.S -o o/c.o -MD", ""},
		"Assembler":           {"gcc -g -c s/d.s -o o/d.o", ""},
		"Incbin":              {"gcc -c s/bin.c -o o/a.o", ""},
		"DateOfAnEpoch":       {"gcc -c s/date.c -o o/a.o", "SOURCE_DATE_EPOCH=1000000000"},
		"Warnings":            {"gcc -Wall -Wextra -c s/warn.c -o o/a.o", ""},
		"ColouredWarnings":    {"gcc -Wall -fdiagnostics-color=always -c s/warn.c -o o/a.o", ""},
		"ColouredByUser":      {"gcc -Wall -fdiagnostics-color=always -c s/warn.c -o o/a.o", "GCC_COLORS=warning=01;36"},
		"WarningsInUTF8":      {"gcc -Wall -c s/warn.c -o o/a.o", "LC_ALL=C.UTF-8"},
		"Errors":              {"gcc -c s/error.c -o o/a.o -MD", ""},
		"NoSuchHeader":        {"gcc -c s/gone.c -o o/a.o", ""},
		"MissingDirectory":    {"gcc -Wmissing-include-dirs -Inowhere -Ik -Ii -c s/a.c -o o/a.o", ""},
		"Computed":            {"gcc -g -c s/comp.c -o o/a.o -MD", ""},
		"Links":               {"gcc -g -Ir -c s/link.c -o o/a.o -MD", ""},
		"CPATH":               {"gcc -g -c s/a.c -o o/a.o", "CPATH=j:i"},
		"CIncludePath":        {"gcc -g -c s/a.c -o o/a.o", "C_INCLUDE_PATH=i"},
		"LANG":                {"gcc -Wall -c s/warn.c -o o/a.o", "LANG=C.UTF-8"},
		"LocaleNotThere":      {"gcc -Wall -c s/warn.c -o o/a.o", "LANG=en_US.UTF-8"},
		"Native":              {"gcc -O3 -march=native -Ii -c s/a.c -o o/a.o", ""},
		"NativeWrittenDown":   {"gcc -O3 -g -march=native -Ii -c s/a.c -o o/a.o", ""},
		"LTO":                 {"gcc -O2 -flto -frandom-seed=3 -Ii -c s/a.c -o o/a.o", ""},
		"SwitchesRecorded":    {"gcc -O2 -frecord-gcc-switches -Ii -c s/a.c -o o/a.o", ""},
		"PrefixMap":           {"gcc -g -ffile-prefix-map=s=/src -Ii -c s/a.c -o o/a.o", ""},
		"OutputBehindALink":   {"gcc -g -Ii -c s/a.c -o ol/a.o -MD", ""},
		"OutputThroughDotDot": {"gcc -g -Ii -c s/a.c -o s/../o/a.o", ""},
		"Multilib":            {"gcc -m64 -mavx2 -Ii -g -c s/a.c -o o/a.o", ""},
		"NothingOfItsOwn":     {"gcc -nostdinc -Ii -c s/forced.c -include i/pre.h -include i/mac.h -o o/a.o", ""},
		"AbsoluteCompiler":    {"/usr/bin/gcc -g -Ii -c s/a.c -o o/a.o", ""},
		"ByAnotherName":       {"cc -g -Ii -c s/a.c -o o/a.o", ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, project)
			b.set(tc.env)
			b.compare(tc.command)
		})
	}
}

// set adds variables to the environment, each NAME=VALUE.
func (b *bench) set(env string) {
	if name, value, ok := strings.Cut(env, "="); ok {
		b.env[name] = value
	}
}

// Absolute paths, in arguments and as the working directory's other name.
func TestPlacesAreKept(t *testing.T) {
	b := newBench(t, project)
	b.compare("gcc -g -I" + b.dir + "/i -c " + b.dir + "/s/a.c -o " + b.dir + "/o/a.o -MD")

	other := filepath.Join(filepath.Dir(b.dir), "other")
	b.do(os.Symlink("p", other))
	b.env["PWD"] = other
	b.begin()
	b.compare("gcc -g -Ii -c s/a.c -o o/a.o")
	b.env["PWD"] = "/nowhere"
	b.begin()
	b.compare("gcc -g -Ii -c s/a.c -o o/a.o")
}

// What cannot be run elsewhere says why.
func TestWhatIsOnlyForThisMachineSaysWhy(t *testing.T) {
	for name, tc := range map[string]struct {
		command, env, why string
	}{
		"TimeOfTheBuild":   {"gcc -c s/date.c", "", "__DATE__"},
		"TimeOfAFile":      {"gcc -c s/stamp.c", "SOURCE_DATE_EPOCH=1", "__TIMESTAMP__"},
		"HeaderToCompile":  {"gcc -c p.h", "", "precompiled header"},
		"Precompiled":      {"gcc -include p.h -c s/a.c", "", "precompiled header"},
		"Modules":          {"g++ -std=c++20 -fmodules-ts -c s/b.cc", "", "modules"},
		"Plugin":           {"gcc -fplugin=./x.so -c s/a.c", "", "plugin"},
		"Specs":            {"gcc -specs=x -c s/a.c", "", "specs"},
		"ProfileUse":       {"gcc -fprofile-use -c s/a.c", "", "profiles"},
		"SaveTemps":        {"gcc -save-temps -c s/a.c", "", "on the way"},
		"Stdin":            {"gcc -x c -c -", "", "typed"},
		"Several":          {"gcc -c s/a.c s/forced.c", "", "several sources"},
		"Preprocess":       {"gcc -E s/a.c", "", "preprocesses"},
		"Link":             {"gcc s/a.c", "", "links"},
		"Programs":         {"gcc -Bbin -c s/a.c", "", "programs"},
		"CompilerPath":     {"gcc -c s/a.c", "COMPILER_PATH=/x", "COMPILER_PATH"},
		"ExecPrefix":       {"gcc -c s/a.c", "GCC_EXEC_PREFIX=/x", "GCC_EXEC_PREFIX"},
		"CharacterSet":     {"gcc -c s/a.c", "LC_ALL=de_DE.ISO-8859-1", "character set"},
		"NoFile":           {"gcc -Ii -c s/a.c -o /dev/null", "", "no file"},
		"DepfilePrinted":   {"gcc -MD -MF - -Ii -c s/a.c", "", "what it reads"},
		"MissingHeaders":   {"gcc -MD -MG -c s/gone.c", "", "-MG"},
		"Wrapper":          {"gcc -wrapper time -c s/a.c", "", "another program"},
		"Unheard":          {"gcc -quux -c s/a.c", "", "not known"},
		"HiddenIncbin":     {"gcc -c s/hidden.c", "", "named elsewhere"},
		"NoDirectory":      {"gcc -Ii -c s/a.c -o nowhere/a.o", "", "directory of its output"},
		"OutputIsALink":    {"gcc -Ii -c s/a.c -o ol", "", "is no file"},
		"OwnDirectory":     {"gcc -Ii -I/usr/lib/nowhere/include -c s/a.c", "", "other machines may have"},
		"WritesAmongOwn":   {"gcc -Ii -c s/a.c -o /usr/a.o", "", "machine has its own"},
		"NoSource":         {"gcc -c s/nowhere.c", "", "not there"},
		"MissingResponse":  {"gcc -c s/a.c @nowhere", "", "not known"},
		"AnotherCompiler":  {"bin/gcc -Ii -c s/a.c", "", "not where actions look"},
		"CompilerOfPath":   {"gcc -Ii -c s/a.c", "PATH=$PWD/bin:" + actionPath, "not where actions look"},
		"NoCompilerInPath": {"gcc -Ii -c s/a.c", "PATH=$PWD/s", "nowhere in PATH"},
		"AnotherAssembler": {"gcc -Ii -c s/a.c", "PATH=$PWD/bin:" + actionPath, "PATH has as"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, project)
			b.write("bin/keep", "")
			for _, program := range []string{"gcc", "as"} {
				at, err := exec.LookPath(program)
				b.do(err)
				b.do(os.WriteFile(filepath.Join(b.dir, "bin", program), []byte("#!/bin/sh\nexec "+at+" \"$@\"\n"), 0o755))
			}
			b.set(strings.ReplaceAll(tc.env, "$PWD", b.dir))
			switch name {
			case "AnotherAssembler":
				b.do(os.Remove(filepath.Join(b.dir, "bin/gcc")))
			case "CompilerOfPath":
				b.do(os.Remove(filepath.Join(b.dir, "bin/as")))
			}
			if name == "Precompiled" {
				if out := b.plainly("gcc -c p.h", nil); out.code != 0 {
					t.Skip(out.said)
				}
			}
			p := b.prepare(tc.command)
			if !says(p.Local, tc.why) {
				t.Errorf("%s: %q, want one with %q", tc.command, p.Local, tc.why)
			}
		})
	}
}

// c99-gcc of Debian, by its name, is a driver; it adds arguments of its own.
func TestCompilersThatAreScriptsRunHere(t *testing.T) {
	if _, err := os.Stat("/usr/bin/c99-gcc"); err != nil {
		t.Skip(err)
	}
	p := newBench(t, project).prepare("c99-gcc -Ii -c s/a.c")
	if !says(p.Local, "is a script") {
		t.Errorf("%q", p.Local)
	}
}

func TestOtherCommandsAreNoneOfThis(t *testing.T) {
	b := newBench(t, project)
	for _, command := range []string{"ls -l", "gcc -c s/a.c && touch x", "cd s; gcc -c a.c", "ar rc x.a y.o && touch x", ":", "gcc -c s/a.c && cd s"} {
		if _, err := b.desk.Prepare(b.Context(), b.request(command)); err == nil {
			t.Errorf("%s is a compile", command)
		}
	}
	if _, err := b.desk.Prepare(b.Context(), remote.Request{Argv: []string{"gcc", "-Ii", "-c", "s/a.c"}, Dir: b.dir}); err != nil {
		t.Errorf("without an environment: %v", err)
	}
}
