package exec_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/node/exec"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// ordinary has inputs and an output deep in directories, and goes on until there is
// a file called go beside the output.
func ordinary(script string) work {
	w := sh(script+"\nwhile [ ! -e out/deep/er/go ]; do sleep .01; done; echo > out/deep/er/file", "out/deep/er/file")
	w.timeout = 30 * time.Second
	w.inputs = map[string]string{"in/deep/er/file": "content", "in/other": "more", "other/file": "x"}
	return w
}

// during executes w, and has do look at its scratch directory while it runs.
func (r *rig) during(w work, do func(dir string)) {
	r.t.Helper()
	result, err := r.Execute(context.Background(), exec.Request{Action: r.action(w), Name: "test"}, func() {
		left, err := filepath.Glob(filepath.Join(r.dir, "*"))
		if err != nil || len(left) != 1 {
			r.t.Errorf("scratch directories %v, %v", left, err)
			return
		}
		do(left[0])
		if err := os.WriteFile(filepath.Join(left[0], "work", "out/deep/er/go"), nil, 0o644); err != nil {
			r.t.Error(err)
		}
	})
	if err != nil || !result.OK() {
		r.t.Fatalf("%v, %+v: %s", err, result, r.stdout(result))
	}
}

// look is what an action can learn of each file below dir, but for what no two
// directories have in common.
func look(t *testing.T, dir string) map[string]string {
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil {
			err = unix.Lstat(p, &st)
		}
		name, _ := filepath.Rel(dir, p)
		s := fmt.Sprintf("mode %o owner %d:%d links %d", st.Mode, st.Uid, st.Gid, st.Nlink)
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			s += fmt.Sprintf(" size %d", st.Size)
		}
		if strings.HasPrefix(name, "work/") {
			s += fmt.Sprintf(" read %d changed %d", st.Atim.Sec, st.Mtim.Sec)
		}
		if owned := name == "tmp" || name == "home"; owned && time.Since(time.Unix(st.Mtim.Unix())) > time.Minute {
			s += " old"
		}
		all[name] = s + attributes(p) + content(p)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return all
}

func attributes(p string) string {
	list := make([]byte, 1<<10)
	n, err := unix.Llistxattr(p, list)
	s := fmt.Sprintf(" attributes %q %v", list[:max(n, 0)], err)
	fd, err := unix.Open(p, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return s
	}
	defer func() { _ = unix.Close(fd) }()
	flags, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
	return s + fmt.Sprintf(" flags %x %v", flags, err)
}

func content(p string) string {
	if info, err := os.Lstat(p); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	b, err := os.ReadFile(p)
	return fmt.Sprintf(" %q %v", b, err)
}

func nothing(string) {}

// of is the same rig in a test within.
func (r *rig) of(t *testing.T) *rig {
	within := *r
	within.t = t
	return &within
}

