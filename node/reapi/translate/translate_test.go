package translate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/node/reapi/translate"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/alias"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/memory"
)

var functions = []digest.Function{digest.BLAKE3, digest.SHA256}

// world is a store, and how a client of fn fills it.
type world struct {
	*alias.Blobs
	under *memory.Store
	fn    digest.Function

	mu    sync.Mutex
	opens map[digest.Digest]int
}

func newWorld(fn digest.Function) *world {
	under := memory.New(1 << 30)
	return &world{Blobs: alias.New(under, &memory.KV{}), under: under, fn: fn, opens: map[digest.Digest]int{}}
}

func (w *world) Open(ctx context.Context, d digest.Digest) (store.Reader, error) {
	w.mu.Lock()
	w.opens[d]++
	w.mu.Unlock()
	return w.Blobs.Open(ctx, d)
}

type fataler interface{ Fatal(args ...any) }

func (w *world) put(t fataler, content []byte) digest.Digest {
	d := digest.Of(w.fn, content)
	if err := w.Put(context.Background(), d, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	return d
}

func (w *world) dir(t fataler, m *repb.Directory) digest.Digest { return w.put(t, encoded(t, m)) }

func encoded(t fataler, m proto.Message) []byte {
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func fileNode(name string, d digest.Digest) *repb.FileNode {
	return &repb.FileNode{Name: name, Digest: names.Message(d)}
}

func dirNode(name string, d digest.Digest) *repb.DirectoryNode {
	return &repb.DirectoryNode{Name: name, Digest: names.Message(d)}
}

// drop drops d's blob, whatever it is called.
func (w *world) drop(t testing.TB, d digest.Digest) {
	t.Helper()
	n, err := w.Native(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	w.under.Drop(n)
}

func root(t testing.TB, tr *translate.Translator, d digest.Digest) digest.Digest {
	t.Helper()
	n, missing, err := tr.Root(t.Context(), d)
	if err != nil || len(missing) > 0 || n.IsZero() {
		t.Fatalf("root %v: %v, missing %v, %v", d, n, missing, err)
	}
	return n
}

func has(t testing.TB, b store.Blobs, d digest.Digest) bool {
	t.Helper()
	here, err := b.Has(t.Context(), []digest.Digest{d})
	if err != nil {
		t.Fatal(err)
	}
	return here[0]
}

// draw makes a random tree: as its client sends it, and as action.Tree makes it.
func (w *world) draw(t *rapid.T, at string, depth int, like *action.Tree) digest.Digest {
	m := &repb.Directory{}
	all := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-cé_.]{1,3}`).Filter(func(s string) bool { return s != "." && s != ".." }), 0, 5, rapid.ID).Draw(t, "names")
	slices.Sort(all)
	if at != "" {
		check(t, like.Mkdir(context.Background(), strings.TrimSuffix(at, "/")))
	}
	for _, name := range all {
		o := action.Output{Path: at + name}
		switch kind := rapid.IntRange(0, 3).Draw(t, "kind"); {
		case kind == 0 && depth < 4:
			m.Directories = append(m.Directories, dirNode(name, w.draw(t, at+name+"/", depth+1, like)))
			continue
		case kind == 1:
			o.Kind, o.Target = action.Symlink, "../"+name
			m.Symlinks = append(m.Symlinks, &repb.SymlinkNode{Name: name, Target: o.Target})
		default:
			content := []byte(rapid.SampledFrom([]string{"", "x", "content"}).Draw(t, "content"))
			o.Kind, o.Digest, o.Executable = action.File, digest.Of(digest.BLAKE3, content), kind == 2
			f := fileNode(name, w.put(t, content))
			f.IsExecutable = o.Executable
			m.Files = append(m.Files, f)
		}
		check(t, like.Put(context.Background(), o))
	}
	return w.dir(t, m)
}

func check(t fataler, err error) {
	if err != nil {
		t.Fatal(err)
	}
}

func TestRoundTrip(t *testing.T) {
	for _, fn := range functions {
		t.Run(fn.String(), func(t *testing.T) {
			w := newWorld(fn)
			tr := translate.New(w, translate.Options{})
			rapid.Check(t, func(t *rapid.T) {
				like := action.NewTree(nil, digest.Digest{})
				client := w.draw(t, "", 0, like)
				want, _, err := like.Encode()
				check(t, err)
				native, missing, err := tr.Root(context.Background(), client)
				if err != nil || len(missing) > 0 || native != want {
					t.Fatalf("root: %v, missing %v, %v; want %v", native, missing, err, want)
				}
				out, err := tr.Tree(context.Background(), native, fn)
				if err != nil || out.Root != client {
					t.Fatalf("tree: root %v, %v; want %v", out.Root, err, client)
				}
				content, err := store.ReadAll(context.Background(), w, out.Tree, 1<<20)
				check(t, err)
				if !bytes.Equal(content, encoded(t, out.Message)) {
					t.Fatal("the Tree is not encoded as its message is")
				}
				sorted(t, fn, out.Message)
			})
		})
	}
}

// sorted checks what is_topologically_sorted promises.
func sorted(t *rapid.T, fn digest.Function, m *repb.Tree) {
	named, seen := map[string]bool{}, map[string]bool{}
	for i, d := range append([]*repb.Directory{m.Root}, m.Children...) {
		hash := digest.Of(fn, encoded(t, d)).Hex()
		if seen[hash] || i > 0 && !named[hash] {
			t.Fatalf("directory %d is there twice, or before its parent", i)
		}
		seen[hash] = true
		for _, s := range d.Directories {
			named[s.Digest.Hash] = true
		}
	}
	if len(named)+1 != len(seen) {
		t.Fatalf("%d directories are named, %d are there", len(named), len(seen)-1)
	}
}

func TestEmptyTreeNeedsNoUpload(t *testing.T) {
	for _, fn := range functions {
		w := newWorld(fn)
		tr := translate.New(w, translate.Options{})
		empty := digest.Of(fn, nil)
		if got := root(t, tr, empty); got != digest.Of(digest.BLAKE3, nil) {
			t.Errorf("%v: %v", fn, got)
		}
		m := w.dir(t, &repb.Directory{Files: []*repb.FileNode{fileNode("f", empty)}, Directories: []*repb.DirectoryNode{dirNode("d", empty)}})
		if n := root(t, tr, m); !has(t, w, n) {
			t.Errorf("%v: the native root is not here", fn)
		}
	}
}

// The time of modification and the mode make another tree, which comes back to the
// client as it was. Named properties mean nothing.
func TestNodeProperties(t *testing.T) {
	for _, fn := range functions {
		w := newWorld(fn)
		tr := translate.New(w, translate.Options{})
		x := w.put(t, []byte("x"))
		tree := func(of func(at int) *repb.NodeProperties) digest.Digest {
			m := &repb.Directory{Files: []*repb.FileNode{fileNode("f", x)}, Symlinks: []*repb.SymlinkNode{{Name: "l", Target: "../beside"}}}
			m.Files[0].IsExecutable = true
			m.NodeProperties, m.Files[0].NodeProperties, m.Symlinks[0].NodeProperties = of(0), of(1), of(2)
			return w.dir(t, m)
		}
		plain := root(t, tr, tree(func(int) *repb.NodeProperties { return nil }))
		named := &repb.NodeProperties{Properties: []*repb.NodeProperty{{Name: "n", Value: "v"}}}
		if got := root(t, tr, tree(func(int) *repb.NodeProperties { return named })); got != plain {
			t.Errorf("%v: with named properties it is %v, without %v", fn, got, plain)
		}
		seen := map[digest.Digest]bool{plain: true}
		for _, p := range []*repb.NodeProperties{{UnixMode: wrapperspb.UInt32(0o755)}, {UnixMode: wrapperspb.UInt32(0)}, {Mtime: &timestamppb.Timestamp{Seconds: 7, Nanos: 9}}, {Mtime: &timestamppb.Timestamp{}}} {
			for at := range 3 {
				client := tree(func(i int) *repb.NodeProperties {
					if i == at {
						return p
					}
					return nil
				})
				native := root(t, tr, client)
				if seen[native] {
					t.Errorf("%v: %v at %d is as another tree", fn, p, at)
				}
				seen[native] = true
				if out, err := tr.Tree(t.Context(), native, fn); err != nil || out.Root != client {
					t.Errorf("%v: %v at %d comes back as %v, %v", fn, p, at, out.Message, err)
				}
			}
		}
		for at := range 3 {
			_, _, err := tr.Root(t.Context(), tree(func(i int) *repb.NodeProperties {
				if i == at {
					return &repb.NodeProperties{Mtime: &timestamppb.Timestamp{Nanos: 1e9}}
				}
				return nil
			}))
			if !errors.Is(err, translate.ErrMalformed) {
				t.Errorf("%v: a time that is none at %d: %v", fn, at, err)
			}
		}
	}
}

// sample is a tree of two levels: a/{f,g}, b/{f}, h.
func sample(t testing.TB, w *world) (top digest.Digest, blobs map[string]digest.Digest) {
	t.Helper()
	b := map[string]digest.Digest{"f": w.put(t, []byte("f")), "g": w.put(t, []byte("g")), "h": w.put(t, []byte("h"))}
	b["a"] = w.dir(t, &repb.Directory{Files: []*repb.FileNode{fileNode("f", b["f"]), fileNode("g", b["g"])}})
	b["b"] = w.dir(t, &repb.Directory{Files: []*repb.FileNode{fileNode("f", b["f"])}})
	return w.dir(t, &repb.Directory{
		Files:       []*repb.FileNode{fileNode("h", b["h"])},
		Directories: []*repb.DirectoryNode{dirNode("a", b["a"]), dirNode("b", b["b"])},
	}), b
}

func TestAllThatIsMissingIsTold(t *testing.T) {
	for _, fn := range functions {
		for _, warm := range []bool{false, true} {
			for _, gone := range [][]string{{"f"}, {"f", "g", "h"}, {"h", "f"}} {
				w := newWorld(fn)
				tr := translate.New(w, translate.Options{})
				top, blobs := sample(t, w)
				if warm {
					root(t, tr, top)
				}
				for _, name := range gone {
					w.drop(t, blobs[name])
				}
				n, missing, err := tr.Root(t.Context(), top)
				var want []digest.Digest
				for _, name := range gone {
					want = append(want, blobs[name])
				}
				if err != nil || !n.IsZero() || !same(missing, want) {
					t.Errorf("%v, warm %v, without %v: %v, %v, %v", fn, warm, gone, n, missing, err)
				}
				for _, name := range gone {
					w.put(t, []byte(name))
				}
				root(t, tr, top)
			}
		}
	}
}

func same(a, b []digest.Digest) bool {
	slices.SortFunc(a, digest.Digest.Compare)
	slices.SortFunc(b, digest.Digest.Compare)
	return slices.Equal(a, b)
}

func TestDirectoriesAndUnknownNamesAreMissingToo(t *testing.T) {
	for _, fn := range functions {
		w := newWorld(fn)
		tr := translate.New(w, translate.Options{})
		file, sub := digest.Of(fn, []byte("never came")), digest.Of(fn, []byte("nor this"))
		present := w.dir(t, &repb.Directory{Files: []*repb.FileNode{fileNode("f", file)}})
		top := w.dir(t, &repb.Directory{Directories: []*repb.DirectoryNode{dirNode("a", sub), dirNode("b", present), dirNode("c", sub)}})
		if n, missing, err := tr.Root(t.Context(), top); err != nil || !n.IsZero() || !same(missing, []digest.Digest{file, sub}) {
			t.Errorf("%v: %v, %v, %v", fn, n, missing, err)
		}
		nowhere := digest.Of(fn, []byte("no root"))
		if n, missing, err := tr.Root(t.Context(), nowhere); err != nil || !n.IsZero() || !slices.Equal(missing, []digest.Digest{nowhere}) {
			t.Errorf("%v: no root: %v, %v, %v", fn, n, missing, err)
		}
	}
}

func TestWhatIsElsewhereIsBrought(t *testing.T) {
	w := newWorld(digest.SHA256)
	top, blobs := sample(t, w)
	elsewhere := map[digest.Digest][]byte{}
	for _, name := range []string{"f", "a"} {
		n, err := w.Native(t.Context(), blobs[name])
		check(t, err)
		content, err := store.ReadAll(t.Context(), w, blobs[name], 1<<20)
		check(t, err)
		elsewhere[n] = content
		w.under.Drop(n)
	}
	calls := 0
	tr := translate.New(w, translate.Options{Bring: func(ctx context.Context, ds []digest.Digest) error {
		calls++
		for _, d := range ds {
			if err := w.Put(ctx, d, bytes.NewReader(elsewhere[d])); err != nil {
				return err
			}
		}
		return nil
	}})
	root(t, tr, top)
	if calls != 2 {
		t.Errorf("%d batches were brought, want one of directories and one of files", calls)
	}
}

// Whoever holds a tree holds all of it, whether it was translated before or not.
func TestAllOfATreeIsHeld(t *testing.T) {
	w := newWorld(digest.SHA256)
	tr := translate.New(w, translate.Options{})
	top, _ := sample(t, w)
	for _, when := range []string{"at first", "when it is known"} {
		held := map[digest.Digest]bool{}
		n, missing, err := tr.HeldRoot(t.Context(), top, func(ds ...digest.Digest) {
			for _, d := range ds {
				held[d] = true
			}
		})
		if err != nil || len(missing) > 0 {
			t.Fatalf("%s: missing %v, %v", when, missing, err)
		}
		all, err := store.Tree(t.Context(), w.under, n, 100)
		check(t, err)
		for _, d := range all {
			if !held[d] {
				t.Errorf("%s: %v is not held", when, d)
			}
		}
	}
}

func TestLostNativeDirectoryIsMadeAgain(t *testing.T) {
	w := newWorld(digest.SHA256)
	tr := translate.New(w, translate.Options{})
	top, _ := sample(t, w)
	n := root(t, tr, top)
	w.under.Drop(n)
	if again := root(t, tr, top); again != n || !has(t, w, n) {
		t.Errorf("%v then %v, here: %v", n, again, has(t, w, n))
	}
}

func TestDirectoriesAreReadOnce(t *testing.T) {
	for _, fn := range functions {
		w := newWorld(fn)
		tr := translate.New(w, translate.Options{})
		top, blobs := sample(t, w)
		other := w.dir(t, &repb.Directory{Directories: []*repb.DirectoryNode{dirNode("x", top)}})
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				if _, missing, err := tr.Root(context.Background(), []digest.Digest{top, other}[i%2]); err != nil || len(missing) > 0 {
					t.Errorf("missing %v, %v", missing, err)
				}
			})
		}
		wg.Wait()
		for _, d := range []digest.Digest{top, other, blobs["a"], blobs["b"]} {
			if w.opens[d] != 1 {
				t.Errorf("%v was read %d times", d, w.opens[d])
			}
		}
	}
}

func TestMemoIsBounded(t *testing.T) {
	w := newWorld(digest.SHA256)
	tr := translate.New(w, translate.Options{MemoEntries: 20})
	x := w.put(t, []byte("x"))
	var all []digest.Digest
	for i := range 30 {
		all = append(all, w.dir(t, &repb.Directory{Files: []*repb.FileNode{fileNode(fmt.Sprint(i), x)}}))
		root(t, tr, all[i])
		root(t, tr, all[0]) // stays, since it is used
	}
	root(t, tr, all[1])
	if w.opens[all[0]] != 1 || w.opens[all[1]] != 2 {
		t.Errorf("the used one was read %d times, the unused one %d times", w.opens[all[0]], w.opens[all[1]])
	}
}

func TestTreeOfWhatIsNotHere(t *testing.T) {
	w := newWorld(digest.SHA256)
	tr := translate.New(w, translate.Options{})
	top, blobs := sample(t, w)
	n := root(t, tr, top)
	w.drop(t, blobs["g"])
	if _, err := tr.Tree(t.Context(), n, digest.SHA256); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a file is missing: %v", err)
	}
	if _, err := tr.Tree(t.Context(), digest.Of(digest.BLAKE3, []byte("none")), digest.SHA256); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("all is missing: %v", err)
	}
}

// hung reads nothing while anybody waits for a first time.
type hung struct {
	*world
	once sync.Once
}

func (h *hung) Open(ctx context.Context, d digest.Digest) (store.Reader, error) {
	h.once.Do(func() { <-ctx.Done() })
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return h.world.Open(ctx, d)
}

func TestCancelledReaderDoesNotFailOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(digest.SHA256)
		tr := translate.New(&hung{world: w}, translate.Options{})
		top, _ := sample(t, w)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			if _, _, err := tr.Root(ctx, top); !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled: %v", err)
			}
		}()
		synctest.Wait()
		go func() {
			if _, missing, err := tr.Root(t.Context(), top); err != nil || len(missing) > 0 {
				t.Errorf("missing %v, %v", missing, err)
			}
		}()
		synctest.Wait()
		cancel()
		synctest.Wait()
	})
}
