package disk

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/compile"
	"github.com/buildnet/buildnet/node/compile/include"
	"github.com/buildnet/buildnet/node/project/ninja/depfile"
)

// searched is where compilers are found.
var searched = os.Getenv("PATH")

// eachCompiler runs a test with the C++ drivers that this machine has.
func eachCompiler(t *testing.T, test func(t *testing.T, c, cxx string)) {
	t.Helper()
	some := false
	for _, pair := range [][2]string{{"gcc", "g++"}, {"clang", "clang++"}} {
		if _, err := exec.LookPath(pair[1]); err != nil {
			continue
		}
		some = true
		t.Run(pair[0], func(t *testing.T) { test(t, pair[0], pair[1]) })
	}
	if !some {
		t.Skip("no compiler")
	}
}

// written makes a directory with these files.
func written(t testing.TB, files map[string]string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for p, content := range files {
		p = filepath.Join(dir, p)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// inputs returns an Inputs as a node would have it.
func inputs() *Inputs { return New(Options{Path: searched, Depfile: parsed}) }

func parsed(text string) ([]string, error) {
	d, err := depfile.Parse(text)
	return d.Ins, err
}

func command(t testing.TB, argv ...string) *compile.Command {
	t.Helper()
	c, err := compile.Read(argv, compile.Setting{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// of is what a command reads.
func of(t testing.TB, in *Inputs, c *compile.Command, dir string) Answer {
	t.Helper()
	if err := in.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	a, err := in.Of(t.Context(), c, dir)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// run runs a command in a directory, and returns what it prints.
func run(dir string, argv ...string) (string, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + searched, "LC_ALL=C"}
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%v: %w: %s", argv, err, talk.String())
	}
	return out.String() + talk.String(), nil
}

// missed are the files that a compiler reads and that an answer does not have,
// and count how many it reads.
func missed(t testing.TB, a Answer, c *compile.Command, dir string) (missing []string, count int) {
	t.Helper()
	out, err := run(dir, c.DependQuestion()...)
	if err != nil {
		t.Fatal(err)
	}
	read, err := parsed(out)
	if err != nil {
		t.Fatal(err)
	}
	have, seen := map[string]bool{}, map[string]bool{}
	for _, list := range [][]string{a.Files, a.System} {
		for _, f := range list {
			have[f] = true
		}
	}
	for _, f := range read {
		target, err := filepath.EvalSymlinks(abs(dir, f))
		if err != nil {
			t.Fatal(err)
		}
		if !have[target] {
			missing = append(missing, target)
		}
		seen[target] = true
	}
	return missing, len(seen)
}

// every is which headers are tried: one in so many.
const every = 8

// Headers of this machine, each as a source of its own.
func TestScanHasAllThatTheCompilerReads(t *testing.T) {
	eachCompiler(t, func(t *testing.T, c, cxx string) {
		in := inputs()
		var all, read int
		try := func(driver, header, suffix string) {
			dir := written(t, map[string]string{"a" + suffix: "#include <" + header + ">\n"})
			cmd := command(t, driver, "-c", "a"+suffix)
			if _, err := run(dir, cmd.DependQuestion()...); err != nil {
				return // some want others before them
			}
			a := of(t, in, cmd, dir)
			if a.Rung == Unknown {
				t.Errorf("%s: unknown: %s", header, a.Why)
			}
			missing, n := missed(t, a, cmd, dir)
			if len(missing) > 0 {
				t.Errorf("%s: without %d: %s", header, len(missing), missing[0])
			}
			if a.Rung == Asked {
				t.Logf("%s: asked: %s", header, a.Why)
			}
			all, read = all+len(a.Files)+len(a.System), read+n
		}
		for i, h := range headersOf(t, "/usr/include") {
			if i%every == 0 {
				try(c, h, ".c")
			}
		}
		for i, h := range standard {
			if i%every == 0 {
				try(cxx, h, ".cc")
			}
		}
		if read > 0 {
			t.Logf("%d files where the compiler reads %d: %.2f times", all, read, float64(all)/float64(read))
		}
	})
}

// headersOf are the headers in a directory.
func headersOf(t *testing.T, dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Skip(err)
	}
	var hs []string
	for _, e := range entries {
		if e.Type().IsRegular() && strings.HasSuffix(e.Name(), ".h") {
			hs = append(hs, e.Name())
		}
	}
	return hs
}

// standard are headers of C++ that lead to most others.
var standard = []string{"algorithm", "any", "atomic", "bitset", "chrono", "complex", "condition_variable", "filesystem", "fstream", "functional", "future", "iostream", "locale", "map", "memory", "mutex", "numeric", "optional", "random", "regex", "set", "sstream", "string", "thread", "tuple", "unordered_map", "variant", "vector"}

// The directories of a command line and the compiler's own come to the order
// that the compiler itself says.
func TestOrderOfDirectoriesIsTheCompilers(t *testing.T) {
	eachCompiler(t, func(t *testing.T, cc, cxx string) {
		dir := written(t, map[string]string{"a.cc": "", "i/x": "", "j/x": "", "k/s/x": "", "file": ""})
		if err := os.Symlink("i", filepath.Join(dir, "l")); err != nil {
			t.Fatal(err)
		}
		for _, flags := range []string{
			"", "-Ii -Ij", "-Ij -Ii -Ij", "-iquote i -Ii -iquote j", "-isystem i -Ii -Ij", "-idirafter i -isystem j -Ik -Ik/s", "-Ii -Il", "-Igone -Ifile -Ii",
			"-I/usr/include -Ii", "-isystem /usr/include -Ii", "-idirafter /usr/include", "-Ik/../i -Ij", "-nostdinc -Ii", "-nostdinc++ -isystem i", "-iquote i -isystem i",
			"-iprefix k/ -iwithprefixbefore s -Ii", "-I. -iquote .", "-iquote j -Ij",
			"CPATH=i:j -Ik -isystem i", "CPLUS_INCLUDE_PATH=j C_INCLUDE_PATH=i -isystem k", "CPATH=:k/s:gone -Ij",
		} {
			if cc == "clang" && strings.Contains(flags, "prefix") {
				continue
			}
			variables, flags := environment(flags)
			c, err := compile.Read(slices.Concat([]string{cxx}, flags, []string{"-c", "a.cc"}), compile.Setting{Getenv: func(name string) (string, bool) {
				v, ok := variables[name]
				return v, ok
			}})
			if err != nil {
				t.Fatal(err)
			}
			in := inputs()
			_, own, err := in.own(t.Context(), c, dir)
			if err != nil {
				t.Fatal(err)
			}
			dirs, bracket := in.scan.Path(include.Unit{Command: c, Dir: dir, Own: own})
			argv := []string{"env"}
			for name, value := range variables {
				argv = append(argv, name+"="+value)
			}
			argv = slices.Concat(argv, []string{cxx, "-E", "-v"}, flags, []string{"-x", "c++", "/dev/null"})
			out, err := run(dir, argv...)
			if err != nil {
				t.Fatal(err)
			}
			quote, rest := listed(t, dir, out)
			if cc == "clang" { // which keeps a quote directory that is another's
				quote = dirs[:bracket]
			}
			if got, want := fmt.Sprint(dirs[:bracket], dirs[bracket:]), fmt.Sprint(quote, rest); got != want {
				t.Errorf("%s: %s, the compiler has %s", flags, got, want)
			}
		}
	})
}

// environment takes the variables from the front of a line.
func environment(line string) (map[string]string, []string) {
	words, variables := strings.Fields(line), map[string]string{}
	for len(words) > 0 && words[0][0] != '-' {
		name, value, _ := strings.Cut(words[0], "=")
		variables[name], words = value, words[1:]
	}
	return variables, words
}

// listed reads the two lists of -v.
func listed(t *testing.T, dir, out string) (quote, bracket []string) {
	to := (*[]string)(nil)
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, `#include "...`):
			to = &quote
		case strings.HasPrefix(line, "#include <...>"):
			to = &bracket
		case strings.HasPrefix(line, "End of search list"):
			return quote, bracket
		case to != nil:
			p, err := filepath.EvalSymlinks(abs(dir, strings.TrimSpace(line)))
			if err != nil {
				t.Fatal(err)
			}
			*to = append(*to, p)
		}
	}
	return quote, bracket
}