// inodes are those of the directories below dir.
func inodes(t *testing.T, dir string) map[string]uint64 {
	all := map[string]uint64{}
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		var st syscall.Stat_t
		if err == nil && e.IsDir() {
			err = syscall.Lstat(p, &st)
			name, _ := filepath.Rel(dir, p)
			all[name] = st.Ino
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return all
}

func TestDirectoriesAreHadAgainIfTheyAreAsNew(t *testing.T) {
	r := sandboxed(t)
	var first, second map[string]uint64
	r.during(ordinary(""), func(dir string) { first = inodes(t, dir) })
	if left, err := os.ReadDir(r.dir); err != nil || len(left) != 1 {
		t.Skipf("nothing is kept on this file system: %v, %v", left, err)
	}
	r.during(ordinary("ls -R . /tmp ~"), func(dir string) { second = inodes(t, dir) })
	for _, name := range []string{".", "root", "tmp", "home"} {
		if first[name] != second[name] {
			t.Errorf("%s is another", name)
		}
	}
	t.Logf("%v, then %v", first, second)
}

func TestNothingOfAnActionIsSeenByTheNext(t *testing.T) {
	r := sandboxed(t)
	var want map[string]string
	r.during(ordinary(""), func(dir string) { want = look(t, dir) })
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	scripts := map[string]string{
		"reading":       "ls -R . /tmp ~; cat in/other",
		"modes":         "chmod 1777 /tmp; chmod 0 ~; chmod 700 in in/deep; chmod 2755 other",
		"mode and back": "chmod 700 /tmp ~ in/deep other; chmod 755 /tmp ~ in/deep other",
		"times":         "touch -d @5 /tmp ~ in in/deep other in/other",
		"files":         "echo x > /tmp/x; echo x > ~/x; echo x > in/x; echo x > in/deep/x; echo x > in/other",
		"files gone":    "for d in /tmp ~ in in/deep other; do echo x > $d/x; rm $d/x; done",
		"odd names":     "for d in /tmp ~ in/deep; do touch -- $d/-rf \"$d/a b\n\" $d/... $d/$(printf %0255d 0) $d/$(printf '\\377'); mkfifo $d/p; done",
		"many":          "for d in /tmp ~ in other; do i=0; while [ $i -lt 300 ]; do : > $d/$i-$(printf %0200d 0); i=$((i+1)); done; rm $d/*-0*; done",
		"deep":          "cd in/deep; i=0; n=$(printf %0100d 0); while [ $i -lt 35 ]; do mkdir $n; cd $n; i=$((i+1)); done; touch x; cd /buildnet/work",
		"locked":        "for d in /tmp ~ in; do mkdir -p $d/a/b; touch $d/a/b/c; chmod 0 $d/a/b $d/a; done; chmod 0 in",
		"moved":         "mv in/deep in/x; mkdir in/deep; mv other in/deep/er; mkdir other",
		"exchanged":     "mv in/deep /tmp/x 2>/dev/null || cp -r in/deep /tmp/x; mv in x; mv other in; mv x other",
		"links":         "rm -r in/deep; ln -s " + outside + " in/deep; ln -s " + outside + " other/x; rm -r other; ln -s in other; ln in/other in/y",
		"left running":  "for d in /tmp ~ in in/deep other; do setsid /bin/sh -c 'while :; do : > '$d'/late; rm -f '$d'/late; done' >/dev/null 2>&1 & done; sleep .05",
		"held open":     "for d in /tmp ~ in in/deep; do (cd $d; exec 9< .; exec setsid sleep 60) >/dev/null 2>&1 & done; exec 8< in",
		"mounted":       "for d in /tmp ~ in other; do unshare -rm /bin/sh -c 'mount -t tmpfs x '$d' && : > '$d'/x' 2>/dev/null || : > $d/x; done",
		"overlaid":      "mkdir /tmp/w; unshare -rm /bin/sh -c 'mount -t overlay x -o lowerdir=other,upperdir=in/deep,workdir=/tmp/w other && : > other/x' 2>/dev/null || true; rm -rf /tmp/w",
		"gone":          "rm -r in other; mkdir in in/deep in/deep/er other",
	}
	for name, script := range scripts {
		t.Run(name, func(t *testing.T) {
			r := r.of(t)
			r.during(ordinary(script), nothing)
			r.during(ordinary(""), func(dir string) { same(t, look(t, dir), want) })
		})
	}
	for name, spoil := range attributeTests() {
		t.Run(name, func(t *testing.T) {
			r := r.of(t)
			var unable error
			r.during(ordinary(""), func(dir string) {
				for _, d := range []string{"tmp", "home", "work/in", "work/in/deep", "work/other", "work"} {
					unable = errors.Join(unable, spoil(filepath.Join(dir, d)))
				}
			})
			if unable != nil {
				t.Skip(unable)
			}
			r.during(ordinary(""), func(dir string) { same(t, look(t, dir), want) })
		})
	}
	t.Run("many inputs", func(t *testing.T) {
		r := sandboxed(t)
		w := ordinary("")
		for i := range 300 {
			w.inputs[fmt.Sprintf("in/deep/er/%d-%0200d", i, 0)] = ""
		}
		r.during(w, nothing)
		r.during(ordinary(""), func(dir string) { same(t, look(t, dir), want) })
	})
	if _, err := os.Stat(filepath.Join(outside, "file")); err != nil {
		t.Errorf("what a link leads to: %v", err)
	}
}

// attributeTests are what an action can do to a directory that is its own, with
// programs that not every machine has.
func attributeTests() map[string]func(dir string) error {
	list := "\x02\x00\x00\x00" + "\x01\x00\x07\x00\xff\xff\xff\xff" + "\x04\x00\x05\x00\xff\xff\xff\xff" + "\x20\x00\x05\x00\xff\xff\xff\xff"
	flag := func(flag uint32) func(string) error {
		return func(dir string) error {
			f, err := os.Open(dir)
			if err != nil {
				return err
			}
			defer f.Close()
			flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
			if err != nil {
				return err
			}
			return unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(flags|flag))
		}
	}
	return map[string]func(string) error{
		"attribute":    func(dir string) error { return unix.Setxattr(dir, "user.x", []byte("x"), 0) },
		"rights":       func(dir string) error { return unix.Setxattr(dir, "system.posix_acl_default", []byte(list), 0) },
		"not dumped":   flag(0x40), // FS_NODUMP_FL
		"read in time": flag(0x80), // FS_NOATIME_FL
		"synchronous":  flag(0x10000),
	}
}

