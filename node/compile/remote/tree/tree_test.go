package tree

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

func contentOf(s string) digest.Digest { return digest.Of(digest.BLAKE3, []byte(s)) }

// kept are the messages that a forest has handed out.
type kept map[digest.Digest][]byte

func (k kept) Directory(_ context.Context, d digest.Digest) (*repb.Directory, error) {
	content, ok := k[d]
	if !ok {
		return nil, store.ErrNotFound
	}
	var m repb.Directory
	return &m, proto.Unmarshal(content, &m)
}

func (k kept) add(blobs []action.Blob) {
	for _, b := range blobs {
		k[b.Digest] = b.Content
	}
}

// draw is a set of files, links and directories that do not clash.
type draw struct {
	files []File
	links []Link
	dirs  []string
}

func anyTree(t *rapid.T) draw {
	var d draw
	taken := map[string]bool{}
	for range rapid.IntRange(0, 12).Draw(t, "things") {
		dir := rapid.SampledFrom([]string{"", "/a", "/a/b", "/a/b/c", "/d"}).Draw(t, "dir")
		name := rapid.SampledFrom([]string{"x.h", "y.h", "z.h"}).Draw(t, "name")
		p := dir + "/" + name
		if taken[p] {
			continue
		}
		taken[p] = true
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			d.links = append(d.links, Link{p, rapid.SampledFrom([]string{"../q", "/r"}).Draw(t, "target")})
		case 1:
			d.dirs = append(d.dirs, p)
		default:
			d.files = append(d.files, File{p, contentOf(rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "content")), rapid.Bool().Draw(t, "mode")})
		}
	}
	return d
}

// reference is the tree as package action makes it.
func (d draw) reference(t *rapid.T) digest.Digest {
	tree := action.NewTree(nil, digest.Digest{})
	var err error
	for _, f := range d.files {
		err = errors.Join(err, tree.Put(context.Background(), action.Output{Path: f.Path[1:], Kind: action.File, Digest: f.Digest, Executable: f.Executable}))
	}
	for _, l := range d.links {
		err = errors.Join(err, tree.Put(context.Background(), action.Output{Path: l.Path[1:], Kind: action.Symlink, Target: l.Target}))
	}
	for _, p := range d.dirs {
		err = errors.Join(err, tree.Mkdir(context.Background(), p[1:]))
	}
	root, _, err2 := tree.Encode()
	if err = errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	return root
}

// Every tree is the one that package action makes, whatever was made before,
// and since each Begin all of its messages have been handed out.
func TestTreesAreThoseOfTheVocabulary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := New()
		have := kept{}
		for range rapid.IntRange(1, 8).Draw(t, "trees") {
			if rapid.IntRange(0, 3).Draw(t, "begin") == 0 {
				f.Begin()
				have = kept{}
			}
			d := anyTree(t)
			shuffled := rapid.Permutation(d.files).Draw(t, "order")
			root, blobs, err := f.Root(shuffled, d.links, d.dirs)
			if err != nil {
				t.Fatal(err)
			}
			if want := d.reference(t); root != want {
				t.Fatalf("root %v, want %v", root, want)
			}
			have.add(blobs)
			walk(t, have, root)
			walk(t, f, root)
		}
	})
}

func walk(t *rapid.T, in action.Directories, root digest.Digest) {
	d, err := in.Directory(context.Background(), root)
	if err != nil {
		t.Fatalf("directory %v: %v", root, err)
	}
	for _, sub := range d.Directories {
		below, err := action.DigestOf(sub.Digest)
		if err != nil {
			t.Fatal(err)
		}
		walk(t, in, below)
	}
}

func TestWhatIsSharedIsHandedOutOnce(t *testing.T) {
	f := New()
	shared := []File{{"/i/a.h", contentOf("a"), false}, {"/i/b.h", contentOf("b"), false}}
	count := func(more ...File) int {
		t.Helper()
		_, blobs, err := f.Root(slices.Concat(shared, more), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return len(blobs)
	}
	first := count(File{"/s/1.c", contentOf("1"), false})
	second := count(File{"/s/2.c", contentOf("2"), false})
	again := count(File{"/s/1.c", contentOf("1"), false})
	if first != 3 || second != 2 || again != 0 {
		t.Errorf("%d, %d and %d messages, want 3 (root, i, s), 2 (root, s) and 0", first, second, again)
	}
	f.Begin()
	if n := count(File{"/s/1.c", contentOf("1"), false}); n != 3 {
		t.Errorf("%d messages after Begin, want 3", n)
	}
}

func TestPathThatIsTwoThingsIsNoTree(t *testing.T) {
	a := File{"/a", contentOf("1"), false}
	for name, d := range map[string]draw{
		"FileAndLink":      {[]File{a}, []Link{{"/a", "b"}}, nil},
		"FileAndDirectory": {[]File{a}, nil, []string{"/a"}},
		"FileBelowFile":    {[]File{a, {"/a/b", contentOf("2"), false}}, nil, nil},
		"FileAboveFile":    {[]File{{"/a/b", contentOf("2"), false}, a}, nil, nil},
		"TwoContents":      {[]File{a, {"/a", contentOf("2"), false}}, nil, nil},
	} {
		if _, _, err := New().Root(d.files, d.links, d.dirs); !errors.Is(err, ErrClash) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := New().Root([]File{a, a}, nil, nil); err != nil {
		t.Errorf("the same file twice: %v", err)
	}
}

// BenchmarkWarm is the tree of a unit of which all but the source was in a tree
// before.
func BenchmarkWarm(b *testing.B) {
	f := New()
	var files []File
	for i := range 300 {
		files = append(files, File{fmt.Sprintf("/home/user/project/include/part%d/header%d.h", i%20, i), contentOf(fmt.Sprint(i)), false})
	}
	sources := map[int]File{}
	for i := range 64 {
		sources[i] = File{fmt.Sprintf("/home/user/project/src/source%d.cc", i), contentOf(fmt.Sprint(i)), false}
	}
	order := slices.Sorted(maps.Keys(sources))
	i := 0
	for b.Loop() {
		if _, _, err := f.Root(append(files, sources[order[i%64]]), nil, []string{"/home/user/project/build"}); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
