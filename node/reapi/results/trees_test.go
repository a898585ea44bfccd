package results

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/store/alias"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/memory"
)

// shelf has what a client uploaded.
type shelf struct {
	*testing.T
	*Store
}

func newShelf(t *testing.T) shelf {
	s := New(Options{Blobs: alias.New(memory.New(1<<20), &memory.KV{})})
	t.Cleanup(s.end)
	return shelf{t, s}
}

func (s shelf) put(content []byte) *repb.Digest {
	s.Helper()
	d := digest.Of(digest.SHA256, content)
	if err := s.opts.Blobs.Put(s.Context(), d, bytes.NewReader(content)); err != nil {
		s.Fatal(err)
	}
	return names.Message(d)
}

func (s shelf) message(m proto.Message) *repb.Digest {
	s.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		s.Fatal(err)
	}
	return s.put(b)
}

func file(name, content string) *repb.FileNode {
	return &repb.FileNode{Name: name, Digest: names.Message(digest.Of(digest.SHA256, []byte(content)))}
}

// All that lies in an output directory belongs to a result, whichever way the
// directory is named.
func TestAResultIsAllThatItNames(t *testing.T) {
	s := newShelf(t)
	s.put([]byte("top"))
	sub := &repb.Directory{Files: []*repb.FileNode{file("deep", "deep")}}
	root := &repb.Directory{Files: []*repb.FileNode{file("top", "top")}, Directories: []*repb.DirectoryNode{{Name: "sub", Digest: s.message(sub)}}}
	tree := s.message(&repb.Tree{Root: root, Children: []*repb.Directory{sub}})
	deep := digest.Of(digest.SHA256, []byte("deep"))
	for name, d := range map[string]*repb.OutputDirectory{"tree": {TreeDigest: tree}, "directory": {RootDirectoryDigest: s.message(root)}} {
		r := &repb.ActionResult{OutputDirectories: []*repb.OutputDirectory{d}}
		if _, missing, err := s.Made(t.Context(), digest.SHA256, r); err != nil || len(missing) != 1 || missing[0] != deep {
			t.Errorf("%s without a file: %v, %v", name, missing, err)
		}
	}
	s.put([]byte("deep"))
	for want, d := range map[int]*repb.OutputDirectory{3: {TreeDigest: tree}, 4: {RootDirectoryDigest: s.message(root)}} {
		m, missing, err := s.Made(t.Context(), digest.SHA256, &repb.ActionResult{OutputDirectories: []*repb.OutputDirectory{d}})
		if err != nil || len(missing) > 0 || len(m.Blobs) != want {
			t.Errorf("%v: %v, %v, %v; want %d blobs", d, m, missing, err, want)
		}
	}
}

func TestWhatIsNoTreeIsMalformed(t *testing.T) {
	s := newShelf(t)
	bad := s.put([]byte("\xff\xff\xff"))
	odd := s.message(&repb.Tree{Root: &repb.Directory{Files: []*repb.FileNode{{Name: "x", Digest: &repb.Digest{Hash: "short"}}}}})
	for name, d := range map[string]*repb.OutputDirectory{
		"tree": {TreeDigest: bad}, "directory": {RootDirectoryDigest: bad}, "digest in it": {TreeDigest: odd}, "nothing": {},
	} {
		_, _, err := s.Made(t.Context(), digest.SHA256, &repb.ActionResult{OutputDirectories: []*repb.OutputDirectory{d}})
		if !errors.Is(err, names.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What a client gives within its result is kept, and has to be what it says.
func TestWhatIsInlinedBecomesBlobs(t *testing.T) {
	s := newShelf(t)
	r, err := s.outlined(t.Context(), digest.SHA256, &repb.ActionResult{
		StdoutRaw: []byte("said"), OutputFiles: []*repb.OutputFile{{Path: "x", Contents: []byte("made")}},
	})
	if err != nil || len(r.GetStdoutRaw())+len(r.GetOutputFiles()[0].GetContents()) > 0 {
		t.Fatalf("%v, %v", r, err)
	}
	m, missing, err := s.Made(t.Context(), digest.SHA256, r)
	if err != nil || len(missing) > 0 || len(m.Blobs) != 2 {
		t.Errorf("%v, %v, %v", m, missing, err)
	}
	_, err = s.outlined(t.Context(), digest.SHA256, &repb.ActionResult{StderrRaw: []byte("said"), StderrDigest: file("", "other").Digest})
	if !errors.Is(err, names.ErrMalformed) {
		t.Errorf("other bytes than the digest says: %v", err)
	}
}

// FuzzTree has a client's bytes for the Tree of an output directory, and for its
// Directory: none may break this node, and what is taken names blobs alone.
func FuzzTree(f *testing.F) {
	deep := &repb.Tree{Root: &repb.Directory{Files: []*repb.FileNode{file("f", "f")}}}
	for i := range 300 {
		below, err := proto.Marshal(deep.Root)
		if err != nil {
			f.Fatal(err)
		}
		deep.Children = append(deep.Children, deep.Root)
		deep.Root = &repb.Directory{Directories: []*repb.DirectoryNode{{Name: fmt.Sprint(i), Digest: names.Message(digest.Of(digest.SHA256, below))}}}
	}
	wide := &repb.Tree{Root: &repb.Directory{}}
	for i := range 2000 {
		wide.Root.Files = append(wide.Root.Files, file(fmt.Sprint(i), "f"))
	}
	// Directories that are in each other, as far as their names tell.
	left, right := file("", "left").Digest, file("", "right").Digest
	circle := &repb.Tree{
		Root:     &repb.Directory{Directories: []*repb.DirectoryNode{{Name: "l", Digest: left}}},
		Children: []*repb.Directory{{Directories: []*repb.DirectoryNode{{Name: "r", Digest: right}}}, {Directories: []*repb.DirectoryNode{{Name: "l", Digest: left}}}},
	}
	for _, tree := range []*repb.Tree{
		{}, deep, wide, circle,
		{Root: &repb.Directory{Files: []*repb.FileNode{file("..", "f"), file("/etc/passwd", "f"), file("a", "f"), file("a", "f")}}},
		{Root: &repb.Directory{Files: []*repb.FileNode{file("b", "f"), file("a", "f")}}, Children: []*repb.Directory{{}, {}}},
		{Root: &repb.Directory{Files: []*repb.FileNode{{Name: "x", Digest: &repb.Digest{Hash: "short", SizeBytes: -1}}}}},
	} {
		b, err := proto.Marshal(tree)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		if b, err = proto.Marshal(tree.GetRoot()); err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := newShelf(t)
		s.put([]byte("f"))
		d := s.put(b)
		for what, output := range map[string]*repb.OutputDirectory{"tree": {TreeDigest: d}, "directory": {RootDirectoryDigest: d}} {
			m, missing, err := s.Made(t.Context(), digest.SHA256, &repb.ActionResult{OutputDirectories: []*repb.OutputDirectory{output}})
			if err != nil && !errors.Is(err, names.ErrMalformed) {
				t.Errorf("%s: %v", what, err)
			}
			if err != nil || len(missing) > 0 {
				continue
			}
			for _, n := range m.names() {
				if here, err := s.opts.Blobs.Has(t.Context(), []digest.Digest{n}); err != nil || !here[0] {
					t.Errorf("%s: %v is not there, %v", what, n, err)
				}
			}
		}
	})
}
