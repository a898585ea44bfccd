// Package mutants breaks the lines that meet the demands of clients (docs/reapi.md,
// Conformance), one after the other, and sees that the conformance tests notice each.
// A mutant is a text of a file and what it becomes; the lists are in files that are
// named after what they are about. Start reading at TestMutants.
package mutants

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// planting has to be asked for: a race detector finds nothing in what this package
// does, and to compile what clients are served by takes a minute of a processor.
var planting = flag.Bool("plant", false, "compile the mutants and run the tests that have to notice them")

// root is the directory of this module.
const root = "../../.."

// group is mutants that are for one demand, in one file, which one test notices.
type group struct {
	demand int
	file   string
	test   test
	of     []mutant
}

// test is some of a package's tests.
type test struct{ in, run string }

// mutant is a line that is broken.
type mutant struct {
	// meets is what of the demand the line is for.
	meets string
	// line is there once in the file, within a function.
	line, becomes string
}

// all is every mutant.
var all = slices.Concat(capabilities, naming, byteStream, missing, outputs, platforms, execution, actionCache, batches, server)

func (g *group) name(m mutant) string { return fmt.Sprintf("demand %d: %s", g.demand, m.meets) }

// demands is how many docs/reapi.md has.
const demands = 10

// TestEveryMutantIsOfOneLine says which entries are stale.
func TestEveryMutantIsOfOneLine(t *testing.T) {
	names, met := map[string]bool{}, map[int]bool{}
	for _, g := range all {
		met[g.demand] = true
		for _, m := range g.of {
			if names[g.name(m)] {
				t.Errorf("two mutants are called %q", g.name(m))
			}
			names[g.name(m)] = true
		}
	}
	for n := range demands {
		if !met[n+1] {
			t.Errorf("no mutant is for demand %d", n+1)
		}
	}
	for file, groups := range byFile() {
		if _, err := plant(file, groups); err != nil {
			t.Error(err)
		}
	}
}

func byFile() map[string][]group {
	files := map[string][]group{}
	for _, g := range all {
		files[g.file] = append(files[g.file], g)
	}
	return files
}

// TestMutants has the test of each mutant fail by what it says, and pass without the
// mutant.
func TestMutants(t *testing.T) {
	if !*planting {
		t.Skip("without -plant the list is checked alone")
	}
	binaries := compile(t)
	for in, patterns := range byPackage() {
		if out, ok := run(t, binaries, test{in, strings.Join(patterns, "|")}, ""); !ok {
			t.Fatalf("tests of %s fail without a mutant:\n%s", in, out)
		}
	}
	for _, g := range all {
		for _, m := range g.of {
			t.Run(g.name(m), func(t *testing.T) {
				t.Parallel()
				out, ok := run(t, binaries, g.test, g.name(m))
				switch {
				case ok:
					t.Errorf("%s of %s notices nothing when in %s\n\t%s\nbecomes\n\t%s", g.test.run, g.test.in, g.file, m.line, m.becomes)
				case crash.MatchString(out) || !strings.Contains(out, "--- FAIL: "):
					t.Errorf("%s of %s ends by itself, and should tell of the mutant:\n%s", g.test.run, g.test.in, out)
				default:
					t.Log(told.FindString(out))
				}
			})
		}
	}
}

// crash is how a test ends that does not fail by what it checks, told what one says
// that does.
var (
	crash = regexp.MustCompile(`(?m)^(panic|fatal error): `)
	told  = regexp.MustCompile(`(?m)^ +[a-z_]+_test\.go:.*$`)
)

func byPackage() map[string][]string {
	patterns := map[string][]string{}
	for _, g := range all {
		if !slices.Contains(patterns[g.test.in], g.test.run) {
			patterns[g.test.in] = append(patterns[g.test.in], g.test.run)
		}
	}
	return patterns
}

// compile makes the tests of each package with all mutants in them, and returns the
// directory: to compile each for itself would take an hour.
func compile(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	args := []string{"test", "-c", "-vet=off", "-overlay", overlay(t, dir), "-o", dir + "/"}
	for _, in := range slices.Sorted(maps.Keys(byPackage())) {
		args = append(args, "./"+in)
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("a mutant cannot be compiled: %v\n%s", err, out)
	}
	return dir
}

// run runs tests with one mutant, or with none.
func run(t *testing.T, binaries string, of test, mutant string) (out string, ok bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(binaries, filepath.Base(of.in)+".test"), "-test.run", of.run, "-test.failfast", "-test.timeout", "2m")
	cmd.Dir = filepath.Join(root, of.in)
	cmd.Env = append(os.Environ(), chosen+"="+mutant)
	var printed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, &printed
	err := cmd.Run()
	return printed.String(), err == nil
}
