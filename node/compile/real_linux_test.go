package compile_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/buildnet/buildnet/node/compile"
)

// compiler returns a driver of this machine, or skips.
func compiler(t *testing.T, name string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skip(err)
	}
	return name
}

// compiled runs a command in a directory, and returns what it prints.
func compiled(t *testing.T, dir string, argv ...string) string {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", argv, err, out)
	}
	return string(out)
}

// tree is a directory with a source in it.
func tree(t *testing.T) string {
	dir := t.TempDir()
	for p, content := range map[string]string{"s/a.c": "int f(int x) { return x / 3; }\n", "s/b.cc": "int g() { return 1; }\n", "s/c.S": ".globl c\nc: ret\n", "o/k": "", "d.x/k": ""} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(p)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, p), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func namesIn(t *testing.T, dir string) []string {
	var names []string
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, p)
			names = append(names, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// A command makes the files that are said, and no others.
func TestOutputsAreWhatTheCompilerMakes(t *testing.T) {
	for _, line := range []string{
		"-c s/a.c", "-c s/a.c -o o/x.o", "-c s/a.c -o o/x", "-c s/a.c -o d.x/y", "-S s/a.c", "-S -o o/x.s s/a.c", "-c s/c.S -MD", "-c -x c++ s/a.c",
		"-c s/a.c -MD", "-c s/a.c -o o/x.c.o -MD", "-c s/a.c -o o/x -MMD", "-c s/a.c -o o/x.o -MD -MF o/dep", "-c s/a.c -MFx.d -MMD -MP -MT q", "-c s/a.c -o o/x.o -Wp,-MD,o/.x.d",
		"-S s/a.c -MD -o o/x.s", "-c s/a.c --coverage", "-c s/a.c -o o/x.o --coverage", "-c s/a.c -o o/x.c.o -ftest-coverage -fprofile-arcs", "-g -gsplit-dwarf -c s/a.c -o o/x.o",
		"-c -fstack-usage s/a.c -o o/x.c.o -MD", "-fprofile-generate -c s/a.c", "-c -flto s/a.c", "-pipe -c s/b.cc -o o/b.o", "-fcallgraph-info -c s/a.c -o o/x.o",
	} {
		for _, driver := range []string{"gcc", "clang"} {
			t.Run(driver+" "+line, func(t *testing.T) {
				compiler(t, driver)
				if driver == "clang" && strings.Contains(line, "callgraph") {
					t.Skip("it has no such flag")
				}
				dir := tree(t)
				before := namesIn(t, dir)
				argv := append([]string{driver}, strings.Fields(line)...)
				c, err := compile.Read(argv, compile.Setting{})
				if err != nil || !c.Remote() {
					t.Fatal(err, c.Local)
				}
				compiled(t, dir, argv...)
				var made []string
				for _, n := range namesIn(t, dir) {
					if !slices.Contains(before, n) {
						made = append(made, n)
					}
				}
				if diff := cmp.Diff(made, slices.Sorted(slices.Values(c.Outputs))); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// What stands for this machine, spelled out, makes the same bytes.
func TestExpandedArgumentsMakeTheSameObject(t *testing.T) {
	compiler(t, "gcc")
	for _, flags := range []string{"-march=native", "-mtune=native -O2", "-O2 -march=native -mno-avx", "-mavx -march=native -mtune=native"} {
		dir := tree(t)
		argv := append(append([]string{"gcc"}, strings.Fields(flags)...), "-c", "s/a.c", "-o", "x.o")
		c, err := compile.Read(argv, compile.Setting{})
		if err != nil || len(c.Native) == 0 {
			t.Fatal(err, c)
		}
		question := c.NativeQuestion()
		args, ok := c.Expand(compiled(t, dir, question...))
		if !ok {
			t.Fatalf("%s: gcc does not say what that is", flags)
		}
		compiled(t, dir, argv...)
		want, err := os.ReadFile(filepath.Join(dir, "x.o"))
		if err != nil {
			t.Fatal(err)
		}
		compiled(t, dir, append([]string{"gcc"}, args...)...)
		got, err := os.ReadFile(filepath.Join(dir, "x.o"))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is another object than %v", flags, args)
		}
		c, err = compile.Read(append(argv, "-g"), compile.Setting{})
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := c.Expand(compiled(t, dir, question...)); ok {
			t.Errorf("%s -g: DW_AT_producer has them in another order", flags)
		}
	}
}

// The arguments of a response file make what the file makes.
func TestResponseFilesReadAsTheCompilerReadsThem(t *testing.T) {
	compiler(t, "gcc")
	dir := tree(t)
	for _, content := range []string{`-DX='a b' "-DY=\"q\"" -DZ=c\ d -DV=\\w`, "-DX=1\n\t-DY='\"'\r\n-DZ=\\'", "'-DX=a\\'b' -D\"Y=\\$\"", "-DX=a'b'c\"d\""} {
		if err := os.WriteFile(filepath.Join(dir, "x.rsp"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		from := []string{"gcc", "-E", "-dM", "@x.rsp", "-x", "c", "/dev/null"}
		c, err := compile.Read(from, compile.Setting{Response: func(p string) ([]byte, error) { return os.ReadFile(filepath.Join(dir, p)) }})
		if err != nil {
			t.Fatal(err)
		}
		if want, got := compiled(t, dir, from...), compiled(t, dir, append([]string{"gcc"}, c.Args...)...); got != want {
			t.Errorf("%s: %q", content, c.Args)
		}
	}
}

// What is not said to be drawn from the clock is the same each time.
func TestObjectsAreTheSameEachTime(t *testing.T) {
	compiler(t, "gcc")
	for _, flags := range []string{"", "-g", "-g -gsplit-dwarf", "-O2 -fstack-usage", "--coverage -frandom-seed=x", "-flto -frandom-seed=x", "--coverage", "-flto", "-fprofile-generate", "-ftest-coverage -fprofile-arcs"} {
		dir := tree(t)
		argv := append(append([]string{"gcc"}, strings.Fields(flags)...), "-c", "s/a.c", "-o", "o/x.o")
		c, err := compile.Read(argv, compile.Setting{})
		if err != nil {
			t.Fatal(err)
		}
		same := true
		var first [][]byte
		for try := range 2 {
			compiled(t, dir, argv...)
			for i, o := range c.Outputs {
				content, err := os.ReadFile(filepath.Join(dir, o))
				if err != nil {
					t.Fatal(err)
				}
				if try == 0 {
					first = append(first, content)
				} else {
					same = same && bytes.Equal(first[i], content)
				}
			}
		}
		if same == c.Random {
			t.Errorf("%s: the same twice: %v, and said to be drawn: %v", flags, same, c.Random)
		}
	}
}
