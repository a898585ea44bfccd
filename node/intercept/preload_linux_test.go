package intercept_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/compile"
	"github.com/buildnet/buildnet/node/compile/remote/archive"
	"github.com/buildnet/buildnet/node/intercept"
)

// variants are the ways to execute a program; byName are those that look in PATH.
var (
	byPath = []string{"execv", "execve", "vfork", "execl", "execle", "posix_spawn"}
	byName = []string{"execvp", "execvpe", "execlp", "posix_spawnp", "system", "popen"}
)

// bench is a directory with bin/gcc, which is a program that says that it ran
// here with status 5, and others that tests need.
func bench(t *testing.T) (dir string, env []string) {
	t.Helper()
	dir = t.TempDir()
	testdata, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string]string{
		"here.c":  "#include <stdio.h>\nint main(int n, char **v) { while (n--) printf(\"%s \", *v++); puts(\"here\"); return 5; }",
		"exec.c":  "#include <unistd.h>\nint main(int n, char **v) { execvp(v[1], v + 1); return 9; }",
		"bin/.in": "",
	})
	gcc(t, dir, "-o", "bin/gcc", "here.c")
	gcc(t, dir, "-o", "bin/other", "here.c")
	gcc(t, dir, "-o", "bin/exec", "exec.c")
	gcc(t, dir, "-o", "bin/variants", filepath.Join(testdata, "variants.c"))
	return dir, []string{"PATH=" + filepath.Join(dir, "bin") + ":/usr/bin:/bin"}
}

func TestEveryWayToExecuteACompiler(t *testing.T) {
	dir, env := bench(t)
	for _, how := range slices.Concat(byPath, byName) {
		f := newFake(t, func(asked) string { return head + "exit 3\nthere\n" })
		program := filepath.Join(dir, "bin/gcc")
		if slices.Contains(byName, how) {
			program = "gcc"
		}
		o := f.build(t, dir, env, "bin/variants", how, program, "-c", "x.c")
		if o.stdout != how+" status 3\n" || o.stderr != "there\n" {
			t.Errorf("%s: %q, %q", how, o.stdout, o.stderr)
		}
		if got, want := f.lines(), []string{filepath.Join(dir, "bin/gcc") + " -c x.c"}; !slices.Equal(got, want) {
			t.Errorf("%s: the node heard %q, want %q", how, got, want)
		}
	}
}

// What is no compile, or cannot be executed, is as it is without us: same output,
// same error of the call.
func TestTheRestIsAsItWas(t *testing.T) {
	dir, env := bench(t)
	write(t, dir, map[string]string{"bin/clang": "no program", "bin/script*": "echo a script of the shell's\nexit 4\n", "bin/cc*": "echo also one\nexit 6\n"})
	if err := os.Mkdir(filepath.Join(dir, "bin/c++"), 0o755); err != nil {
		t.Fatal(err)
	}
	f := newFake(t, func(asked) string { return ok })
	for _, how := range slices.Concat(byPath, byName) {
		for _, program := range []string{"other", "gcc", "clang", "c++", "cc", "script", "none", "none-gcc", ""} {
			if slices.Contains(byPath, how) {
				program = filepath.Join(dir, "bin", program)
			}
			argv := []string{"bin/variants", how, program, "-x", "y"}
			plain := run(t, dir, env, filepath.Join(dir, argv[0]), argv[1:]...)
			o := f.build(t, dir, env, argv...)
			if o.stdout != plain.stdout || o.stderr != plain.stderr {
				t.Errorf("%q: %q, %q; without us %q, %q", argv[1:], o.stdout, o.stderr, plain.stdout, plain.stderr)
			}
		}
	}
	if heard := f.lines(); len(heard) > 0 {
		t.Errorf("the node was asked for %q", heard)
	}
}

// linker is a compiler that may not be there, and a file without which it cannot link.
type linker struct{ command, needs string }

func there(l linker) bool {
	_, err := os.Stat(l.needs)
	return l.needs == "" || err == nil
}

// foreign makes programs that the loader gives no library of ours.
var foreign = map[string]linker{
	"static":         {"gcc -static", ""},
	"another loader": {"gcc -Wl,--dynamic-linker=/lib64/./ld-linux-x86-64.so.2", "/lib64/ld-linux-x86-64.so.2"},
	"sanitized":      {"gcc -fsanitize=address", ""},
	"another libc":   {"musl-gcc", "/usr/bin/musl-gcc"},
	"static of it":   {"musl-gcc -static", "/usr/bin/musl-gcc"},
	"32 bits":        {"gcc -m32", "/usr/include/x86_64-linux-gnu/gnu/stubs-32.h"},
}

