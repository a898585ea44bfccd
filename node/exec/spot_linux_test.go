package exec

import (
	"context"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/buildnet/buildnet/node/exec/child"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/memory"
)

// grower makes trees of bytes: each byte says what comes next in a directory.
type grower struct {
	t     *testing.T
	blobs *memory.Store
	rest  []byte
	names []string
}

func (g *grower) next() int {
	if len(g.rest) == 0 {
		return 0
	}
	b := g.rest[0]
	g.rest = g.rest[1:]
	return int(b)
}

func (g *grower) put(content []byte) *repb.Digest {
	d, err := store.AddBytes(context.Background(), g.blobs, content)
	if err != nil {
		g.t.Fatal(err)
	}
	return action.ReapiDigest(d)
}

// directory takes two bytes for each entry, the first of which ends it where it
// is 0.
func (g *grower) directory(depth int) *repb.Digest {
	var m repb.Directory
	for kind := g.next(); kind != 0; kind = g.next() {
		name := g.names[g.next()%len(g.names)]
		switch {
		case kind%4 == 0:
			m.Files = append(m.Files, &repb.FileNode{Name: name, Digest: g.put([]byte(name)), IsExecutable: kind%8 == 0})
		case kind%4 == 1:
			m.Symlinks = append(m.Symlinks, &repb.SymlinkNode{Name: name, Target: g.names[g.next()%len(g.names)]})
		case depth < 8:
			m.Directories = append(m.Directories, &repb.DirectoryNode{Name: name, Digest: g.directory(depth + 1)})
		}
	}
	return g.encode(&m)
}

func (g *grower) encode(m *repb.Directory) *repb.Digest {
	b, err := action.EncodeBlob(m)
	if err != nil {
		g.t.Fatal(err)
	}
	return g.put(b.Content)
}

// below is a tree in which d is at a path.
func (g *grower) below(p string, d *repb.Digest) *repb.Digest {
	names := slices.Collect(elements(p))
	slices.Reverse(names)
	for _, name := range names {
		d = g.encode(&repb.Directory{Directories: []*repb.DirectoryNode{{Name: name, Digest: d}}})
	}
	return d
}

// listing returns all paths below a directory, with what is in the files.
func listing(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			content, _ := os.ReadFile(p)
			p += "=" + string(content)
		}
		all = append(all, p)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Whatever a tree is like, it is laid out in its scratch directory alone, and
// nothing is to be mounted through a link of it.
func FuzzOwnPlaces(f *testing.F) {
	f.Add([]byte{2, 0, 2, 1, 4, 2, 0, 0, 0}, "a/b", "out", false)
	f.Add([]byte{1, 0, 6, 2, 4, 3}, "usr/src", "../../tmp/o", false)
	f.Add([]byte{2, 7, 4, 9, 0, 8, 9}, "TOOLS/usr/src", "x", true)
	f.Add([]byte{2, 8, 0, 1, 4, 8}, "TOOLS/usr/src", "../x", true) // it works behind a link
	f.Fuzz(func(t *testing.T, tree []byte, dir, output string, amongTools bool) {
		base := t.TempDir()
		tools := filepath.Join(base, "tools")
		for _, d := range []string{"tools/sub/a", "scratch", "victim"} {
			if err := os.MkdirAll(filepath.Join(base, d), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(tools, "x.h"), []byte("x.h"), 0o644); err != nil {
			t.Fatal(err)
		}
		names := append(slices.Collect(elements(tools)), "usr", "etc", "var", "sub", "a", "x.h", "src", "tmp", "bin", "..", "", "proc",
			filepath.Join(base, "victim"), "../victim", "/")
		g := &grower{t: t, blobs: memory.New(64 << 20), rest: tree, names: names}
		top := g.directory(0)
		if amongTools {
			top = g.below(tools, top)
		}
		root, err := action.DigestOf(top)
		if err != nil {
			t.Fatal(err)
		}
		dir = strings.Replace(dir, "TOOLS", strings.TrimPrefix(tools, "/"), 1)
		e, err := New(Options{Dir: filepath.Join(base, "scratch"), Blobs: g.blobs, ToolchainDirs: []string{tools}, Hidden: []string{filepath.Join(base, "victim")}})
		if err != nil {
			t.Fatal(err)
		}
		before := listing(t, tools)
		scratch, err := e.scratch.make(action.Full)
		if err != nil {
			t.Fatal(err)
		}
		settle(t, e, scratch, root, dir, output)
		if after := listing(t, tools); !slices.Equal(before, after) {
			t.Errorf("the machine was changed: %v", after)
		}
		if left := listing(t, filepath.Join(base, "victim")); len(left) != 1 {
			t.Errorf("made elsewhere: %v", left)
		}
		all, err := os.ReadDir(filepath.Join(base, "scratch"))
		if err != nil || len(all) != 1 {
			t.Errorf("made beside the scratch directory: %v, %v", all, err)
		}
	})
}

// settle lays out a tree, if it is one that may be, and looks at the mounts.
func settle(t *testing.T, e *Executor, scratch *scratchDir, root digest.Digest, dir, output string) {
	t.Helper()
	j := &job{argv: []string{"true"}, root: root, dir: path.Clean(dir), absolute: true}
	if err := j.check(&repb.Command{OutputPaths: []string{output}}); err != nil {
		return
	}
	ground, err := e.layOut(t.Context(), j, scratch)
	if err != nil {
		return
	}
	for _, m := range ground.mounts {
		if !path.IsAbs(m.To) || path.Clean(m.To) != m.To || slices.ContainsFunc(barredPlaces, func(b string) bool { return within(m.To, b) }) {
			t.Errorf("mount at %q", m.To)
		}
		if m.Kind == child.Link {
			continue
		}
		if !strings.HasPrefix(m.From, scratch.work.path+"/") {
			t.Errorf("mount of %q", m.From)
		}
		target, err := filepath.EvalSymlinks(m.From)
		if err != nil || target != m.From {
			t.Errorf("mount of %q, through a link: %v", m.From, err)
		}
		// What every action sees of the machine is never under a link.
		for _, b := range ground.binds {
			at := scratch.work.path
			for name := range elements(path.Dir(b)) {
				at = filepath.Join(at, name)
				if info, err := os.Lstat(at); err == nil && !info.IsDir() {
					t.Errorf("%s is bound below %s", b, at)
				}
			}
		}
	}
}
