package intercept_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/intercept"
)

// project is one of make with most of what makefiles do to compilers.
var project = map[string]string{
	"Makefile": `CFLAGS = -O1 -Wall
.PHONY: lib
all: prog lib sub.o quoted.o asm.o text.s
prog: main.o many.o
	$(CC) -o $@ $^
main.o: main.c main.h
many.o: many.c
	cd . && gcc $(CFLAGS) -c -o $@ '-DWORD="a b"' many.c 2>&1 | cat
lib: ; +@$(MAKE) -C lib
sub.o: sub.c
	@echo making $@; /usr/bin/gcc -c sub.c -MD -MF sub.d || exit 9
quoted.o: dir\ with\ space/q.c
	env A=1 nice sh -c 'exec "$$CC" -c "$$0"' 'dir with space/q.c' -o $@ && mv q.o $@
asm.o: asm.S
	$(CC) -c -o $@ $<
text.s: sub.c
	$(CC) -S -o $@ $<
export CC = gcc
fails: bad.o good.o
bad.o good.o: %.o: %.c
	$(CC) -c $<
ignored:
	-$(CC) -c bad.c
	@$(CC) -c good.c
	$(CC) -c nosuch.c; echo status $$?
`,
	"main.c": "#include \"main.h\"\nint main(void) { int unused; return f(); }\n", "main.h": "int f(void);\n", "many.c": "const char *w = WORD;\nint f(void) { return 0; }\n",
	"sub.c": "int sub;\n", "dir with space/q.c": "int q;\n", "asm.S": "#define X 1\n.globl a\na: .long X\n", "bad.c": "int x = ;\n", "good.c": "int g;\nint h(void) { }\n",
	"lib/Makefile": "all: lib.a deeper\nlib.a: a.o b.o ; ar rc $@ $^ && ranlib $@ && ar t $@\na.o b.o: ; ./wrap $(CC) -O2 -c -o $@ $*.c\ndeeper: ; $(MAKE) -C ../deeper OBJ=c.o c.o\n",
	"lib/wrap*":    "#!/bin/sh\n\"$@\"\n", "lib/a.c": "int a;\n", "lib/b.c": "int b;\n",
	"deeper/Makefile": "c.o: c.cc\n\tc++ -std=c++17 -c $< -o $(OBJ)\n", "deeper/c.cc": "int c;\n",
}

// TestMakeIsInterceptedWhole compares a build with plain make: the same compiles,
// as the system's own record of executed programs has them, the same words in the
// same order, the same status, the same files.
func TestMakeIsInterceptedWhole(t *testing.T) {
	for _, c := range []struct {
		goals    []string
		compiles int
	}{
		{[]string{"all"}, 12},
		{[]string{"fails"}, 1},
		{[]string{"-k", "fails"}, 2},
		{[]string{"ignored"}, 3},
		{[]string{"-j4", "-Otarget", "all"}, 12},
		{[]string{"-n", "all"}, 0},
	} {
		argv := append([]string{"make"}, c.goals...)
		t.Run(strings.Join(argv, " "), func(t *testing.T) {
			plain := projectAt(t)
			want, words, status := traced(t, plain, argv)
			if len(want) != c.compiles {
				t.Errorf("plain make compiled %d, not %d: %q", len(want), c.compiles, want)
			}
			for _, where := range []string{"here", "elsewhere"} {
				dir := projectAt(t)
				f := newFake(t, func(a asked) string {
					if where == "here" {
						return local
					}
					return compileFor(t, a)
				})
				got, gotStatus := together(t, dir, f, argv)
				if gotStatus != status || got != words && !slices.Contains(argv, "-j4") {
					t.Errorf("%s: status %d and\n%s\nplain make has %d and\n%s", where, gotStatus, got, status, words)
				}
				if slices.Compare(sortedLines(got), sortedLines(words)) != 0 {
					t.Errorf("%s: other words than plain make:\n%s\nwant\n%s", where, got, words)
				}
				if heard := f.lines(); !slices.Equal(heard, want) {
					t.Errorf("%s: the node heard\n%s\nplain make executed\n%s", where, strings.Join(heard, "\n"), strings.Join(want, "\n"))
				}
				if where == "here" {
					f.count(t, len(want))
				}
				sameFiles(t, plain, dir)
			}
		})
	}
}

