package translate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/node/reapi/translate"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

func fault(t *testing.T, tr *translate.Translator, d digest.Digest, want error) *translate.Fault {
	t.Helper()
	n, missing, err := tr.Root(t.Context(), d)
	var f *translate.Fault
	if !errors.Is(err, want) || !errors.As(err, &f) || !n.IsZero() || missing != nil {
		t.Fatalf("%v, missing %v, %v; want %v", n, missing, err, want)
	}
	return f
}

func TestMalformedDirectories(t *testing.T) {
	x := digest.Of(digest.SHA256, []byte("x"))
	files := func(all ...string) *repb.Directory {
		m := &repb.Directory{}
		for _, name := range all {
			m.Files = append(m.Files, fileNode(name, x))
		}
		return m
	}
	dirs := func(all ...string) []*repb.DirectoryNode {
		var ds []*repb.DirectoryNode
		for _, name := range all {
			ds = append(ds, dirNode(name, digest.Of(digest.SHA256, nil)))
		}
		return ds
	}
	links := func(target string, all ...string) []*repb.SymlinkNode {
		var ls []*repb.SymlinkNode
		for _, name := range all {
			ls = append(ls, &repb.SymlinkNode{Name: name, Target: target})
		}
		return ls
	}
	for what, m := range map[string]*repb.Directory{
		"empty name":            files(""),
		"dot":                   files("."),
		"dot dot":               {Directories: dirs("..")},
		"slash":                 files("a/b"),
		"absolute":              {Symlinks: links("x", "/etc")},
		"NUL":                   files("a\x00b"),
		"long name":             files(strings.Repeat("a", 256)),
		"file twice":            files("a", "a"),
		"directory twice":       {Directories: dirs("a", "a")},
		"symlink twice":         {Symlinks: links("x", "a", "a")},
		"unsorted files":        files("b", "a"),
		"unsorted directories":  {Directories: dirs("b", "a")},
		"unsorted symlinks":     {Symlinks: links("x", "b", "a")},
		"file and directory":    {Files: files("a", "b").Files, Directories: dirs("0", "b")},
		"file and symlink":      {Files: files("a", "c").Files, Symlinks: links("x", "b", "c")},
		"directory and symlink": {Directories: dirs("b"), Symlinks: links("x", "a", "b", "c")},
		"no target":             {Symlinks: links("", "a")},
		"absolute target":       {Symlinks: links("/usr/bin/python3", "a")},
		"NUL in a target":       {Symlinks: links("a\x00", "a")},
		"long target":           {Symlinks: links(strings.Repeat("a", 4096), "a")},
		"file without digest":   {Files: []*repb.FileNode{{Name: "a"}}},
		"short digest":          {Files: []*repb.FileNode{{Name: "a", Digest: &repb.Digest{Hash: "ab"}}}},
		"directory of nothing":  {Directories: []*repb.DirectoryNode{{Name: "a"}}},
		"negative size":         {Directories: []*repb.DirectoryNode{{Name: "a", Digest: &repb.Digest{Hash: x.Hex(), SizeBytes: -1}}}},
	} {
		w := newWorld(digest.SHA256)
		w.put(t, []byte("x"))
		tr := translate.New(w, translate.Options{})
		bad := w.dir(t, m)
		top := w.dir(t, &repb.Directory{Directories: []*repb.DirectoryNode{dirNode("sub", bad)}})
		if f := fault(t, tr, top, translate.ErrMalformed); f.Path != "./sub" || f.Directory != bad {
			t.Errorf("%s: %v", what, f)
		}
		if f := fault(t, tr, bad, translate.ErrMalformed); f.Path != "." {
			t.Errorf("%s: %v", what, f)
		}
	}
}

func TestBytesThatAreNoDirectory(t *testing.T) {
	for _, content := range []string{"\x0a", "\x0a\x05ab", "garbage", "\x0a\x02\x0a\x01", "\x0a\x03\x0a\x01\xff"} {
		w := newWorld(digest.SHA256)
		fault(t, translate.New(w, translate.Options{}), w.put(t, []byte(content)), translate.ErrMalformed)
	}
}

// chain returns the top of n directories, each in the one above it width times.
func chain(t testing.TB, w *world, n, width int) digest.Digest {
	t.Helper()
	d := digest.Of(w.fn, nil)
	for i := range n - 1 {
		m := &repb.Directory{}
		for j := range width {
			m.Directories = append(m.Directories, dirNode(fmt.Sprintf("%d-%d", i, j), d))
		}
		d = w.dir(t, m)
	}
	return d
}

