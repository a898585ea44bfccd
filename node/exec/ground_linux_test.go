package exec_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/buildnet/buildnet/node/exec"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// tools is a directory that every action of a rig sees, besides the usual ones.
func toolsOf(t *testing.T, files map[string]string) (project, *rig) {
	t.Helper()
	p := newProject(t, files)
	r := newRig(t, func(o *exec.Options) { o.ToolchainDirs = append(exec.DefaultToolchainDirs(), p.dir) })
	if level, missing := r.Isolation(); level != action.Full {
		t.Skipf("no sandbox here: %s", missing)
	}
	return p, r
}

// touched is a script that prints the content of files, and whether it is the
// machine's own: copies have the time of inputs.
const touched = `see() { for f; do test "$(stat -c %Y $f)" = 315532800 && echo "copy $(cat $f)" || echo "own $(cat $f)"; done; }; `

func TestFilesOfTheMachineStandForEqualInputs(t *testing.T) {
	p, r := toolsOf(t, map[string]string{"include/a.h": "a", "include/b.h": "b", "include/sub/c.h": "c", "bin/tool": "t"})
	w := absolute(sh(touched+"cd "+p.dir+"; see include/*.h include/sub/* bin/*; ! touch include/x 2>/dev/null"), "/home/u")
	for name, c := range map[string]struct {
		change func(map[string]string)
		want   string
	}{
		"all equal":       {func(map[string]string) {}, "own a\nown b\nown c\nown t\n"},
		"one differs":     {func(in map[string]string) { in["include/b.h"] = "B" }, "own a\ncopy B\nown c\nown t\n"},
		"one is new":      {func(in map[string]string) { in["include/n.h"] = "n" }, "own a\nown b\ncopy n\nown c\nown t\n"},
		"one below":       {func(in map[string]string) { in["include/sub/c.h"] = "C" }, "own a\nown b\ncopy C\nown t\n"},
		"on both levels":  {func(in map[string]string) { in["include/sub/c.h"], in["bin/new"] = "C", "n" }, "own a\nown b\ncopy C\ncopy n\nown t\n"},
		"an executable":   {func(in map[string]string) { in["include/b.h"] = "#!b" }, "own a\ncopy #!b\nown c\nown t\n"},
		"a new directory": {func(in map[string]string) { in["include/dir/n.h"] = "n" }, "own a\nown b\nown c\nown t\n"},
	} {
		t.Run(name, func(t *testing.T) {
			in := map[string]string{"include/a.h": "a", "include/b.h": "b"}
			c.change(in)
			w.inputs = map[string]string{}
			for name, content := range in {
				w.inputs[strings.TrimPrefix(p.path(name), "/")] = content
			}
			for range 2 { // the second time by what is remembered
				if got := r.stdout(r.must(w)); got != c.want {
					t.Errorf("printed\n%swant\n%s", got, c.want)
				}
			}
		})
	}
	if p.read("include/b.h") != "b" {
		t.Error("the machine's own file has changed")
	}
	if _, err := os.Stat(p.path("include/n.h")); err == nil {
		t.Error("a file was made on the machine itself")
	}
}

func TestAFileOfTheMachineThatChangesIsReadAgain(t *testing.T) {
	p, r := toolsOf(t, map[string]string{"a.h": "old"})
	w := absolute(sh("cat "+p.path("a.h")), "/home/u")
	w.inputs = map[string]string{strings.TrimPrefix(p.path("a.h"), "/"): "old"}
	for _, content := range []string{"old", "new", "odd", "old"} {
		p.write("a.h", content)
		if got := r.stdout(r.must(w)); got != "old" {
			t.Errorf("with %q there: printed %q", content, got)
		}
	}
}

func TestAFileThatChangesWhileTheActionRunsSpoilsIt(t *testing.T) {
	p, r := toolsOf(t, map[string]string{"a.h": "old"})
	w := absolute(sh("cat "+p.path("a.h")), "/home/u")
	w.inputs = map[string]string{strings.TrimPrefix(p.path("a.h"), "/"): "old"}
	_, err := r.Execute(context.Background(), exec.Request{Action: r.action(w)}, func() { p.write("a.h", "other") })
	if err == nil || !strings.Contains(err.Error(), p.path("a.h")) {
		t.Errorf("Execute = %v", err)
	}
}