func same(t *testing.T, got, want map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			t.Errorf("%q: %s, want %s", name, got[name], want[name])
		}
		delete(got, name)
	}
	for name, s := range got {
		t.Errorf("%q: %s", name, s)
	}
}

func TestADirectoryThatIsChangedWhileNoActionHasItIsMadeAnew(t *testing.T) {
	r := sandboxed(t)
	var want map[string]string
	r.during(ordinary(""), func(dir string) { want = look(t, dir) })
	for _, d := range []string{"tmp", "home", "work", "work/in", "work/in/deep"} {
		at, err := filepath.Glob(filepath.Join(r.dir, "*", d))
		if err != nil || len(at) == 0 {
			continue // it is not kept here
		}
		if err := os.WriteFile(filepath.Join(at[0], "x"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		r.during(ordinary(""), func(dir string) { same(t, look(t, dir), want) })
	}
}

// Whoever has the network of the host can hand a descriptor of its directories on.
func TestNothingIsKeptWhereAnotherMayHaveItOpen(t *testing.T) {
	r := sandboxed(t)
	online := sh("true")
	online.platform = []action.Property{{Name: action.PropertyNetwork, Value: "true"}}
	plain := sh("true")
	plain.platform = []action.Property{{Name: action.PropertySandbox, Value: "none"}}
	for _, w := range []work{online, plain} {
		r.must(w)
		if left, err := os.ReadDir(r.dir); err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	}
}

func TestInputsAtTheirOwnPlacesComeAfterOthers(t *testing.T) {
	r := sandboxed(t)
	plain := sh("find . -type f; find . -type d")
	plain.inputs = map[string]string{"home/u/p/in": "", "home/u/old/in": ""}
	other := absolute(sh("find /home -type f; find /home -type d; echo > made"), "/home/u/p")
	other.inputs = map[string]string{"home/u/p/in": ""}
	first, own := r.stdout(r.must(plain)), r.stdout(r.must(other))
	for range 2 {
		if again := r.stdout(r.must(plain)); again != first {
			t.Errorf("%s, then %s", first, again)
		}
		if again := r.stdout(r.must(other)); again != own || strings.Contains(own, "old") {
			t.Errorf("%s, then %s", own, again)
		}
	}
}

func TestDirectoriesOfOutputsBehindALinkAreNotKept(t *testing.T) {
	r := sandboxed(t)
	w := work{argv: []string{"/usr/bin/find", ".", "-type", "d"}, inputs: map[string]string{"real/in": ""}, links: map[string]string{"link": "real"}}
	first := r.stdout(r.must(w))
	behind := w
	behind.outputs = []string{"link/sub/out"}
	behind.platform = []action.Property{{Name: action.PropertyOutputs, Value: action.OutputsOptional}}
	r.must(behind)
	if again := r.stdout(r.must(w)); again != first {
		t.Errorf("%s, then %s", first, again)
	}
}

// TestAnyActionAfterAnyOther has actions with trees of all kinds see the same in a
// scratch directory that others had and in one that is new.
func TestAnyActionAfterAnyOther(t *testing.T) {
	used := sandboxed(t)
	fresh := newRig(t, func(o *exec.Options) { o.Blobs = used.blobs })
	fresh.blobs = used.blobs
	rapid.Check(t, func(t *rapid.T) {
		for range rapid.IntRange(1, 2).Draw(t, "actions") {
			d := used.draw(t)
			got, want := used.seen(d), fresh.seen(d)
			if got != want {
				t.Fatalf("an action sees %s\nwant %s", got, want)
			}
			if err := fresh.Renew(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// draw makes an action out of few names.
func (r *rig) draw(t *rapid.T) digest.Digest {
	paths := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "a/a", "a/b", "b/a/c", "c/a/b", "c/c"}), 0, 3).Draw(t, "outputs")
	script := "find . -printf '%p %y %m %n %s %T@ %l\\n'; find . -type f -exec head -n 9 {} + 2>&1; " +
		rapid.SampledFrom([]string{"true", "touch a/x b/x", "mkdir a/b b/c c", "rm -r a", "mv a d", "chmod 700 b", "ln -s b c/l", "ls -R"}).Draw(t, "script") + " 2>/dev/null; true"
	c := r.put(&repb.Command{Arguments: []string{"/bin/sh", "-c", script}, OutputPaths: paths})
	platform := &repb.Platform{Properties: []*repb.Platform_Property{{Name: action.PropertyOutputs, Value: action.OutputsOptional}}}
	root := r.drawDirectory(t, 0)
	return r.put(&repb.Action{CommandDigest: action.ReapiDigest(c), InputRootDigest: action.ReapiDigest(root), Platform: platform})
}

func (r *rig) drawDirectory(t *rapid.T, depth int) digest.Digest {
	var m repb.Directory
	for _, name := range []string{"a", "b", "c"} {
		switch rapid.SampledFrom([]string{"", "", "file", "link", "directory", "directory", "directory"}).Draw(t, "kind") {
		case "file":
			d, err := store.AddBytes(context.Background(), r.blobs, []byte(rapid.SampledFrom([]string{"1", "22"}).Draw(t, "content")))
			if err != nil {
				t.Fatal(err)
			}
			m.Files = append(m.Files, &repb.FileNode{Name: name, Digest: action.ReapiDigest(d)})
		case "link":
			target := rapid.SampledFrom([]string{"a", "b", "../a", "../b/a", "nowhere", "../../.."}).Draw(t, "target")
			m.Symlinks = append(m.Symlinks, &repb.SymlinkNode{Name: name, Target: target})
		case "directory":
			if depth < 3 {
				m.Directories = append(m.Directories, &repb.DirectoryNode{Name: name, Digest: action.ReapiDigest(r.drawDirectory(t, depth+1))})
			}
		}
	}
	if depth > 0 && rapid.IntRange(0, 5).Draw(t, "said") == 0 {
		m.NodeProperties = &repb.NodeProperties{Mtime: &timestamppb.Timestamp{Seconds: 7}, UnixMode: wrapperspb.UInt32(0o750)}
	}
	return r.put(&m)
}

// scratchPath is where an action was, which errors may say.
var scratchPath = regexp.MustCompile(`/[^ ]*/[0-9]+-[0-9a-z]+/`)

// seen is what an action prints and leaves, or how it fails.
func (r *rig) seen(d digest.Digest) string {
	result, err := r.Execute(context.Background(), exec.Request{Action: d, Name: "test"}, func() {})
	if err != nil {
		return scratchPath.ReplaceAllString(err.Error(), "")
	}
	s := r.text(result.Stdout) + result.Message
	for _, o := range result.Outputs {
		s += fmt.Sprintf("%s %v %v %s\n", o.Path, o.Kind, o.Digest, o.Target)
	}
	return s
}
