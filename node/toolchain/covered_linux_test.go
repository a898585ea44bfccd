package toolchain

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// opened matches a file that a program opened or executed, in strace's words.
var opened = regexp.MustCompile(`(?:open|openat|execve)\((?:AT_FDCWD, )?"([^"]+)".*\) = [0-9]`)

// traced returns the files that a command opens or executes.
func traced(t *testing.T, dir string, argv ...string) []string {
	t.Helper()
	log := filepath.Join(dir, "trace")
	cmd := exec.Command("strace", slices.Concat([]string{"-f", "-e", "trace=open,openat,execve", "-o", log}, argv)...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + DefaultPath, "LC_ALL=C"}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("%v: %s", err, out)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, m := range opened.FindAllStringSubmatch(string(text), -1) {
		files = append(files, m[1])
	}
	return files
}

// A compiler's digest is of every file that it executes or reads when it
// compiles, but for those of the command.
func TestADigestIsOfAllThatIsReadToCompile(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"a.c":  "#include <stdio.h>\n#include <sys/socket.h>\n#include <immintrin.h>\n#include <omp.h>\nint x;\n",
		"a.cc": "#include <iostream>\n#include <regex>\nint x;\n", "a.S": "#include <sys/syscall.h>\n", "a.s": ".globl x\nx:\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p := New(Options{})
	for _, command := range []string{
		"gcc -c a.c", "gcc -O2 -g -c a.c -MD", "gcc -fopenmp -fsanitize=address -c a.c", "gcc -flto -c a.c", "gcc -pipe -c a.c", "gcc -c a.S", "gcc -c a.s",
		"g++ -c a.cc", "g++ -std=c++20 -O2 -g -gsplit-dwarf -c a.cc", "g++ --coverage -c a.cc", "clang -g -fsanitize=address -c a.c", "clang++ -O2 -c a.cc",
	} {
		argv := strings.Fields(command)
		t.Run(command, func(t *testing.T) {
			for _, program := range []string{"strace", argv[0]} {
				if _, err := exec.LookPath(program); err != nil {
					t.Skip(err)
				}
			}
			covers(t, p, Spec{Spec: "cc:" + argv[0]}, traced(t, dir, argv...))
		})
	}
}

// clang has arguments in files beside it, which count.
func TestSettingsOfClangCount(t *testing.T) {
	clang, err := filepath.EvalSymlinks("/usr/bin/clang")
	if err != nil {
		t.Skip(err)
	}
	content, err := os.ReadFile(clang)
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Chmod(filepath.Dir(bin), 0o755); err != nil { // root asks as nobody
		t.Fatal(err)
	}
	program, cfg := filepath.Join(bin, "x86_64-linux-gnu-clang"), filepath.Join(bin, "x86_64-linux-gnu-clang.cfg")
	if err := os.WriteFile(program, content, 0o755); err != nil {
		t.Fatal(err)
	}
	digests := map[string]bool{}
	for _, text := range []string{"-DX=1\n", "-DX=2\n"} {
		if err := os.WriteFile(cfg, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		d, err := New(Options{Path: bin + ":" + DefaultPath}).Digest(t.Context(), Spec{Spec: "cc:x86_64-linux-gnu-clang"})
		if err != nil {
			t.Fatal(err)
		}
		digests[d] = true
	}
	if len(digests) != 2 {
		t.Error("with other settings it has the same digest")
	}
}

// A link reads nothing of the machine that its digest is not of, and neither does
// an archiver.
func TestLinksReadNothingElse(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"a.c": "#include <math.h>\nint main(int n, char **v) { return sin(n) > 0; }\n", "f.c": "int f(void) { return 1; }\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, command := range []string{"gcc -c a.c", "gcc -fPIC -c f.c", "gcc -flto -c a.c -o a.lto.o", "gcc -flto -c f.c -o f.lto.o"} {
		argv := strings.Fields(command)
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Skipf("%s: %v: %s", command, err, out)
		}
	}
	p := New(Options{})
	for _, tc := range []struct{ command, spec string }{
		{"gcc a.o f.o -lm -o p", "link:gcc"},
		{"g++ -pthread a.o -lm -o p", "link:g++"},
		{"gcc -static a.o -lm -o p", "link:gcc"},
		{"gcc -shared f.o -o l.so", "link:gcc"},
		{"gcc -flto=2 a.lto.o f.lto.o -lm -o p", "link:gcc"},
		{"gcc -fuse-ld=gold a.o -lm -o p", "link:gcc"},
		{"gcc -fuse-ld=lld a.o -lm -o p", "link:gcc"},
		{"gcc -fuse-ld=mold a.o -lm -o p", "link:gcc"},
		{"gcc -fsanitize=address,undefined a.o -lm -o p", "link:gcc"},
		{"gcc -fopenmp --coverage -pg a.o -lm -o p", "link:gcc"},
		{"clang a.o -lm -o p", "link:clang"},
		{"ar rcs l.a f.o", "tools:ar"},
		{"ar rcs l.a f.lto.o", "tools:ar"},
		{"ranlib l.a", "tools:ranlib"},
		{"gcc-ar rcs l.a f.lto.o", "tools:gcc-ar"},
		{"llvm-ar rcs l.a f.o", "tools:llvm-ar"},
	} {
		command := tc.command
		argv := strings.Fields(command)
		programs := []string{"strace", argv[0]}
		if _, linker, ok := strings.Cut(command, "-fuse-ld="); ok {
			programs = append(programs, "ld."+strings.Fields(linker)[0])
		}
		t.Run(command, func(t *testing.T) {
			for _, program := range programs {
				if _, err := exec.LookPath(program); err != nil {
					t.Skip(err)
				}
			}
			covers(t, p, Spec{Spec: tc.spec}, traced(t, dir, argv...))
		})
	}
}

// covers checks that the digest of s is of each of the files that are of the
// machine.
func covers(t *testing.T, p *Prober, s Spec, read []string) {
	t.Helper()
	if _, err := p.Digest(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	covered := map[string]bool{}
	for _, f := range p.known(s).Facts {
		covered[f.Path] = true
	}
	for _, f := range read {
		target, err := filepath.EvalSymlinks(f)
		if err != nil || !filepath.IsAbs(f) || !ofTheMachine(target) {
			continue
		}
		if !covered[target] {
			t.Errorf("%s is read, and the digest is not of it", f)
		}
	}
}

// ofTheMachine leaves out what is made for the run or of the kernel; the loader's
// index of libraries, since what it finds is covered by its path; and the settings
// of a library that mold has its hashes of, which actions do not see.
func ofTheMachine(p string) bool {
	info, err := os.Stat(p)
	if err != nil || !info.Mode().IsRegular() || p == "/etc/ld.so.cache" || p == "/etc/ssl/openssl.cnf" {
		return false
	}
	return !slices.ContainsFunc([]string{"/tmp/", "/proc/", "/sys/", "/dev/"}, func(d string) bool { return strings.HasPrefix(p, d) })
}