// What the loader gives no library finds the shims in its PATH.
func TestProgramsThatCannotBeReached(t *testing.T) {
	dir, env := bench(t)
	exec := filepath.Join(dir, "exec.c")
	for name, compiler := range foreign {
		if !there(compiler) {
			continue // another machine has others
		}
		program := filepath.Join(dir, "bin", strings.ReplaceAll(name, " ", "-"))
		argv := append(strings.Fields(compiler.command), "-o", program, exec)
		if o := run(t, dir, os.Environ(), argv[0], argv[1:]...); !o.state.Success() {
			t.Fatalf("%s: %s", argv, o.stderr)
		}
		write(t, dir, map[string]string{"bin/script*": "#! " + program + " gcc\n"})
		for _, argv := range [][]string{{program, "gcc", "-c", "x.c"}, {program, program, "gcc", "-c", "x.c"}, {"script", "-c", "x.c"}, {"sh", "-c", program + " gcc -c x.c"}} {
			f := newFake(t, func(asked) string { return head + "exit 3\nthere\n" })
			o := f.build(t, dir, env, argv...)
			asks := len(f.heard()) == 1 && strings.HasPrefix(f.lines()[0], filepath.Join(dir, "bin/gcc")+" ")
			if !asks || o.state.ExitCode() != 3 || o.stderr != "there\n" {
				t.Errorf("%s, %q: the node heard %q; %v, %q", name, argv, f.lines(), o.state, o.stderr)
			}
		}
		f := newFake(t, func(asked) string { return ok })
		if o := f.build(t, dir, env, program, "gcc", "-v"); o.stdout != "gcc -v here\n" || o.stderr != "" || o.state.ExitCode() != 5 {
			t.Errorf("%s: gcc -v: %v, %q, %q", name, o.state, o.stdout, o.stderr)
		}
	}
}

