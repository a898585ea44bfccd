package remote_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/node/compile/include/disk"
	"github.com/buildnet/buildnet/node/compile/remote"
	"github.com/buildnet/buildnet/node/project/ninja/depfile"
	"github.com/buildnet/buildnet/node/toolchain"
	"github.com/buildnet/buildnet/node/worktree"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/memory"
)

// actionPath is where actions find programs.
const actionPath = "/usr/local/bin:/usr/bin:/bin"

// bound are the directories that actions see.
var bound = []string{"/usr", "/bin", "/lib", "/lib64"}

// toolchains is shared: to hash a compiler and its headers takes a while.
var toolchains = sync.OnceValue(func() *toolchain.Prober { return toolchain.New(toolchain.Options{}) })

// bench is a project, and what turns its compiles into steps.
type bench struct {
	testing.TB
	dir    string
	blobs  *memory.Store
	kv     *memory.KV
	inputs *disk.Inputs
	desk   *remote.Desk
	env    map[string]string
	lost   []string // files that do not come along
	// trusted are the patterns of commands that read what is declared.
	trusted []string
	// upgraded says that a package of the compiler was, while it ran.
	upgraded bool
}

func newBench(t testing.TB, files map[string]string) *bench {
	t.Helper()
	if _, err := exec.LookPath("g++"); err != nil {
		t.Skip(err)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{TB: t, dir: dir + "/p", blobs: memory.New(1 << 30), kv: &memory.KV{}, env: map[string]string{"PATH": actionPath}}
	for p, content := range files {
		b.write(p, content)
	}
	b.fresh()
	return b
}

// fresh has the desk of a node that has just started.
func (b *bench) fresh() {
	b.Helper()
	machine, err := worktree.OpenMachine(b.kv, b.blobs, worktree.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = machine.Close() })
	b.inputs = disk.New(disk.Options{Path: actionPath, Bound: bound, Depfile: dependencies})
	b.desk = remote.New(remote.Options{
		Inputs: b.inputs,
		Files:  machine, Blobs: b.blobs, Depfile: dependencies, Manifests: remote.NewShelf(b.kv), Bound: bound, Path: actionPath, Trusted: b.trusted,
		Current: func(context.Context, *action.Step) (bool, error) { return !b.upgraded, nil },
		Toolchain: func(ctx context.Context, spec, dirs string) (string, error) {
			if spec == "host" {
				return spec, nil
			}
			return toolchains().Digest(ctx, toolchain.Spec{Spec: spec, Dirs: dirs})
		},
	})
	b.begin()
}

func (b *bench) begin() {
	b.Helper()
	if err := b.desk.Begin(b.Context(), b.blobs.Lease()); err != nil {
		b.Fatal(err)
	}
}

func dependencies(text string) ([]string, error) {
	d, err := depfile.Parse(text)
	return d.Ins, err
}

func (b *bench) write(p, content string) {
	b.Helper()
	p = filepath.Join(b.dir, p)
	if target, is := strings.CutPrefix(content, "-> "); is {
		b.do(os.MkdirAll(filepath.Dir(p), 0o755))
		b.do(os.Symlink(target, p))
		return
	}
	b.do(os.MkdirAll(filepath.Dir(p), 0o755))
	b.do(os.WriteFile(p, []byte(content), 0o644))
}

func (b *bench) do(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) request(command string) remote.Request {
	return remote.Request{Shell: command, Dir: b.dir, Getenv: func(name string) (string, bool) { v, ok := b.env[name]; return v, ok }}
}

func (b *bench) prepare(command string) *remote.Prepared {
	b.Helper()
	p, err := b.desk.Prepare(b.Context(), b.request(command))
	b.do(err)
	return p
}

// step is prepare for what can go elsewhere.
func (b *bench) step(command string) *remote.Prepared {
	b.Helper()
	p := b.prepare(command)
	if len(p.Local) > 0 {
		b.Fatalf("%s: only here: %v", command, p.Local)
	}
	return p
}

// ran is what a command left: what it said, how it ended, and its files.
type ran struct {
	said  string
	code  int
	files map[string]string
}

func (r ran) equal(o ran) error {
	if r.said != o.said || r.code != o.code {
		return fmt.Errorf("exit %d, %q; want %d, %q", r.code, r.said, o.code, o.said)
	}
	for p, content := range o.files {
		if got, ok := r.files[p]; !ok || got != content {
			return fmt.Errorf("%s differs: there %v, %d bytes; want %d bytes", p, ok, len(got), len(content))
		}
	}
	if len(r.files) != len(o.files) {
		return fmt.Errorf("%d files, want %d", len(r.files), len(o.files))
	}
	return nil
}

// plainly runs a command as make or ninja does, and removes what it made.
func (b *bench) plainly(command string, outputs []string) ran {
	b.Helper()
	cmd := exec.Command("/bin/sh", "-c", command)
	cmd.Dir = b.dir
	for name, v := range b.env {
		cmd.Env = append(cmd.Env, name+"="+v)
	}
	return b.left(cmd, outputs)
}

func (b *bench) left(cmd *exec.Cmd, outputs []string) ran {
	b.Helper()
	said, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		b.Fatal(err)
	}
	return ran{said: string(said), code: cmd.ProcessState.ExitCode(), files: b.taken(outputs)}
}

