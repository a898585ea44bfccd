package ninja

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	cases = flag.Int("cases", 150, "compare `N` generated projects with what ninja makes of them")
	seed  = flag.Uint64("seed", 1, "begin with project `N`")
)

// TestAsNinjaDoes builds generated projects with ninja in one directory and with
// this program in another, changes the files of both, and builds again. The same
// commands must run, with the same words and the same results; and each program
// must say the same of the other's directory.
func TestAsNinjaDoes(t *testing.T) {
	if testing.Short() {
		t.Skip("a comparison takes about a minute of the CPU")
	}
	program := realNinja(t)
	for i := range uint64(*cases) {
		t.Run(fmt.Sprint(*seed+i), func(t *testing.T) {
			t.Parallel()
			compare(t, program, *seed+i)
		})
	}
}

// realNinja is ninja 1.11's path.
func realNinja(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("ninja")
	if err != nil {
		t.Skip("ninja is not installed: .ci/deps does it")
	}
	version, err := exec.Command(program, "--version").Output()
	if err != nil || !bytes.HasPrefix(version, []byte("1.11.")) {
		t.Skipf("compared with ninja 1.11 only, and this is %s", version)
	}
	return program
}

// pair is a project in two directories.
type pair struct {
	*project
	t              *testing.T
	program        string
	theirs, ours   string
	failing, spent []string
	// tick is the mtime of all files that are written before the next build, so
	// that nothing depends on how long that takes.
	tick time.Time
}

func compare(t *testing.T, program string, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	p := &pair{project: generate(rng), t: t, program: program, theirs: t.TempDir(), ours: t.TempDir()}
	p.nextTick()
	for _, name := range sortedKeys(p.sources) {
		p.write(name, p.sources[name])
	}
	p.writeManifest()
	p.build()
	for range 3 + rng.IntN(4) {
		p.nextTick()
		for range 1 + rng.IntN(2) {
			p.spent = append(p.spent, p.change())
		}
		p.build()
		if t.Failed() {
			t.Logf("seed %d, changes: %s\n%s", seed, strings.Join(p.spent, ", "), p.manifest())
			return
		}
	}
}

func (p *pair) both(do func(dir string) error) {
	p.t.Helper()
	for _, dir := range []string{p.theirs, p.ours} {
		if err := do(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			p.t.Fatal(err)
		}
	}
}

func (p *pair) write(name, text string) {
	p.both(func(dir string) error {
		at := filepath.Join(dir, name)
		return errors.Join(os.WriteFile(at, []byte(text), 0o600), os.Chtimes(at, p.tick, p.tick))
	})
}

func (p *pair) remove(name string) {
	p.both(func(dir string) error { return os.Remove(filepath.Join(dir, name)) })
}

func (p *pair) touch(name string) {
	p.both(func(dir string) error {
		return os.Chtimes(filepath.Join(dir, name), p.tick, p.tick)
	})
}

// writeManifest writes the manifest, or what it is made of.
func (p *pair) writeManifest() {
	if p.self {
		p.write("build.ninja.in", p.manifest())
	}
	if !p.self || len(p.spent) == 0 || p.chance(3) {
		p.write("build.ninja", p.manifest())
	}
}

// nextTick returns when a file that is written now is newer than all that were:
// the system's clock for files is coarse.
func (p *pair) nextTick() {
	before := p.now()
	for !p.tick.After(before) {
		p.tick = p.now()
	}
}

func (p *pair) now() time.Time {
	name := filepath.Join(p.theirs, ".clock")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		p.t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil {
		p.t.Fatal(err)
	}
	defer os.Remove(name)
	return info.ModTime()
}

// change does something to the project, and says what.
func (p *pair) change() string {
	sources, outputs := sortedKeys(p.sources), p.outputs()
	source, output := sources[p.rng.IntN(len(sources))], outputs[p.rng.IntN(len(outputs))]
	e := p.edges[p.rng.IntN(len(p.edges))]
	switch p.rng.IntN(16) {
	case 0, 1, 2:
		p.touch(source)
		return "touch " + source
	case 3:
		p.remove(output)
		return "remove " + output
	case 4:
		p.touch(output)
		return "touch " + output
	case 5:
		e.version++
		p.writeManifest()
		return "new command for " + e.name
	case 6:
		flag := []string{"fail_", "late_"}[p.rng.IntN(2)] + e.name
		p.write(flag, "")
		p.failing = append(p.failing, flag)
		return "write " + flag
	case 7, 8:
		for _, flag := range p.failing {
			p.remove(flag)
		}
		p.failing = nil
		return "let all succeed"
	case 9:
		for _, e := range p.edges {
			if e.deps != "" {
				p.write("deps_"+e.name, p.headers())
			}
		}
		return "new deps"
	case 10:
		for _, e := range p.edges {
			if e.dyndep {
				p.write("dd_"+e.name+".in", p.dyndepText(e))
			}
		}
		return "new dyndeps"
	case 11:
		log := []string{".ninja_log", ".ninja_deps"}[p.rng.IntN(2)]
		p.remove(log)
		return "remove " + log
	case 12:
		p.addEdge()
		name := p.edges[len(p.edges)-1].name
		for _, source := range []string{"deps_" + name, "dd_" + name + ".in"} {
			if text, ok := p.sources[source]; ok {
				p.write(source, text)
			}
		}
		p.writeManifest()
		return "new edge " + name
	case 13:
		e.ins = p.some(sources, 2)
		p.writeManifest()
		return "new inputs for " + e.name
	case 14:
		p.remove(source)
		return "remove " + source
	default:
		p.write(source, p.sources[source]+p.extra())
		return "write " + source
	}
}

// outcome is what one call left.
type outcome struct {
	code           int
	stdout, stderr string
	ran            []string
	files          map[string]string
}