func TestInputsOfAnotherKindThanTheMachines(t *testing.T) {
	p, r := toolsOf(t, map[string]string{"dir/x": "theirs", "file": "theirs", "d/e/f": "theirs"})
	if err := os.Symlink("file", p.path("link")); err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return strings.TrimPrefix(p.path(name), "/") }
	w := absolute(sh("cd "+p.dir+"; cat dir; cat file/x; cat link/y; readlink d; cat d/f"), "/home/u")
	w.inputs = map[string]string{in("dir"): "1", in("file/x"): "2", in("link/y"): "3", in("d2/f"): "4"}
	w.links = map[string]string{in("d"): "d2"}
	if got := r.stdout(r.must(w)); got != "123d2\n4" {
		t.Errorf("printed %q", got)
	}
}

func TestTheMachinesOwnLinksAndDirectoriesGiveWay(t *testing.T) {
	p, r := toolsOf(t, map[string]string{"x": "theirs"})
	at := strings.TrimPrefix(p.dir, "/")
	w := absolute(sh("cat "+p.dir), "/home/u")
	w.inputs = map[string]string{at: "a file"}
	if got := r.stdout(r.must(w)); got != "a file" {
		t.Errorf("a file for a directory: printed %q", got)
	}
	w = absolute(sh("cat "+p.dir+"/x"), "/home/u")
	w.inputs = map[string]string{"data/x": "ours"}
	w.links = map[string]string{filepath.Dir(at): "/data", "data/" + filepath.Base(at): "."}
	if got := r.stdout(r.must(w)); got != "ours" {
		t.Errorf("a link above it: printed %q", got)
	}
}