func TestLimits(t *testing.T) {
	limits := translate.Limits{Depth: 10, Directories: 20, Entries: 40, Nodes: 1000, DirectoryBytes: 4000, DirectoryEntries: 30}
	w := newWorld(digest.SHA256)
	x := w.put(t, []byte("x"))
	tr := translate.New(w, translate.Options{Limits: limits})
	many := func(n int) *repb.Directory {
		m := &repb.Directory{}
		for i := range n {
			m.Symlinks = append(m.Symlinks, &repb.SymlinkNode{Name: fmt.Sprintf("%05d", i), Target: "t"})
		}
		return m
	}
	wide := &repb.Directory{}
	for i := range 20 {
		sub := w.dir(t, &repb.Directory{Files: []*repb.FileNode{fileNode(fmt.Sprint(i), x)}})
		wide.Directories = append(wide.Directories, dirNode(fmt.Sprintf("%02d", i), sub))
	}
	a := &repb.Directory{}
	for i := range 3 {
		a.Directories = append(a.Directories, dirNode(fmt.Sprint(i), w.dir(t, many(12+i))))
	}
	for what, d := range map[string]digest.Digest{
		"deep":                     chain(t, w, 11, 1),
		"laid out":                 chain(t, w, 10, 3),
		"entries of one directory": w.dir(t, many(31)),
		"entries of all":           w.dir(t, a),
		"directories":              w.dir(t, wide),
		"bytes":                    w.put(t, encoded(t, &repb.Directory{Symlinks: []*repb.SymlinkNode{{Name: "a", Target: strings.Repeat("x", 4000)}}})),
		"a size that is a lie":     mustDigest(t, 1<<40),
	} {
		t.Run(what, func(t *testing.T) { fault(t, tr, d, translate.ErrTooLarge) })
	}
	root(t, tr, chain(t, w, 10, 1))
	root(t, tr, w.dir(t, many(30)))
	// What is remembered of parts of it is no way around.
	deep := w.dir(t, &repb.Directory{Directories: []*repb.DirectoryNode{dirNode("top", chain(t, w, 10, 1))}})
	fault(t, tr, deep, translate.ErrTooLarge)
}

func mustDigest(t *testing.T, size int64) digest.Digest {
	t.Helper()
	d, err := digest.FromHex(digest.SHA256, strings.Repeat("ab", 32), size)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestPathsOfUnequalLength has a directory that is near the root by one way and too
// deep by another.
func TestPathsOfUnequalLength(t *testing.T) {
	w := newWorld(digest.SHA256)
	tr := translate.New(w, translate.Options{Limits: translate.Limits{Depth: 6}})
	low := chain(t, w, 4, 1)
	long := low
	for range 2 {
		long = w.dir(t, &repb.Directory{Directories: []*repb.DirectoryNode{dirNode("z", long)}})
	}
	for _, order := range [][2]digest.Digest{{low, long}, {long, low}} {
		fault(t, tr, w.dir(t, &repb.Directory{Directories: []*repb.DirectoryNode{dirNode("a", order[0]), dirNode("b", order[1])}}), translate.ErrTooLarge)
	}
	root(t, tr, long)
}

func TestPropertiesCostNothing(t *testing.T) {
	w := newWorld(digest.SHA256)
	x := w.put(t, []byte("x"))
	entry := encoded(t, fileNode("f", x))
	entry = protowire.AppendTag(entry, 6, protowire.BytesType)
	entry = protowire.AppendBytes(entry, []byte(strings.Repeat("\x0a\x00", 1<<20)))
	content := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), entry)
	d := w.put(t, content)
	// A million properties, each of which would be an allocation.
	if n := testing.AllocsPerRun(1, func() { root(t, translate.New(w, translate.Options{}), d) }); n > 10_000 {
		t.Errorf("%v allocations", n)
	}
}

// lax are limits that a small tree can break.
var lax = translate.Limits{Depth: 10, Nodes: 1000, DirectoryEntries: 100}

// trees are what there is in the store for a directory that is fuzzed: one as deep as
// may be, one deeper, and one that doubles at each level.
func trees(t testing.TB, w *world) (deep, deeper, doubling digest.Digest) {
	t.Helper()
	return chain(t, w, lax.Depth-1, 1), chain(t, w, lax.Depth, 1), chain(t, w, lax.Depth-1, 3)
}