// The place of a project is part of what compilers write; all builds have the same.
func projectAt(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "project")
	write(t, dir, project)
	return dir
}

func sortedLines(text string) []string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return lines
}

// makeEnv is that of all builds of the project.
func makeEnv() []string { return []string{"PATH=/usr/bin:/bin", "LC_ALL=C"} }

// together runs a build with both streams in one file.
func together(t *testing.T, dir string, f *fakeNode, argv []string) (words string, status int) {
	t.Helper()
	k := theKit(t)
	program, args := k.Command(argv)
	c := exec.CommandContext(t.Context(), program, args[1:]...)
	c.Env = k.Environ(makeEnv(), intercept.Invocation{Socket: f.socket, ID: invocation})
	return collected(t, dir, c)
}

func collected(t *testing.T, dir string, c *exec.Cmd) (words string, status int) {
	t.Helper()
	c.Dir = dir
	out, err := c.CombinedOutput()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(out), dir, "DIR"), c.ProcessState.ExitCode()
}

// executed matches a successful execve in the record of strace, and text the
// strings in it.
var (
	executed = regexp.MustCompile(`^execve\("([^"]*)", \[(.*)\], 0x[0-9a-f]+ /\* \d+ vars \*/\) += 0$`)
	text     = regexp.MustCompile(`"((?:[^"\\]|\\.)*)"`)
)

// traced runs a build below strace, and returns the compiles that were executed.
func traced(t *testing.T, dir string, argv []string) (compiles []string, words string, status int) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatalf("%v; run .ci/deps --tests", err)
	}
	record := t.TempDir()
	args := append([]string{"-ff", "-qq", "-s", "100000", "-e", "trace=execve", "-o", filepath.Join(record, "pid"), "--"}, argv...)
	c := exec.CommandContext(t.Context(), "strace", args...)
	c.Env = makeEnv()
	words, status = collected(t, dir, c)
	entries, err := os.ReadDir(record)
	if err != nil || len(entries) == 0 {
		t.Fatalf("strace recorded nothing: %v\n%s", err, words)
	}
	for _, e := range entries {
		all, err := os.ReadFile(filepath.Join(record, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(all)) {
			m := executed.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
			if m == nil || !intercept.IsTool(filepath.Base(m[1])) {
				continue
			}
			var args []string
			for _, s := range text.FindAllStringSubmatch(m[2], -1) {
				args = append(args, strings.ReplaceAll(s[1], `\"`, `"`))
			}
			if asksFor(filepath.Base(m[1]), args[1:]) {
				compiles = append(compiles, strings.Join(append([]string{m[1]}, args[1:]...), " "))
			}
		}
	}
	slices.Sort(compiles)
	return compiles, words, status
}

// asksFor reports whether a command of the project is one for the node.
func asksFor(tool string, args []string) bool {
	switch tool {
	case "ar":
		return args[0] == "rc"
	case "ranlib":
		return true
	}
	links := slices.ContainsFunc(args, func(a string) bool { return strings.HasSuffix(a, ".o") })
	return slices.Contains(args, "-c") || slices.Contains(args, "-S") || links
}

// compileFor runs a command as another machine would, and answers with what came
// of it.
func compileFor(t *testing.T, a asked) string {
	c := exec.CommandContext(t.Context(), a.argv[0], a.argv[1:]...)
	var said bytes.Buffer
	c.Dir, c.Env, c.Stdout, c.Stderr = a.dir, a.env, &said, &said
	_ = c.Run() // the status says it
	return head + "exit " + strconv.Itoa(c.ProcessState.ExitCode()) + "\n" + said.String()
}

// sameFiles compares what two builds have made.
func sameFiles(t *testing.T, want, got string) {
	t.Helper()
	tree := func(root string) map[string]string {
		files := map[string]string{}
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			rel, _ := filepath.Rel(root, path)
			files[rel] = string(content)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	a, b := tree(want), tree(got)
	for name := range a {
		if content, ok := b[name]; !ok || content != a[name] {
			t.Errorf("%s is not what plain make makes (it is there: %v)", name, ok)
		}
	}
	if len(a) != len(b) {
		t.Errorf("%d files, plain make makes %d", len(b), len(a))
	}
}