func TestExactDirectoriesHoldInputsAlone(t *testing.T) {
	p, r := toolsOf(t, map[string]string{"include/a.h": "a", "include/b.h": "b", "empty/c.h": "c", "other/d.h": "d"})
	w := absolute(sh("cd "+p.dir+"; find . -type f | sort; ! touch include/x 2>/dev/null"), "/home/u")
	w.inputs = map[string]string{strings.TrimPrefix(p.path("include/a.h"), "/"): "a"}
	w.platform = append(w.platform, action.Property{Name: action.PropertyRootExact, Value: p.path("include") + ":" + p.path("empty") + ":/opt/exact"})
	if got, want := r.stdout(r.must(w)), "./include/a.h\n./other/d.h\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}

func TestOthersFilesOfAProjectAmongToolsAreNotSeen(t *testing.T) {
	p, r := toolsOf(t, map[string]string{"proj/src/a": "old", "proj/src/undeclared": "x", "proj/build/old": "x", "bin/tool": "t"})
	w := absolute(sh("ls -R ..; cat ../src/a "+p.path("bin/tool")+" > out", "out"), p.path("proj/build"))
	at := strings.TrimPrefix(p.dir, "/")
	w.inputs = map[string]string{at + "/proj/src/a": "new"}
	result := r.must(w)
	if got := r.output(result, at+"/proj/build/out"); got != "newt" {
		t.Errorf("out = %q", got)
	}
	if got := r.stdout(result); strings.Contains(got, "undeclared") || strings.Contains(got, "old") {
		t.Errorf("seen: %s", got)
	}
}

func TestWhatOthersMayNotReadIsCopied(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a user's node may read what its actions may")
	}
	p, r := toolsOf(t, map[string]string{"a.h": "a", "dir/b.h": "b"})
	for name, mode := range map[string]os.FileMode{"a.h": 0o600, "dir": 0o700} {
		if err := os.Chmod(p.path(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	w := absolute(sh("cat "+p.path("a.h")+" "+p.path("dir/b.h")), "/home/u")
	w.inputs = inputs(t, p.path("a.h"), p.path("dir/b.h"))
	if got := r.stdout(r.must(w)); got != "ab" {
		t.Errorf("printed %q", got)
	}
}

func TestHomeOfTheNodeIsHiddenUnderInputs(t *testing.T) {
	p := newProject(t, map[string]string{"lib/home/key": "secret", "lib/x": "x"})
	r := newRig(t, func(o *exec.Options) {
		o.ToolchainDirs, o.Hidden = append(exec.DefaultToolchainDirs(), p.dir), []string{p.path("lib/home")}
	})
	if level, missing := r.Isolation(); level != action.Full {
		t.Skip(missing)
	}
	w := absolute(sh("cat "+p.path("lib/x")+" "+p.path("lib/new")+"; test ! -e "+p.path("lib/home/key")), "/home/u")
	w.inputs = map[string]string{strings.TrimPrefix(p.path("lib/x"), "/"): "y", strings.TrimPrefix(p.path("lib/new"), "/"): "n"}
	if got := r.stdout(r.must(w)); got != "yn" {
		t.Errorf("printed %q", got)
	}
	w.platform = append(w.platform, action.Property{Name: action.PropertyRootExact, Value: p.path("lib")})
	r.must(w)
}

func TestPlacesThatNoInputCanHave(t *testing.T) {
	home := t.TempDir()
	r := newRig(t, func(o *exec.Options) { o.Hidden = []string{home} })
	if level, missing := r.Isolation(); level != action.Full {
		t.Skip(missing)
	}
	many := map[string]string{}
	for i := range 1001 {
		many["d"+strconv.Itoa(i)+"/x"] = "x"
	}
	exact := action.Property{Name: action.PropertyRootExact, Value: "/a/../b"}
	for name, c := range map[string]struct {
		work
		want error
	}{
		"users":           {work{inputs: map[string]string{"etc/passwd": "root::0:0::/:/bin/sh"}}, exec.ErrMalformed},
		"a link to users": {work{links: map[string]string{"etc/passwd": "/home/passwd"}}, exec.ErrMalformed},
		"groups":          {work{inputs: map[string]string{"etc/group/x": "x"}}, exec.ErrMalformed},
		"processes":       {work{inputs: map[string]string{"proc/self/x": "x"}}, exec.ErrMalformed},
		"a link for them": {work{links: map[string]string{"proc": "/home"}}, exec.ErrMalformed},
		"the kernel":      {work{inputs: map[string]string{"sys/x": "x"}}, exec.ErrMalformed},
		"devices":         {work{inputs: map[string]string{"dev/null": "x"}}, exec.ErrMalformed},
		"the sandbox":     {work{inputs: map[string]string{"buildnet/home/x": "x"}}, exec.ErrMalformed},
		"no directory":    {work{links: map[string]string{"var": "/home"}}, exec.ErrMalformed},
		"works in /proc":  {work{dir: "/proc/self"}, exec.ErrMalformed},
		"makes a device":  {work{outputs: []string{"../../dev/shm/x"}}, exec.ErrMalformed},
		"makes in /":      {work{outputs: []string{"../../x"}}, exec.ErrMalformed},
		"makes in /etc":   {work{outputs: []string{"../../etc/x"}}, exec.ErrMalformed},
		"many places":     {work{inputs: many}, exec.ErrMalformed},
		"not clean":       {work{platform: []action.Property{exact}}, exec.ErrMalformed},
		"another root":    {work{platform: []action.Property{{Name: action.PropertyRoot, Value: "relative"}}}, exec.ErrMalformed},
		"no sandbox":      {work{platform: []action.Property{{Name: action.PropertySandbox, Value: "none"}}}, exec.ErrMalformed},
		"in the home":     {work{inputs: map[string]string{home[1:] + "/x": "x"}}, exec.ErrUnable},
		"at the home":     {work{links: map[string]string{home[1:]: "/"}}, exec.ErrUnable},
		"works there":     {work{dir: home}, exec.ErrUnable},
	} {
		t.Run(name, func(t *testing.T) {
			c.argv = []string{"/bin/true"}
			dir := c.dir
			if dir == "" {
				dir = "/home/u"
			}
			_, err := r.Execute(context.Background(), exec.Request{Action: r.action(absolute(c.work, dir))}, func() { t.Error("it ran") })
			if !errors.Is(err, c.want) {
				t.Errorf("Execute = %v, want %v", err, c.want)
			}
		})
	}
}

// rawAction makes an action of a root that no honest member would make.
func (r *rig) rawAction(root *repb.Directory, argv ...string) digest.Digest {
	r.t.Helper()
	c := &repb.Command{Arguments: argv}
	return r.put(&repb.Action{
		CommandDigest: action.ReapiDigest(r.put(c)), InputRootDigest: action.ReapiDigest(r.put(root)),
		Platform: &repb.Platform{Properties: []*repb.Platform_Property{{Name: action.PropertyRoot, Value: action.RootAbsolute}}},
	})
}

func TestTreesOfStrangers(t *testing.T) {
	r := sandboxed(t)
	content, err := store.AddBytes(t.Context(), r.blobs, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string) *repb.FileNode {
		return &repb.FileNode{Name: name, Digest: action.ReapiDigest(content)}
	}
	empty := action.ReapiDigest(r.put(&repb.Directory{}))
	for name, root := range map[string]*repb.Directory{
		"twice":           {Files: []*repb.FileNode{file("a"), file("a")}},
		"of two kinds":    {Files: []*repb.FileNode{file("a")}, Directories: []*repb.DirectoryNode{{Name: "a", Digest: empty}}},
		"above":           {Directories: []*repb.DirectoryNode{{Name: "..", Digest: empty}}},
		"several names":   {Files: []*repb.FileNode{file("usr/x")}},
		"no name":         {Symlinks: []*repb.SymlinkNode{{Target: "/etc"}}},
		"no content":      {Files: []*repb.FileNode{{Name: "a"}}},
		"no such content": {Directories: []*repb.DirectoryNode{{Name: "usr", Digest: &repb.Digest{Hash: "zz"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.Execute(context.Background(), exec.Request{Action: r.rawAction(root, "/bin/true")}, func() { t.Error("it ran") })
			if !errors.Is(err, exec.ErrMalformed) {
				t.Errorf("Execute = %v", err)
			}
		})
	}
}

// A link among the inputs leads to where an action may not write: nothing is
// made there by whoever makes its sandbox, with the rights of root perhaps.
func TestLinksOfStrangersLeadNowhere(t *testing.T) {
	victim := newProject(t, map[string]string{"x": "x"})
	if err := os.Chmod(victim.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	tools := newProject(t, map[string]string{"sub/x": "x"})
	r := newRig(t, func(o *exec.Options) { o.ToolchainDirs = append(exec.DefaultToolchainDirs(), tools.path("sub")) })
	if level, missing := r.Isolation(); level != action.Full {
		t.Skip(missing)
	}
	up := strings.TrimPrefix(tools.dir, "/")
	for i, links := range []map[string]string{
		{"tmp": victim.dir}, {up: victim.dir}, {up + "/sub": victim.dir}, {"usr": victim.dir}, {"usr/lib": victim.dir},
		{"usr/local": victim.dir}, {"etc/alternatives": victim.dir}, {"var/tmp": victim.dir}, {"home": victim.dir}, {"lib64": victim.dir},
		{"usr/include": victim.dir, "usr/src/p/x": victim.dir}, {"usr/link": victim.dir}, {"usr/link": "../../../../../../../.." + victim.dir},
	} {
		w := absolute(work{argv: []string{"/bin/true"}, links: links}, "/work/p")
		w.outputs = []string{"made", "../../usr/link/made"}
		if _, err := r.Execute(context.Background(), exec.Request{Action: r.action(w)}, func() {}); err != nil {
			t.Errorf("%d: %v", i, err)
		}
		left, err := os.ReadDir(victim.dir)
		if err != nil || len(left) != 1 {
			t.Errorf("%d: made in the victim's directory: %v, %v", i, left, err)
		}
	}
}

// BenchmarkExecuteCompile is the overhead of an action with the inputs of a C++
// compile, of which three quarters are headers of the system.
func BenchmarkExecuteCompile(b *testing.B) {
	const own, theirs = 60, 180
	machine, err := os.MkdirTemp("", "headers")
	if err != nil {
		b.Fatal(err)
	}
	defer os.RemoveAll(machine)
	if err := os.Chmod(machine, 0o755); err != nil {
		b.Fatal(err)
	}
	files := map[string]string{}
	for i := range own + theirs {
		content := strings.Repeat(fmt.Sprintf("int header%d;\n", i), 300)
		at := fmt.Sprintf("home/u/p/include/part%d/%d.h", i%4, i)
		if i >= own {
			at = fmt.Sprintf("%s/part%d/%d.h", machine, i%4, i)
			if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
				b.Fatal(err)
			}
			if err := os.WriteFile(at, []byte(content), 0o644); err != nil {
				b.Fatal(err)
			}
			at = at[1:]
		}
		files[at] = content
	}
	for name, w := range map[string]work{
		"Fixed":    {argv: []string{"/bin/true"}, dir: "home/u/p", inputs: files},
		"Absolute": absolute(work{argv: []string{"/bin/true"}, inputs: files}, "/home/u/p"),
	} {
		b.Run(name, func(b *testing.B) {
			r := newRig(b, func(o *exec.Options) { o.ToolchainDirs = append(exec.DefaultToolchainDirs(), machine) })
			r.Isolation()
			d := r.action(w)
			own, children := usage()
			for b.Loop() {
				if result, err := r.Execute(context.Background(), exec.Request{Action: d}, func() {}); err != nil || !result.OK() {
					b.Fatal(result, err)
				}
			}
			own2, children2 := usage()
			b.ReportMetric(float64(own2-own)/float64(b.N), "node-cpu-ns/op")
			b.ReportMetric(float64(children2-children)/float64(b.N), "sandbox-cpu-ns/op")
		})
	}
}