// A compiler may be a script, or another program under its name, such as ccache:
// these run as they are, and the compiler that they start is intercepted, once.
func TestWrappersOfCompilers(t *testing.T) {
	dir, env := bench(t)
	compiler := filepath.Join(dir, "bin/gcc")
	write(t, dir, map[string]string{
		"wrap/g++*":    "#!/bin/sh\nexec " + compiler + " -extra \"$@\"\n",
		"wrap/cache.c": "#include <unistd.h>\nint main(int n, char **v) { v[0] = \"gcc\"; execv(\"" + compiler + "\", v); return 9; }",
		"libtool*":     "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift\nset -x\n\"$@\" 2>/dev/null\n",
	})
	gcc(t, dir, "-o", "wrap/cache", "wrap/cache.c")
	if err := os.Symlink("cache", filepath.Join(dir, "wrap/gcc")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("gcc", filepath.Join(dir, "bin/x86-none-elf-gcc-12.2")); err != nil {
		t.Fatal(err)
	}
	wrapped := []string{strings.Replace(env[0], "PATH=", "PATH="+filepath.Join(dir, "wrap")+":", 1)}
	for _, c := range []struct {
		env  []string
		line string
		want string
	}{
		{wrapped, "g++ -c x.c", compiler + " -extra -c x.c"},
		{wrapped, "gcc -c x.c", compiler + " -c x.c"},
		{wrapped, "cache -c x.c", compiler + " -c x.c"},
		{env, "./libtool --mode=compile -- gcc -c x.c", compiler + " -c x.c"},
		{env, "x86-none-elf-gcc-12.2 -c x.c", filepath.Join(dir, "bin/x86-none-elf-gcc-12.2") + " -c x.c"},
		{env, "bin/gcc -c x.c", compiler + " -c x.c"},
		{env, "env -u NONE nice sh -c 'gcc -c x.c; exit $?'", compiler + " -c x.c"},
		{env, "echo x.c | xargs gcc -c", compiler + " -c x.c"},
		{env, "PATH=$BUILDNET_EXEC_SHIMS:$PATH gcc -c x.c", compiler + " -c x.c"},
		{wrapped, "PATH=$BUILDNET_EXEC_SHIMS:$PATH; export PATH; gcc -c x.c", compiler + " -c x.c"},
		{env, "env -i " + compiler + " -c x.c", ""},
		{env, "(exec -a gcc other -c x.c) 2>/dev/null || other", ""},
	} {
		f := newFake(t, func(asked) string { return ok })
		f.build(t, dir, c.env, "sh", "-c", c.line)
		if got := strings.Join(f.lines(), "; "); got != c.want {
			t.Errorf("%s: the node heard %q, want %q", c.line, got, c.want)
		}
	}
}

func TestTheUsersOwnLibraryStaysInPlace(t *testing.T) {
	dir, _ := bench(t)
	write(t, dir, map[string]string{"own.c": "#include <unistd.h>\nint getpagesize(void) { return 42; }", "page.c": "#include <stdio.h>\n#include <unistd.h>\nint main(void) { printf(\"%d\\n\", getpagesize()); }"})
	gcc(t, dir, "-shared", "-fPIC", "-o", "own.so", "own.c")
	gcc(t, dir, "-fno-builtin", "-o", "page", "page.c")
	f := newFake(t, func(asked) string { return ok })
	o := f.build(t, dir, []string{"PATH=" + filepath.Join(dir, "bin") + ":/usr/bin:/bin", "LD_PRELOAD=" + filepath.Join(dir, "own.so")}, "sh", "-c", "./page; gcc -c x.c")
	if o.stdout != "42\n" || o.stderr != "" || len(f.heard()) != 1 {
		t.Errorf("%q, %q, %q", o.stdout, o.stderr, f.lines())
	}
}

// A command that is too long for us is executed as it is, by a compiler of whatever
// kind.
func TestCommandsThatAreTooLong(t *testing.T) {
	dir, env := bench(t)
	f := newFake(t, func(asked) string { return ok })
	kinds := maps.Clone(foreign)
	kinds["another loader"] = linker{"gcc", ""} // the usual one
	for name, compiler := range kinds {
		if !there(compiler) {
			continue
		}
		argv := append(strings.Fields(compiler.command), "-o", "bin/gcc", "here.c")
		if o := run(t, dir, os.Environ(), argv[0], argv[1:]...); !o.state.Success() {
			t.Fatalf("%s: %s", argv, o.stderr)
		}
		for _, n := range []int{4000, 5000, 100_000} {
			before := len(f.heard())
			script := "a=$(yes -- -DX | head -" + strconv.Itoa(n) + "); gcc -c $a x.c | wc -w"
			o := f.build(t, dir, env, "sh", "-c", script)
			words := strings.TrimSpace(o.stdout)
			if asks := len(f.heard()) > before; asks != (n == 4000) || !asks && words != strconv.Itoa(n+4) || o.stderr != "" {
				t.Errorf("%s, %d arguments: asked %v, %q, %q", name, n, asks, words, o.stderr)
			}
		}
	}
	if note := noted(t, dir); note != "" {
		t.Errorf("noted %q", note)
	}
}

// The names of tools are the same here, in C, and where commands are read.
func TestNamesOfTools(t *testing.T) {
	dir, env := bench(t)
	for name, want := range map[string]bool{
		"gcc": true, "cc": true, "g++": true, "c++": true, "clang": true, "clang++": true, "gcc-12": true, "clang++-14": true,
		"gcc-4.9.2": true, "arm-linux-gnueabihf-gcc-12": true, "x86_64-w64-mingw32-g++": true, "a.b_c-cc": true,
		"ar": true, "ranlib": true, "gcc-ar": true, "gcc-ar-12": true, "x86_64-linux-gnu-ranlib": true, "arm": false, "tar": false,
		"gcc-": false, "c++filt": false, "ccache": false, "cpp": false, "clang-cpp": false,
		"-gcc": false, "a--gcc": false, "a+-gcc": false, "gcc-12.": false, "gcc-.1": false, "gcc-1..2": false, "gcc12": false, "cc1": false, "lcc": false, "-12": false, "12": false,
	} {
		f := newFake(t, func(asked) string { return ok })
		path := filepath.Join(dir, "names", name)
		write(t, dir, map[string]string{"names/.in": ""})
		if err := os.Link(filepath.Join(dir, "bin/other"), path); err != nil {
			t.Fatal(err)
		}
		args := []string{path, "-c", "x.c"}
		if archive.Is(name) {
			args = []string{path, "x.a"}
			if !strings.Contains(name, "ranlib") {
				args = []string{path, "rc", "x.a", "x.o"}
			}
		}
		f.build(t, dir, env, args...)
		if asks := len(f.heard()) == 1; asks != want {
			t.Errorf("%s: intercepted %v", name, asks)
		}
		_, err := compile.Read([]string{name, "-c", "x.c"}, compile.Setting{})
		if linked, read := intercept.IsTool(name), err == nil || archive.Is(name); linked != want || read != want {
			t.Errorf("%s: linked %v, read %v", name, linked, read)
		}
	}
}
