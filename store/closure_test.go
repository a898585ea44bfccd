package store_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/memory"
)

func add(t *testing.T, s *memory.Store, content string) digest.Digest {
	t.Helper()
	d, err := store.AddBytes(t.Context(), s, []byte(content))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func addDirectory(t *testing.T, s *memory.Store, dir *repb.Directory) digest.Digest {
	t.Helper()
	b, err := action.EncodeBlob(dir)
	if err != nil {
		t.Fatal(err)
	}
	return add(t, s, string(b.Content))
}

func subdirectory(name string, d digest.Digest) []*repb.DirectoryNode {
	return []*repb.DirectoryNode{{Name: name, Digest: action.ReapiDigest(d)}}
}

func TestClosureIsEveryBlobOnce(t *testing.T) {
	s := memory.New(1 << 20)
	file, stdout, stderr, deep := add(t, s, "file"), add(t, s, "said"), add(t, s, "meant"), add(t, s, "deep")
	inner := addDirectory(t, s, &repb.Directory{Files: []*repb.FileNode{{Name: "f", Digest: action.ReapiDigest(deep)}}})
	outer := addDirectory(t, s, &repb.Directory{
		Files:       []*repb.FileNode{{Name: "again", Digest: action.ReapiDigest(file)}},
		Directories: subdirectory("d", inner),
	})
	r := action.Result{Stdout: stdout, Stderr: stderr, Outputs: []action.Output{
		{Path: "a", Kind: action.File, Digest: file},
		{Path: "b", Kind: action.Directory, Digest: outer},
		{Path: "c", Kind: action.Directory, Digest: inner},
		{Path: "d", Kind: action.Symlink, Target: "a"},
	}}
	got, err := store.Closure(t.Context(), s, &r)
	if err != nil {
		t.Fatal(err)
	}
	want := []digest.Digest{file, stdout, stderr, deep, inner, outer}
	slices.SortFunc(want, digest.Digest.Compare)
	slices.SortFunc(got, digest.Digest.Compare)
	if !slices.Equal(got, want) {
		t.Errorf("closure = %v, want %v", got, want)
	}
	for _, missing := range want {
		short := memory.New(1 << 20)
		for _, d := range want {
			if d == missing {
				continue
			}
			r, err := s.Open(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			if err := short.Put(t.Context(), d, r); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := store.Closure(t.Context(), short, &r); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("without %v: %v", missing, err)
		}
	}
}

func TestClosureOfADeepTreeAndOfOneThatDoublesAtEachLevel(t *testing.T) {
	s := memory.New(64 << 20)
	at := addDirectory(t, s, &repb.Directory{})
	for i := range 400 {
		dir := &repb.Directory{}
		for _, name := range []string{"a", "b"} {
			dir.Directories = append(dir.Directories, subdirectory(fmt.Sprint(name, i), at)...)
		}
		at = addDirectory(t, s, dir)
	}
	r := action.Result{Outputs: []action.Output{{Path: "x", Kind: action.Directory, Digest: at}}}
	got, err := store.Closure(t.Context(), s, &r)
	if err != nil || len(got) != 401 {
		t.Errorf("closure of %d blobs, %v", len(got), err)
	}
}

// A tree is bounded by whoever asks for it.
func TestTree(t *testing.T) {
	s := memory.New(1 << 20)
	file := add(t, s, "file")
	inner := addDirectory(t, s, &repb.Directory{Files: []*repb.FileNode{{Name: "f", Digest: action.ReapiDigest(file)}}})
	outer := addDirectory(t, s, &repb.Directory{Directories: subdirectory("d", inner)})
	if got, err := store.Tree(t.Context(), s, outer, 3); err != nil || !slices.Equal(got, []digest.Digest{outer, inner, file}) {
		t.Errorf("tree = %v, %v", got, err)
	}
	if _, err := store.Tree(t.Context(), s, outer, 2); !errors.Is(err, action.ErrInvalid) {
		t.Errorf("of more than it may have: %v", err)
	}
	lost := addDirectory(t, s, &repb.Directory{Files: []*repb.FileNode{{Name: "f", Digest: action.ReapiDigest(digest.Of(digest.BLAKE3, []byte("lost")))}}})
	if _, err := store.Tree(t.Context(), s, lost, 10); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("of which a file is lost: %v", err)
	}
}

func TestClosureOfAnOutputThatIsNoDirectory(t *testing.T) {
	s := memory.New(1 << 20)
	for _, content := range []string{"\xff\xff\xff", "\x0a\x03\x0a\x01x"} {
		r := action.Result{Outputs: []action.Output{{Path: "x", Kind: action.Directory, Digest: add(t, s, content)}}}
		if got, err := store.Closure(t.Context(), s, &r); err == nil {
			t.Errorf("closure of %q = %v", content, got)
		}
	}
}
