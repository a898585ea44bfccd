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
	"sync/atomic"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/ninja/idle"
)

var (
	cases = flag.Int("cases", 20, "compare `N` generated projects with what ninja makes of them")
	seed  = flag.Uint64("seed", 1, "begin with project `N`")
)

// TestAsNinjaDoes builds generated projects in two directories, in one with ninja
// and in the other with this program, changes the files of both, and builds
// again, the other way round: each program goes on from what the other has
// recorded. The same commands must run, with the same words and the same results.
func TestAsNinjaDoes(t *testing.T) {
	program := realNinja(t)
	t.Cleanup(func() { // when all have ended
		if q, s := quicks.Load(), slows.Load(); q == 0 || s > q {
			t.Errorf("of builds with nothing to do package idle has known %d, and %d not", q, s)
		}
	})
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

// memory returns a new directory, in memory where that is possible: thousands of
// small files cost more than half as much there.
func memory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "ninja-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// pair is a project in two directories.
type pair struct {
	*project
	t       *testing.T
	program string
	places  [2]*place
	// changes are what is to be done to the files before the next call, and spent
	// what was done, for people.
	changes        []func(*place) error
	failing, spent []string
}

// place is one of the directories.
type place struct {
	dir string
	// newest is the latest mtime in it. tick is that of all files that are written
	// before the next call: nothing depends on how long that takes.
	newest, tick time.Time
}

// rounds is how often a project is built at most.
const rounds = 8

func compare(t *testing.T, program string, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	p := &pair{project: generate(rng), t: t, program: program, places: [2]*place{{dir: memory(t)}, {dir: memory(t)}}}
	for _, name := range sortedKeys(p.sources) {
		p.write(name, p.sources[name])
	}
	p.writeManifest()
	for i := range rounds - rng.IntN(3) {
		for range rng.IntN(3) * min(i, 1) {
			p.spent = append(p.spent, p.change())
		}
		p.round(i)
		if t.Failed() {
			t.Logf("seed %d, changes: %s\n%s", seed, strings.Join(p.spent, ", "), p.manifest())
			return
		}
	}
}

// round changes the files of both directories and calls ninja in one of them and
// this program in the other, which is the other one each time.
func (p *pair) round(i int) {
	args, o := p.args()
	p.spent = append(p.spent, "ninja "+strings.Join(args, " "))
	var outcomes [2]outcome
	for at, where := range p.places {
		p.nextTick(where)
		for _, change := range p.changes {
			if err := change(where); err != nil && !errors.Is(err, os.ErrNotExist) {
				p.t.Fatal(err)
			}
		}
		by := (at + i) % 2
		if by == 0 {
			outcomes[by] = p.real(where, args, o)
		} else {
			outcomes[by] = p.our(where, args, o)
		}
	}
	p.changes = nil
	p.same(fmt.Sprint(args), outcomes[0], outcomes[1])
}

func (p *pair) later(change func(*place) error) { p.changes = append(p.changes, change) }

func (p *pair) write(name, text string) {
	p.later(func(at *place) error {
		path := filepath.Join(at.dir, name)
		return errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chtimes(path, at.tick, at.tick))
	})
}

func (p *pair) remove(name string) {
	p.later(func(at *place) error { return os.Remove(filepath.Join(at.dir, name)) })
}