// FuzzRoot has a client's bytes for a directory: none may break the translator, and
// what passes is canonical.
func FuzzRoot(f *testing.F) {
	x := digest.Of(digest.SHA256, []byte("x"))
	deep, deeper, doubling := trees(f, newWorld(digest.SHA256))
	wide := &repb.Directory{}
	for i := range lax.DirectoryEntries + 1 {
		wide.Files = append(wide.Files, fileNode(fmt.Sprintf("%04d", i), x))
	}
	f.Add(encoded(f, wide))
	for _, d := range []digest.Digest{deep, deeper, doubling} {
		f.Add(encoded(f, &repb.Directory{Directories: []*repb.DirectoryNode{dirNode("d", d)}}))
	}
	f.Add([]byte{})
	f.Add([]byte("\x0a\x02\x0a\x00"))
	for _, m := range []*repb.Directory{
		{Files: []*repb.FileNode{fileNode("a", x), fileNode("b", x)}, Symlinks: []*repb.SymlinkNode{{Name: "l", Target: "../a"}}},
		{Directories: []*repb.DirectoryNode{dirNode("d", digest.Of(digest.SHA256, nil))}, NodeProperties: &repb.NodeProperties{UnixMode: wrapperspb.UInt32(0o700), Mtime: &timestamppb.Timestamp{Seconds: 1}}},
		{Directories: []*repb.DirectoryNode{{Name: "..", Digest: names.Message(x)}}},
		{Directories: []*repb.DirectoryNode{dirNode("/etc", digest.Of(digest.SHA256, nil))}},
		{Files: []*repb.FileNode{fileNode("a", x), fileNode("a", x)}},
		{Files: []*repb.FileNode{fileNode("a", x)}, Symlinks: []*repb.SymlinkNode{{Name: "a", Target: "/etc/passwd"}}},
		{Files: []*repb.FileNode{fileNode("b", x), fileNode("a", x)}},
		{Directories: []*repb.DirectoryNode{dirNode("b", deep), dirNode("a", deep)}},
	} {
		f.Add(encoded(f, m))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		w := newWorld(digest.SHA256)
		w.put(t, []byte("x"))
		trees(t, w)
		// That ends also where the store gives the same again for what is below.
		circle := circle{newWorld(digest.SHA256), digest.Of(digest.SHA256, content)}
		circle.put(t, content)
		_, _, _ = translate.New(circle, translate.Options{Limits: lax}).Root(t.Context(), circle.of)
		tr := translate.New(w, translate.Options{Limits: lax})
		n, missing, err := tr.Root(t.Context(), w.put(t, content))
		var fault *translate.Fault
		switch {
		case errors.As(err, &fault):
			return
		case err != nil:
			t.Fatal(err)
		case len(missing) > 0:
			return
		}
		// A native tree is one like any other, and comes back as itself.
		if again := root(t, tr, n); again != n {
			t.Errorf("%v became %v", n, again)
		}
		out, err := tr.Tree(t.Context(), n, digest.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if back := root(t, tr, out.Root); back != n {
			t.Errorf("%v went out as %v and came back as %v", n, out.Root, back)
		}
	})
}

// circle says that every directory is the same one, which then is in itself.
type circle struct {
	*world
	of digest.Digest
}

func (c circle) Has(_ context.Context, ds []digest.Digest) ([]bool, error) {
	return slices.Repeat([]bool{true}, len(ds)), nil
}

func (c circle) Native(context.Context, digest.Digest) (digest.Digest, error) {
	return c.world.Native(context.Background(), c.of)
}

func (c circle) Open(ctx context.Context, d digest.Digest) (store.Reader, error) {
	if d.Size() != c.of.Size() {
		return nil, store.ErrNotFound
	}
	return c.world.Open(ctx, c.of)
}

// TestACircleIsNoDirectory has the store say that a directory is in itself.
func TestACircleIsNoDirectory(t *testing.T) {
	named := digest.Of(digest.SHA256, []byte("the circle"))
	m := &repb.Directory{Directories: []*repb.DirectoryNode{dirNode("again", named)}}
	for range 3 { // the size is among what is hashed
		resized, err := digest.FromHex(digest.SHA256, named.Hex(), int64(len(encoded(t, m))))
		if err != nil {
			t.Fatal(err)
		}
		m.Directories[0] = dirNode("again", resized)
	}
	w := newWorld(digest.SHA256)
	d := w.dir(t, m)
	if d.Size() != m.GetDirectories()[0].GetDigest().GetSizeBytes() {
		t.Fatal("the directory does not name one of its own size")
	}
	if _, _, err := translate.New(circle{w, d}, translate.Options{}).Root(t.Context(), d); !errors.Is(err, store.ErrMismatch) {
		t.Errorf("%v", err)
	}
}
