package disk

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/compile/include"
)

func relative(t *testing.T, dir string, paths []string) string {
	t.Helper()
	var out []string
	for _, p := range paths {
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, rel)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// Each hazard is handled, asked the compiler about, or left to this machine
// with a reason; what is handled is what the compiler reads.
func TestHazards(t *testing.T) {
	for name, tc := range map[string]struct {
		files   map[string]string
		command string
		rung    Rung
		says    string // the files, or a piece of why
	}{
		"NameInAMacroCall":       {map[string]string{"a.c": "#define S(x) #x\n#define T(x) S(x)\n#include T(x.h)\n", "x.h": ""}, "gcc -c a.c", Asked, "a.c x.h"},
		"AskedAboutWhatIsBehind": {map[string]string{"a.c": "#define S(x) #x\n#include S(x.h)\n", "x.h": "#if __has_include(\"y.h\")\n#endif\n", "y.h": ""}, "gcc -c a.c", Asked, "a.c x.h y.h"},
		"NameThatIsNotThere":     {map[string]string{"a.c": "#define S(x) #x\n#include S(x.h)\n"}, "gcc -c a.c", Unknown, "x.h"},
		"OwnName":                {map[string]string{"s/a.c": "#ifndef A\n#define A\n#include __FILE__\n#endif\n"}, "gcc -I. -c s/a.c", Asked, "s/a.c"},
		"Trigraphs":              {map[string]string{"a.c": "??=include \"x.h\"\n", "x.h": ""}, "gcc -std=c99 -c a.c", Asked, "a.c x.h"},
		"TrigraphsIgnored":       {map[string]string{"a.c": "//??=include \"x.h\"\n", "x.h": ""}, "gcc -c a.c", Scanned, "a.c"},
		"Incbin":                 {map[string]string{"a.c": `asm(".section .rodata\n.incbin \"d/x.bin\"\n");`, "d/x.bin": "x"}, "gcc -c a.c", Scanned, "a.c d/x.bin"},
		"IncbinOnThePath":        {map[string]string{"a.c": `asm(".incbin \"x.bin\"\n");`, "d/x.bin": "x"}, "gcc -Id -c a.c", Scanned, "a.c d/x.bin"},
		"IncbinThroughMacro":     {map[string]string{"a.c": "#define F \"x.bin\"\nasm(\".incbin \\\"\" F \"\\\"\");\n", "x.bin": "x"}, "gcc -c a.c", Unknown, "named elsewhere"},
		"Assembler":              {map[string]string{"a.s": ".include \"i.s\"\n", "d/i.s": ".incbin \"x.bin\"\n", "d/x.bin": "x"}, "gcc -Id -c a.s", Scanned, "a.s d/i.s d/x.bin"},
		"AssemblerPreprocessed":  {map[string]string{"a.S": "#include \"i.h\"\n.incbin \"x.bin\"\n# it isn't a directive\n", "i.h": "", "x.bin": "x"}, "gcc -c a.S", Scanned, "a.S i.h x.bin"},
		"PreprocessedSource":     {map[string]string{"a.i": "# 1 \"a.c\"\n# 1 \"gone.h\" 1\nint x;\n"}, "gcc -c a.i", Scanned, "a.i"},
		"ByTheEnvironment":       {map[string]string{"a.c": "#include <x.h>\n", "d/x.h": ""}, "gcc -isystem d -c a.c", Scanned, "a.c d/x.h"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := written(t, tc.files)
			argv := strings.Fields(tc.command)
			a := of(t, inputs(), command(t, argv...), dir)
			if a.Rung != tc.rung {
				t.Fatalf("rung %d (%s), want %d", a.Rung, a.Why, tc.rung)
			}
			if a.Rung == Unknown {
				if !strings.Contains(a.Why, tc.says) {
					t.Errorf("why: %s, want %s", a.Why, tc.says)
				}
				return
			}
			if got := relative(t, dir, a.Files); got != tc.says {
				t.Errorf("files %s, want %s", got, tc.says)
			}
			if _, err := run(dir, argv...); err != nil {
				t.Errorf("it does not compile: %v", err)
			}
		})
	}
}

func TestPrecompiledHeadersAreSeen(t *testing.T) {
	dir := written(t, map[string]string{"a.c": "#include \"x.h\"\nint f(void) { return X; }\n", "x.h": "#define X 1\n"})
	in := inputs()
	c := command(t, "gcc", "-c", "a.c")
	if a := of(t, in, c, dir); a.Rung != Scanned {
		t.Fatalf("before there is one: %s", a.Why)
	}
	if _, err := run(dir, "gcc", "-c", "x.h"); err != nil {
		t.Skip(err)
	}
	if a := of(t, in, c, dir); a.Rung != Unknown || !strings.Contains(a.Why, "precompiled") {
		t.Errorf("rung %d: %s", a.Rung, a.Why)
	}
}

// A header that appears earlier on the path is seen in the next build, which
// ninja's deps log and ccache's manifests miss.
func TestHeaderThatAppearsEarlierIsTaken(t *testing.T) {
	dir := written(t, map[string]string{"a.c": "#include <x.h>\n", "i/k": "", "j/x.h": ""})
	in := inputs()
	c := command(t, "gcc", "-Ii", "-Ij", "-c", "a.c")
	before := of(t, in, c, dir)
	if got := relative(t, dir, before.Files); got != "a.c j/x.h" || !slices.Contains(before.Absent, filepath.Join(dir, "i/x.h")) {
		t.Fatalf("%s, absent %v", got, before.Absent)
	}
	if err := os.WriteFile(filepath.Join(dir, "i/x.h"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := relative(t, dir, of(t, in, c, dir).Files); got != "a.c i/x.h" {
		t.Errorf("%s", got)
	}
}

func TestClocks(t *testing.T) {
	for content, want := range map[string]include.Clock{"int x;": include.NoClock, "char *x = __DATE__;": include.ClockOfBuild, "char *x = __TIMESTAMP__;": include.ClockOfFile} {
		dir := written(t, map[string]string{"a.c": content})
		if a := of(t, inputs(), command(t, "gcc", "-c", "a.c"), dir); a.Clock != want {
			t.Errorf("%s: %d, want %d", content, a.Clock, want)
		}
	}
}

// A directory with more names than are kept is looked into name by name.
func TestDirectoryOfManyNames(t *testing.T) {
	dir := written(t, map[string]string{"a.c": "#include \"x.h\"\n", "y/x.h": ""})
	for i := range 2100 {
		if err := os.WriteFile(filepath.Join(dir, "f"+strings.Repeat("x", i%7)+string(rune('a'+i%26))+strings.Repeat("y", i/26)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	in := inputs()
	c := command(t, "gcc", "-Iy", "-c", "a.c")
	if got := relative(t, dir, of(t, in, c, dir).Files); got != "a.c y/x.h" {
		t.Errorf("%s", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "x.h"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := relative(t, dir, of(t, in, c, dir).Files); got != "a.c x.h" {
		t.Errorf("%s", got)
	}
}

func TestCompilerThatIsNotThere(t *testing.T) {
	dir := written(t, map[string]string{"a.c": "", "bin/ccache": ""})
	if err := os.Symlink("ccache", filepath.Join(dir, "bin/gcc")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"no-such-gcc", "/no/such/gcc", "./gcc", "bin/gcc"} {
		if a := of(t, inputs(), command(t, name, "-c", "a.c"), dir); a.Rung != Unknown || a.Why == "" {
			t.Errorf("%s: rung %d: %s", name, a.Rung, a.Why)
		}
	}
}