func (p *pair) touch(name string) {
	p.later(func(at *place) error { return os.Chtimes(filepath.Join(at.dir, name), at.tick, at.tick) })
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
// the system's clock for files is coarse. It has mostly gone on by itself, while
// the other directory had its turn.
func (p *pair) nextTick(at *place) {
	at.tick = p.now(at)
	for !at.tick.After(at.newest) {
		at.tick = p.now(at)
	}
}

func (p *pair) now(at *place) time.Time {
	name := filepath.Join(at.dir, ".clock")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		p.t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.Remove(name); err != nil {
		p.t.Fatal(err)
	}
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
		p.write(source, p.edited(p.sources[source]))
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

// order is what of an outcome is up to chance.
type order struct {
	// unsorted has commands end in no fixed order.
	unsorted bool
	// dry leaves response files behind with ninja.
	dry bool
}

// args draws what to do: mostly to build.
func (p *pair) args() (args []string, o order) {
	if p.chance(12) {
		return append([]string{"-t"}, [][]string{
			{"clean"}, {"clean", "-g"}, {"cleandead"}, {"recompact"}, {"restat"}, {"targets", "all"}, {"commands"}, {"inputs"},
			{"rules"}, {"query", p.outputs()[0]}, {"clean", p.outputs()[0]}, {"missingdeps"}, {"compdb"}, {"targets", "depth", "3"},
		}[p.rng.IntN(14)]...), o
	}
	switch p.rng.IntN(4) {
	case 0:
		args = []string{"-j3", "-k0"}
		o.unsorted = true
	case 1:
		args = []string{"-j1", "-k2"}
	case 2:
		args = []string{"-j1", "-k0"}
	default:
		args = []string{"-j1"}
	}
	if p.chance(6) {
		o.dry = true
		args = append(args, "-n")
	}
	switch p.rng.IntN(6) {
	case 0:
		args = append(args, "-v")
	case 1:
		args = append(args, "--quiet")
	}
	if !p.dyndep && !o.unsorted && p.chance(2) {
		args = append(args, "-d", "explain")
	}
	if p.chance(3) {
		args = append(args, p.some(p.files(), 2)...)
	}
	return args, o
}

func (p *pair) real(at *place, args []string, o order) outcome {
	cmd := exec.CommandContext(p.t.Context(), p.program, args...)
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = at.dir, &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return p.outcome(at, cmd.ProcessState.ExitCode(), o, &stdout, &stderr)
}

func (p *pair) our(at *place, args []string, o order) outcome {
	var stdout, stderr bytes.Buffer
	opts, err := Parse(args, func(string) (string, bool) { return "", false })
	if err != nil {
		p.t.Fatal(err)
	}
	// It is not asked where somebody wants to know why.
	quick := opts.Tool == "" && !opts.Explain && idle.Nothing(at.dir, opts.Targets)
	// Jobs of the console pool write to files alone.
	code := Run(p.t.Context(), opts, World{Dir: at.dir, Stdout: &stdout, Stderr: &stderr, Runner: Local{Dir: at.dir}})
	nothing := code == 0 && strings.Contains(stdout.String(), "ninja: no work to do.\n") && stderr.Len() == 0
	switch {
	case quick && !nothing:
		p.t.Errorf("package idle says that there is nothing to do: exit %d, %s%s", code, &stdout, &stderr)
	case quick:
		quicks.Add(1)
	case nothing && opts.Tool == "" && !opts.Explain:
		slows.Add(1)
	}
	return p.outcome(at, code, o, &stdout, &stderr)
}

// quicks are builds with nothing to do of which package idle has said so, and slows
// those of which it has not.
var quicks, slows atomic.Int64

// varying is what two calls need not say alike: mtimes, and which of several
// names is suggested, where ninja follows a hash.
var varying = regexp.MustCompile(`\b\d{19}\b|, did you mean '.*'\?`)

func (p *pair) outcome(at *place, code int, order order, stdout, stderr *bytes.Buffer) outcome {
	o := outcome{
		code: code, stdout: strings.ReplaceAll(stdout.String(), at.dir, "DIR"),
		stderr: varying.ReplaceAllString(stderr.String(), "T"), files: map[string]string{},
	}
	entries, err := os.ReadDir(at.dir)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, entry := range entries {
		p.take(at, entry, order, &o)
	}
	if order.unsorted {
		slices.Sort(o.ran)
		o.stdout = ""
	}
	return o
}

// take adds a file to an outcome. What commands have written of themselves, and
// response files of a dry run, it removes.
func (p *pair) take(at *place, entry os.DirEntry, order order, o *outcome) {
	path := filepath.Join(at.dir, entry.Name())
	text, err := os.ReadFile(path)
	if err != nil {
		p.t.Fatal(err)
	}
	info, err := entry.Info()
	if err != nil {
		p.t.Fatal(err)
	}
	if info.ModTime().After(at.newest) {
		at.newest = info.ModTime()
	}
	remove := false
	switch name := entry.Name(); {
	case name == ".ran":
		o.ran, remove = strings.Fields(string(text)), true
	case name == ".ninja_log" || name == ".ninja_deps":
		o.files[name] = "" // it has times
	case order.dry && strings.HasSuffix(name, ".rsp"):
		remove = true
	default:
		o.files[name] = string(text)
	}
	if remove {
		if err := os.Remove(path); err != nil {
			p.t.Fatal(err)
		}
	}
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
