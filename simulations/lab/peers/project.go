//go:build lab && linux

// Package peers builds real projects, of Debian's sources, on the lab's hosts:
// with this project, where the tests compare every byte with a plain build's,
// and with what others use, where the benchmark measures them by turns (`make
// bench-peers`). Start reading at project and at contender.
package peers

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// unreachable is the exit status of fetch where the machine cannot get at
// Debian's sources.
const unreachable = 3

// project is a source package and how it is built.
type project struct {
	name, source string
	// configure makes the sources in dir ready to be built, with launcher before
	// each call of the compiler unless it is empty.
	configure func(tb testing.TB, dir, launcher string)
	// build is what a user types in dir: jobs at once.
	build func(dir, launcher string, jobs int) []string
	// ours are the arguments of `buildnet build` for the same.
	ours func(dir string) []string
	// clean has the next build of dir make everything.
	clean func(tb testing.TB, dir string)
}

// in fetches the project into dir.
func (p project) in(tb testing.TB, dir string) {
	tb.Helper()
	script, err := filepath.Abs("fetch")
	if err != nil {
		tb.Fatal(err)
	}
	out, err := exec.CommandContext(context.Background(), script, p.source, dir).CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == unreachable && os.Getenv("CI") == "" {
		tb.Skip(string(out))
	}
	if err != nil {
		tb.Fatalf("%v: %s", err, out)
	}
}

// launched is the value of CC.
func launched(launcher, compiler string) string {
	return strings.TrimSpace(launcher + " " + compiler)
}

// plain runs a command on this machine, outside of all hosts and their quotas.
func plain(tb testing.TB, dir string, argv ...string) {
	tb.Helper()
	cmd := exec.CommandContext(context.Background(), argv[0], argv[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%v: %v: %s", argv, err, out)
	}
}

// makeProject is built by make alone.
func makeProject(name, source, clean string, variables ...string) project {
	return project{
		name: name, source: source,
		configure: func(testing.TB, string, string) {},
		build: func(dir, launcher string, jobs int) []string {
			argv := append([]string{"make", "-C", dir, "-j", strconv.Itoa(jobs)}, variables...)
			if launcher != "" {
				argv = append(argv, "CC="+launched(launcher, "cc"))
			}
			return argv
		},
		ours: func(dir string) []string {
			return append([]string{"--", "make", "-C", dir}, variables...)
		},
		clean: func(tb testing.TB, dir string) { plain(tb, dir, "make", clean) },
	}
}

// cmakeProject is built by ninja, in the directory build, of what CMake writes.
func cmakeProject(name, source string, settings []string, targets ...string) project {
	return project{
		name: name, source: source,
		configure: func(tb testing.TB, dir, launcher string) {
			argv := append([]string{"cmake", "-S", dir, "-B", filepath.Join(dir, "build"), "-G", "Ninja"}, settings...)
			if launcher != "" {
				argv = append(argv, "-DCMAKE_C_COMPILER_LAUNCHER="+launcher, "-DCMAKE_CXX_COMPILER_LAUNCHER="+launcher)
			}
			plain(tb, dir, argv...)
		},
		build: func(dir, _ string, jobs int) []string {
			return append([]string{"ninja", "-C", filepath.Join(dir, "build"), "-j", strconv.Itoa(jobs)}, targets...)
		},
		ours: func(dir string) []string {
			return append([]string{"-C", filepath.Join(dir, "build")}, targets...)
		},
		clean: func(tb testing.TB, dir string) {
			plain(tb, dir, "ninja", "-C", filepath.Join(dir, "build"), "-t", "clean")
		},
	}
}

// redis has 140 compiles and makes recursive calls of make.
var redis = makeProject("redis", "redis", "distclean", "MALLOC=libc")

// tommath has 157 small compiles, of one directory.
var tommath = makeProject("libtommath", "libtommath", "clean", "CFLAGS=-O1")

// abseil are the libraries of strings and time, of 45 compiles.
var abseil = cmakeProject("abseil", "abseil", []string{"-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_STANDARD=17"},
	"strings", "time", "str_format_internal")