// build builds in both directories and compares.
func (p *pair) build() {
	p.t.Helper()
	args, sorted := p.args()
	p.spent = append(p.spent, "ninja "+strings.Join(args, " "))
	theirs, ours := p.real(p.theirs, args), p.our(p.ours, args)
	if sorted {
		slices.Sort(theirs.ran)
		slices.Sort(ours.ran)
		theirs.stdout, ours.stdout = "", ""
	}
	p.same(fmt.Sprint("build with ", args), theirs, ours)
	if p.t.Failed() {
		return
	}
	// Each reads what the other has recorded.
	// In a dry run that fails ninja leaves the response files that it has written.
	dry := []string{"-n", "-v"}
	without := func(o outcome) outcome {
		maps.DeleteFunc(o.files, func(name, _ string) bool { return strings.HasSuffix(name, ".rsp") })
		return o
	}
	theirs, ours = without(p.real(p.theirs, dry)), without(p.our(p.ours, dry))
	p.same("dry run", theirs, ours)
	p.same("dry run in ninja's directory", theirs, without(p.our(p.theirs, dry)))
	p.same("dry run in our directory", without(p.real(p.ours, dry)), ours)
	if p.chance(6) {
		args := append([]string{"-t"}, [][]string{
			{"clean"}, {"clean", "-g"}, {"cleandead"}, {"recompact"}, {"restat"}, {"targets", "all"}, {"commands"}, {"inputs"},
			{"rules"}, {"query", p.outputs()[0]}, {"clean", p.outputs()[0]}, {"missingdeps"}, {"compdb"}, {"targets", "depth", "3"},
		}[p.rng.IntN(14)]...)
		p.spent = append(p.spent, strings.Join(args, " "))
		theirs, ours := p.real(p.theirs, args), p.our(p.ours, args)
		theirs.stdout = strings.ReplaceAll(theirs.stdout, p.theirs, p.ours)
		p.same(fmt.Sprint(args), theirs, ours)
	}
}

// args draws how to build. sorted is set if commands end in no fixed order.
func (p *pair) args() (args []string, sorted bool) {
	switch p.rng.IntN(4) {
	case 0:
		args = []string{"-j3", "-k0"}
		sorted = true
	case 1:
		args = []string{"-j1", "-k2"}
	case 2:
		args = []string{"-j1", "-k0"}
	default:
		args = []string{"-j1"}
	}
	switch p.rng.IntN(6) {
	case 0:
		args = append(args, "-v")
	case 1:
		args = append(args, "--quiet")
	}
	if !p.dyndep && !sorted && p.chance(2) {
		args = append(args, "-d", "explain")
	}
	if p.chance(3) {
		args = append(args, p.some(p.files(), 2)...)
	}
	return args, sorted
}

func (p *pair) real(dir string, args []string) outcome {
	cmd := exec.CommandContext(p.t.Context(), p.program, args...)
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return p.outcome(dir, cmd.ProcessState.ExitCode(), stdout.String(), stderr.String())
}

func (p *pair) our(dir string, args []string) outcome {
	var stdout, stderr bytes.Buffer
	o, err := Parse(args, func(string) (string, bool) { return "", false })
	if err != nil {
		p.t.Fatal(err)
	}
	// Jobs of the console pool write to files alone.
	console, err := os.CreateTemp(p.t.TempDir(), "")
	if err != nil {
		p.t.Fatal(err)
	}
	defer console.Close()
	code := Run(p.t.Context(), o, World{Dir: dir, Stdout: &stdout, Stderr: &stderr, Runner: Local{Dir: dir, Stdout: console, Stderr: console}})
	return p.outcome(dir, code, stdout.String(), stderr.String())
}

// varying is what two calls need not say alike: mtimes, and which of several
// names is suggested, where ninja follows a hash.
var varying = regexp.MustCompile(`\b\d{19}\b|, did you mean '.*'\?`)

func (p *pair) outcome(dir string, code int, stdout, stderr string) outcome {
	o := outcome{code: code, stdout: stdout, stderr: varying.ReplaceAllString(stderr, "T"), files: map[string]string{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			p.t.Fatal(err)
		}
		switch entry.Name() {
		case ".ran":
			o.ran = strings.Fields(string(text))
			if err := os.Remove(filepath.Join(dir, ".ran")); err != nil {
				p.t.Fatal(err)
			}
		case ".ninja_log", ".ninja_deps":
			o.files[entry.Name()] = "" // it has times
		default:
			o.files[entry.Name()] = string(text)
		}
	}
	return o
}

func (p *pair) same(what string, theirs, ours outcome) {
	p.t.Helper()
	if theirs.code != ours.code {
		p.t.Errorf("%s: ninja exits with %d, we with %d", what, theirs.code, ours.code)
	}
	if !slices.Equal(theirs.ran, ours.ran) {
		p.t.Errorf("%s: ninja ran %q, we %q", what, theirs.ran, ours.ran)
	}
	if theirs.stdout != ours.stdout {
		p.t.Errorf("%s: ninja says\n%s\nwe say\n%s", what, theirs.stdout, ours.stdout)
	}
	if theirs.stderr != ours.stderr {
		p.t.Errorf("%s: ninja complains\n%s\nwe complain\n%s", what, theirs.stderr, ours.stderr)
	}
	for _, name := range slices.Sorted(maps.Keys(theirs.files)) {
		if text, ok := ours.files[name]; !ok || text != theirs.files[name] {
			p.t.Errorf("%s: %s is %q with ninja and %q with us (there: %v)", what, name, theirs.files[name], text, ok)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(ours.files)) {
		if _, ok := theirs.files[name]; !ok {
			p.t.Errorf("%s: only we have %s", what, name)
		}
	}
}
