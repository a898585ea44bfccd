package dht_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/dht"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

func (s *shelf) message(t testing.TB, m proto.Message) *repb.Digest {
	t.Helper()
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return reapi(s.add(content))
}

func reapi(d digest.Digest) *repb.Digest { return &repb.Digest{Hash: d.Hex(), SizeBytes: d.Size()} }

func native(t testing.TB, d *repb.Digest) digest.Digest {
	t.Helper()
	key, err := digest.FromHex(digest.BLAKE3, d.GetHash(), d.GetSizeBytes())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// plant puts a tree of width^depth directories on s, with files of their own,
// a shared and an empty one, and returns its root.
func (s *shelf) plant(t testing.TB, name string, width, depth int) *repb.Digest {
	dir := &repb.Directory{Files: []*repb.FileNode{
		{Name: "own.c", Digest: reapi(s.add([]byte(name)))},
		{Name: "shared.h", Digest: reapi(s.add([]byte("shared")))},
		{Name: "empty", Digest: reapi(digest.Of(digest.BLAKE3, nil))},
	}}
	if depth > 0 {
		for i := range width {
			sub := fmt.Sprint("d", i)
			dir.Directories = append(dir.Directories, &repb.DirectoryNode{Name: sub, Digest: s.plant(t, name+"/"+sub, width, depth-1)})
		}
	}
	return s.message(t, dir)
}

func TestFetchActionBringsAllThatItNeedsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b")
		b := w.shelfs["b"]
		root := b.plant(t, "root", 4, 4)
		command := b.message(t, &repb.Command{Arguments: []string{"cc"}})
		action := native(t, b.message(t, &repb.Action{CommandDigest: command, InputRootDigest: root}))
		all := len(b.blobs)

		var mu sync.Mutex
		held := map[digest.Digest]bool{}
		hold := func(ds ...digest.Digest) {
			mu.Lock()
			defer mu.Unlock()
			for _, d := range ds {
				if w.shelfs["a"].holds(d) {
					t.Errorf("%v was fetched before it was held", d)
				}
				held[d] = true
			}
		}
		moved, err := w.dhts["a"].FetchAction(t.Context(), action, []peer.ID{"b"}, hold)
		if err != nil || moved == 0 || moved != w.dhts["b"].Stats().BytesOut {
			t.Fatalf("FetchAction = %d, %v", moved, err)
		}
		if got := len(w.shelfs["a"].blobs); got != all || len(held) != all {
			t.Errorf("%d blobs here, %d held, want %d", got, len(held), all)
		}
		if got := w.dhts["a"].Stats().Requests; got > 10 {
			t.Errorf("%d requests for 5 levels of directories, want one or two each", got)
		}
		moved, err = w.dhts["a"].FetchTree(t.Context(), native(t, root), []peer.ID{"b"}, nil)
		if err != nil || moved != 0 {
			t.Errorf("FetchTree of what is here = %d, %v", moved, err)
		}
	})
}

func TestMissingFileOfATreeIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b")
		b := w.shelfs["b"]
		lost := digest.Of(digest.BLAKE3, []byte("lost"))
		root := native(t, b.message(t, &repb.Directory{Files: []*repb.FileNode{{Name: "f", Digest: reapi(lost)}}}))
		_, err := w.dhts["a"].FetchTree(t.Context(), root, []peer.ID{"b"}, nil)
		var none *dht.NoHolderError
		if !errors.As(err, &none) || none.Digest != lost {
			t.Errorf("FetchTree = %v, want NoHolderError of the file", err)
		}
	})
}

func TestBadTreesAreRefused(t *testing.T) {
	huge := reapi(digest.Of(digest.BLAKE3, nil))
	huge.SizeBytes = 1 << 40
	for name, make := range map[string]func(t testing.TB, s *shelf) *repb.Digest{
		"NoDirectory": func(_ testing.TB, s *shelf) *repb.Digest { return reapi(s.add([]byte("\xff\xff\xff"))) },
		"TooDeep": func(t testing.TB, s *shelf) *repb.Digest {
			at := s.message(t, &repb.Directory{})
			for range 300 {
				at = s.message(t, &repb.Directory{Directories: []*repb.DirectoryNode{{Name: "d", Digest: at}}})
			}
			return at
		},
		"HugeDirectory": func(t testing.TB, s *shelf) *repb.Digest {
			return s.message(t, &repb.Directory{Directories: []*repb.DirectoryNode{{Name: "d", Digest: huge}}})
		},
		"HugeFiles": func(t testing.TB, s *shelf) *repb.Digest {
			return s.message(t, &repb.Directory{Files: []*repb.FileNode{{Name: "f", Digest: huge}, {Name: "g", Digest: &repb.Digest{Hash: huge.Hash, SizeBytes: 1 << 41}}}})
		},
		"MalformedDigest": func(t testing.TB, s *shelf) *repb.Digest {
			return s.message(t, &repb.Directory{Files: []*repb.FileNode{{Name: "f", Digest: &repb.Digest{Hash: "xyz"}}}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "a", "b")
				root := native(t, make(t, w.shelfs["b"]))
				if _, err := w.dhts["a"].FetchTree(t.Context(), root, []peer.ID{"b"}, nil); !errors.Is(err, dht.ErrBadTree) {
					t.Errorf("FetchTree = %v, want ErrBadTree", err)
				}
			})
		})
	}
}

func FuzzTree(f *testing.F) {
	d := reapi(digest.Of(digest.BLAKE3, []byte("x")))
	for _, m := range []proto.Message{
		&repb.Directory{Files: []*repb.FileNode{{Name: "f", Digest: d}}, Directories: []*repb.DirectoryNode{{Name: "d", Digest: d}}},
		&repb.Action{CommandDigest: d, InputRootDigest: d},
	} {
		content, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		w := newWorld(t, "a")
		key := w.shelfs["a"].add(content)
		known := []error{dht.ErrBadTree, dht.ErrNoHolder}
		for name, fetch := range map[string]func() error{
			"FetchTree":   func() error { _, err := w.dhts["a"].FetchTree(t.Context(), key, nil, nil); return err },
			"FetchAction": func() error { _, err := w.dhts["a"].FetchAction(t.Context(), key, nil, nil); return err },
		} {
			err := fetch()
			if err != nil && !slices.ContainsFunc(known, func(k error) bool { return errors.Is(err, k) }) {
				t.Errorf("%s = %v", name, err)
			}
		}
	})
}
