package ninja_test

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/project/ninja"
)

// installed is a ninja of our version that is installed here.
type installed struct{ dir string }

func findReal(t *testing.T) installed {
	t.Helper()
	out, err := exec.Command("ninja", "--version").Output()
	if err != nil {
		t.Skip("no ninja to compare with")
	}
	if strings.TrimSpace(string(out)) != ninja.Version {
		t.Skipf("the ninja here is %s, not %s", out, ninja.Version)
	}
	return installed{t.TempDir()}
}

// says returns what ninja prints for files; what it does is up to args.
func (r installed) says(t *testing.T, files memory, args ...string) string {
	t.Helper()
	for path, text := range files {
		if err := os.WriteFile(filepath.Join(r.dir, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Its exit status says no more than its words.
	out, _ := exec.Command("ninja", append([]string{"-C", r.dir, "--quiet", "-f", "input"}, args...)...).CombinedOutput() //nolint:gosec // the arguments are this test's
	return string(out)
}

// TestNinjaSaysTheSame holds the tables of manifests against a real ninja,
// where there is one: those that mean something and those that do not.
func TestNinjaSaysTheSame(t *testing.T) {
	for _, files := range seeds() {
		compare(t, findReal(t), files)
	}
}

// TestNinjaTakesMutantsAlike does the same with manifests that nobody wrote.
// BUILDNET_MUTANTS sets how many, for a longer look.
func TestNinjaTakesMutantsAlike(t *testing.T) {
	n := 100
	if s := os.Getenv("BUILDNET_MUTANTS"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	ninja := findReal(t)
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	all := seeds()
	for range n {
		files := all[rng.IntN(len(all))]
		mutant := memory{}
		for path, text := range files {
			mutant[path] = text
		}
		mutant["input"] = mutated(rng, mutant["input"])
		compare(t, ninja, mutant)
	}
}

// TestNinjaReadsDyndepFilesAlike holds the tables of dyndep files against it.
func TestNinjaReadsDyndepFilesAlike(t *testing.T) {
	r := findReal(t)
	for _, tc := range dyndepFaults {
		files := dyndepTree("")
		files["dd"] = tc.text
		said, _, _ := strings.Cut(r.says(t, files, "-t", "query", "out"), "\n\n  input: r")
		agree(t, files, said, "out:\nninja: warning: "+tc.want)
	}
	for _, tc := range dyndepFiles {
		files := dyndepTree(tc.text)
		g := load(t, files)
		if _, err := g.LoadDyndep(files, g.Lookup("dd")); err != nil {
			t.Fatal(err)
		}
		want := joined(slices.Collect(ninja.QueryLines(g.Lookup("out")))) + joined(slices.Collect(ninja.QueryLines(g.Lookup("last"))))
		agree(t, files, r.says(t, files, "-t", "query", "out", "last"), want)
	}
}

// seeds are the manifests of the other tests, each with all files that any
// includes.
func seeds() []memory {
	var list []memory
	add := func(files memory) {
		full := memory{"sub": "", "other": "", "rules": ""}
		for path, text := range files {
			full[path] = text
		}
		list = append(list, full)
	}
	for _, tc := range manifests {
		add(tc.files)
	}
	for _, tc := range faults {
		if tc.name != "NoSuchSubninja" {
			add(tc.files)
		}
	}
	return list
}

// fragments are what mutants are made of.
var fragments = []string{"build ", "rule ", "pool ", "default a", "include sub", "subninja other", "a", "b", "$a", "${b}", "$", "$$",
	"$ ", "$:", "$\n", "\n", "\n  ", " ", ":", "|", "||", "|@", " = ", "phony", "command = x $in $out", "\n  rspfile = q", "\n  dyndep = a",
	"\n  depfile = $in", "\n  depth = 3", "\n  restat = 1", "\n  pool = console", "#", "\t", "\r\n", "./", "../", "x/..", "//", "'", "\x00",
	"%", "\nrule r\n  command = c $in $a\n", "\nbuild a: r b\n", "\nbuild c: phony a\n", "\n  a = 1\n", "ä"}

func mutated(rng *rand.Rand, s string) string {
	for range 1 + rng.IntN(2) {
		at := rng.IntN(len(s) + 1)
		end := min(len(s), at+rng.IntN(12))
		switch rng.IntN(4) {
		case 0:
			s = s[:at] + s[end:]
		case 1:
			to := rng.IntN(len(s) + 1)
			s = s[:to] + s[at:end] + s[to:]
		default:
			s = s[:at] + fragments[rng.IntN(len(fragments))] + s[at:]
		}
	}
	return s
}

// compare asks both for the targets, the commands and the compilation
// database of a manifest.
func compare(t *testing.T, r installed, files memory) {
	t.Helper()
	var warnings strings.Builder
	g, err := ninja.Load(files, "input", ninja.Options{Warn: func(s string) { warnings.WriteString("ninja: warning: " + s + "\n") }})
	want := warnings.String()
	if err != nil {
		if strings.Contains(err.Error(), "nested more than") {
			return // ninja goes on until it crashes
		}
		kind := "error"
		if ninja.Fatal(err) {
			kind = "fatal"
		}
		want += "ninja: " + kind + ": " + err.Error() + "\n"
		if nul := strings.IndexByte(want, 0); nul >= 0 {
			want = want[:nul] + "\n" // it prints C strings
		}
	} else {
		want += joined(slices.Collect(g.TargetLines()))
	}
	agree(t, files, r.says(t, files, "-t", "targets", "all"), want)
	if err == nil {
		compareCommands(t, r, files, g, warnings.String())
	}
}

func compareCommands(t *testing.T, r installed, files memory, g *ninja.Graph, warnings string) {
	t.Helper()
	if nodes, err := g.DefaultNodes(); err == nil && len(nodes) > 0 {
		commands, err := []string{}, error(nil)
		for command, fault := range ninja.Commands(ninja.EdgesFor(nodes)) {
			commands, err = append(commands, command), fault
		}
		if err == nil {
			agree(t, files, r.says(t, files, "-t", "commands"), warnings+joined(commands))
		}
	}
	var text strings.Builder
	for piece, err := range g.Compdb(ninja.CompdbOptions{Directory: r.dir, ExpandRspfile: true}) {
		if err != nil {
			return
		}
		text.WriteString(piece)
	}
	agree(t, files, r.says(t, files, "-t", "compdb", "-x"), warnings+text.String())
}

func joined(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

func agree(t *testing.T, files memory, said, want string) {
	t.Helper()
	if said != want {
		t.Errorf("of %q\nninja says %q\nwe say     %q", files, said, want)
	}
}
