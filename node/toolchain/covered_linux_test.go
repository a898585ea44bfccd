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
			s := Spec{Spec: "cc:" + argv[0]}
			if _, err := p.Digest(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			covered := map[string]bool{}
			for _, f := range p.known(s).Facts {
				covered[f.Path] = true
			}
			for _, f := range traced(t, dir, argv...) {
				target, err := filepath.EvalSymlinks(f)
				if err != nil || !filepath.IsAbs(f) || !ofTheMachine(target) {
					continue
				}
				if !covered[target] {
					t.Errorf("%s is read, and the digest is not of it", f)
				}
			}
		})
	}
}

// ofTheMachine leaves out what is made for the run or of the kernel, and the
// loader's index of libraries: what it finds is covered by its path.
func ofTheMachine(p string) bool {
	info, err := os.Stat(p)
	if err != nil || !info.Mode().IsRegular() || p == "/etc/ld.so.cache" {
		return false
	}
	return !slices.ContainsFunc([]string{"/tmp/", "/proc/", "/sys/", "/dev/"}, func(d string) bool { return strings.HasPrefix(p, d) })
}