// taken removes files and returns what was in them.
func (b *bench) taken(outputs []string) map[string]string {
	b.Helper()
	files := map[string]string{}
	for _, o := range outputs {
		p := o
		if !filepath.IsAbs(p) {
			p = filepath.Join(b.dir, o)
		}
		content, err := os.ReadFile(p)
		if err != nil {
			continue
		}
		files[o] = string(content)
		b.do(os.Remove(p))
	}
	return files
}

// elsewhere runs a step as another machine does: with its inputs and the
// machine's own programs alone, at the same places.
func (b *bench) elsewhere(s *action.Step) *action.Result {
	b.Helper()
	aside := b.dir + ".aside"
	b.do(os.Rename(b.dir, aside))
	defer func() {
		b.do(os.RemoveAll(b.dir))
		b.do(os.Rename(aside, b.dir))
	}()
	b.layOut(s.Inputs, "/")
	for _, p := range b.lost {
		b.do(os.Remove(filepath.Join(b.dir, p)))
	}
	cmd := exec.Command(s.Argv[0], s.Argv[1:]...)
	cmd.Dir = "/" + s.Dir
	cmd.Env = []string{"PATH=" + actionPath, "HOME=/nowhere", "TZ=UTC", "SOURCE_DATE_EPOCH=315532800"}
	if !slices.ContainsFunc(s.Env, func(e action.Property) bool { return e.Name == "LANG" || strings.HasPrefix(e.Name, "LC_") }) {
		cmd.Env = append(cmd.Env, "LANG=C", "LC_ALL=C")
	}
	for _, e := range s.Env {
		cmd.Env = append(cmd.Env, e.Name+"="+e.Value)
	}
	outputs := make([]string, len(s.Outputs))
	for i, o := range s.Outputs {
		outputs[i] = "/" + o
		b.do(os.MkdirAll(filepath.Dir(outputs[i]), 0o755))
	}
	left := b.left(cmd, outputs)
	if left.code != 0 {
		left.files = nil // nothing comes back of what failed
	}
	return b.result(left, s)
}

func (b *bench) result(left ran, s *action.Step) *action.Result {
	b.Helper()
	r := &action.Result{ExitCode: left.code, Isolation: action.Full}
	if left.said != "" {
		r.Stdout = b.keep(left.said)
	}
	for _, o := range s.Outputs {
		content, made := left.files["/"+o]
		switch {
		case made:
			r.Outputs = append(r.Outputs, action.Output{Path: o, Kind: action.File, Digest: b.keep(content)})
		case left.code == 0:
			r.Message = "no output " + o
		}
	}
	return r
}

func (b *bench) keep(content string) digest.Digest {
	b.Helper()
	d, err := store.AddBytes(b.Context(), b.blobs, []byte(content))
	b.do(err)
	return d
}

// layOut writes a tree of which all but directories lies within the project.
func (b *bench) layOut(d digest.Digest, at string) {
	b.Helper()
	content, err := store.ReadAll(b.Context(), b.blobs, d, 1<<20)
	b.do(err)
	var m repb.Directory
	b.do(proto.Unmarshal(content, &m))
	if err := os.Mkdir(at, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		b.Fatal(err)
	}
	for _, f := range m.Files {
		fd, err := action.DigestOf(f.Digest)
		b.do(err)
		content, err := store.ReadAll(b.Context(), b.blobs, fd, 64<<20)
		b.do(err)
		b.do(os.WriteFile(filepath.Join(at, f.Name), content, 0o644))
	}
	for _, l := range m.Symlinks {
		if err := os.Symlink(l.Target, filepath.Join(at, l.Name)); err != nil && !errors.Is(err, fs.ErrExist) {
			b.Fatal(err)
		}
	}
	for _, sub := range m.Directories {
		below, err := action.DigestOf(sub.Digest)
		b.do(err)
		b.layOut(below, filepath.Join(at, sub.Name))
	}
}

// through runs a command elsewhere and takes it back.
func (b *bench) through(p *remote.Prepared) (remote.Outcome, *action.Result) {
	b.Helper()
	r := b.elsewhere(&p.Step)
	o, err := b.desk.Finish(b.Context(), p, p.Action, r)
	b.do(err)
	return o, r
}

// compare runs a command here and elsewhere, and wants the same of both.
func (b *bench) compare(command string) {
	b.Helper()
	p := b.step(command)
	want := b.plainly(command, p.Command.Outputs)
	b.begin()
	p = b.step(command)
	o, _ := b.through(p)
	if o.Suspect != "" {
		b.Fatalf("%s: not believed: %s", command, o.Suspect)
	}
	got := ran{said: string(o.Said), code: o.ExitCode, files: b.taken(p.Command.Outputs)}
	if want.code != 0 {
		want.files = nil
	}
	if err := got.equal(want); err != nil {
		b.Errorf("%s: %v", command, err)
	}
	if want.code == 0 && len(want.files) != len(p.Command.Outputs) {
		b.Errorf("%s makes %d of the files %v", command, len(want.files), p.Command.Outputs)
	}
}

// cpu is the time that this process and its children have had.
func cpu() (ns int64) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var r syscall.Rusage
		if syscall.Getrusage(who, &r) == nil {
			ns += r.Utime.Nano() + r.Stime.Nano()
		}
	}
	return ns
}

func says(reasons []string, what string) bool {
	return slices.ContainsFunc(reasons, func(r string) bool { return strings.Contains(r, what) })
}
