package results

import (
	"context"
	"errors"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/registry"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/actions"
	"github.com/buildnet/buildnet/store/alias"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/memory"
)

// board is the results of a mesh, as its owners have them.
type board map[digest.Digest]registry.Found

func (b board) Lookup(_ context.Context, _ registry.Scope, as []digest.Digest) map[digest.Digest]registry.Found {
	found := map[digest.Digest]registry.Found{}
	for _, a := range as {
		if f, ok := b[a]; ok {
			found[a] = f
		}
	}
	return found
}

func (b board) Publish(_ context.Context, _ registry.Scope, e action.Entry, holders []peer.ID) error {
	b[e.Action] = registry.Found{Entry: e, Holders: holders}
	return nil
}

// member has a store of its own, what is installed, and the board of its mesh.
type member struct {
	*Store
	*alias.Blobs
	tools []string
}

// fetching takes blobs from another member.
func newMember(t *testing.T, b board, from *member, share bool, tools ...string) *member {
	t.Helper()
	m := &member{Blobs: alias.New(memory.New(1<<20), &memory.KV{}), tools: tools}
	m.Store = New(Options{
		Self: "self", Blobs: m.Blobs, Registry: b, Own: actions.New(&memory.KV{}), Uploads: actions.New(&memory.KV{}),
		Fetch: func(ctx context.Context, ds []digest.Digest, _ []peer.ID) error {
			for _, d := range ds {
				if from == nil {
					return store.ErrNotFound
				}
				content, err := store.ReadAll(ctx, from.Blobs, d, 1<<20)
				if err != nil {
					return err
				}
				if _, err := store.AddBytes(ctx, m.Blobs, content); err != nil {
					return err
				}
			}
			return nil
		},
		Provide: func(...digest.Digest) {}, Hold: func(...digest.Digest) {}, ShareUploads: share,
		Sign: func(a digest.Digest, r action.Result) (action.Entry, error) {
			return action.SignEntry(a, r, "self", func([]byte) ([]byte, error) { return []byte("signed"), nil })
		},
		Toolchains: func(context.Context) ([]string, error) { return m.tools, nil },
	})
	t.Cleanup(m.end)
	return m
}

// made is a result with one output.
func (m *member) made(t *testing.T) *Made {
	t.Helper()
	native, err := store.AddBytes(t.Context(), m.Blobs, []byte("made"))
	if err != nil {
		t.Fatal(err)
	}
	name, err := m.Name(t.Context(), native, digest.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return &Made{
		Result: &repb.ActionResult{OutputFiles: []*repb.OutputFile{{Path: "out", Digest: names.Message(name)}}}, Blobs: []Named{{name, native}},
	}
}

var asked = Key{Action: digest.Of(digest.SHA256, []byte("an action"))}

// done waits until all that is to be told was.
func (m *member) done(t *testing.T) {
	t.Helper()
	if err := m.publishing.Wait(); err != nil {
		t.Fatal(err)
	}
}

func TestAResultIsFoundWhereTheSameIsInstalled(t *testing.T) {
	b := board{}
	first := newMember(t, b, nil, false, "gcc 12", "")
	if _, err := first.Find(t.Context(), asked); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("before it was kept: %v", err)
	}
	of := action.Entry{Result: action.Result{Isolation: action.Full}}
	if err := first.Keep(t.Context(), asked, "gcc 12", first.made(t), &of); err != nil {
		t.Fatal(err)
	}
	first.done(t)
	if m, err := first.Find(t.Context(), asked); err != nil || m.Result.GetOutputFiles()[0].GetPath() != "out" {
		t.Fatalf("where it was made: %v, %v", m, err)
	}
	same := newMember(t, b, first, false, "gcc 12", "")
	m, err := same.Find(t.Context(), asked)
	if err != nil {
		t.Fatalf("where the same is installed: %v", err)
	}
	// The client reads it under its own names.
	if content, err := store.ReadAll(t.Context(), same.Blobs, m.Blobs[0].Name, 1<<20); err != nil || string(content) != "made" {
		t.Errorf("read %q, %v", content, err)
	}
	for _, f := range b {
		if f.Entry.Result.Isolation != action.Full {
			t.Errorf("isolation %v", f.Entry.Result.Isolation)
		}
	}
	if m, err := newMember(t, b, first, false, "gcc 13", "").Find(t.Context(), asked); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("where another compiler is: %v, %v", m, err)
	}
	first.tools = []string{"gcc 13", ""}
	if m, err := first.Find(t.Context(), asked); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("when another compiler was installed: %v, %v", m, err)
	}
	if m, err := newMember(t, b, nil, false, "gcc 12", "").Find(t.Context(), asked); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("when all that have its output are gone: %v, %v", m, err)
	}
}

// asking counts what a mesh is asked for.
type asking struct {
	board
	keys int
}

func (a *asking) Lookup(ctx context.Context, s registry.Scope, as []digest.Digest) map[digest.Digest]registry.Found {
	a.keys += len(as)
	return a.board.Lookup(ctx, s, as)
}

// Who knows what an action runs asks for less, and finds all that there is.
func TestWhatAnActionRunsSparesQuestions(t *testing.T) {
	tools := []string{"gcc 12", "gcc 12 of this processor", ""}
	for _, toolchain := range tools {
		for what, keep := range map[string]func(m *member) error{
			"nothing": func(*member) error { return nil },
			"executed": func(m *member) error {
				return m.Keep(t.Context(), asked, toolchain, m.made(t), &action.Entry{Result: action.Result{Isolation: action.Full}})
			},
			"uploaded": func(m *member) error { return m.Upload(t.Context(), asked, tools[0], m.made(t)) },
		} {
			b := board{}
			first := newMember(t, b, nil, true, tools...)
			if err := keep(first); err != nil {
				t.Fatal(err)
			}
			first.done(t)
			second, a := newMember(t, b, first, true, tools...), &asking{board: b}
			second.opts.Registry = a
			_, err := second.FindOf(t.Context(), asked, toolchain)
			if (err == nil) != (what != "nothing") {
				t.Errorf("%s with %q: %v", what, toolchain, err)
			}
			if a.keys > 2 || toolchain == tools[0] && a.keys != 1 {
				t.Errorf("%s with %q: asked for %d keys", what, toolchain, a.keys)
			}
			if _, err := newMember(t, b, first, true, tools...).Find(t.Context(), asked); (err == nil) != (what != "nothing") {
				t.Errorf("%s with %q, of any: %v", what, toolchain, err)
			}
		}
	}
}

func TestUploadsAreForThisNodeUnlessTheyAreShared(t *testing.T) {
	for _, share := range []bool{false, true} {
		b := board{}
		m := newMember(t, b, nil, share, "gcc 12", "")
		var said []digest.Digest
		m.opts.Said = func(_ Key, blobs []digest.Digest) { said = blobs }
		m.opts.Made = func(Key, []digest.Digest) { t.Error("what a client says counts as seen") }
		if err := m.Upload(t.Context(), asked, "gcc 12", m.made(t)); err != nil {
			t.Fatal(err)
		}
		m.done(t)
		if len(said) != 1 {
			t.Errorf("%d blobs are said to be made", len(said))
		}
		if _, err := m.Find(t.Context(), asked); err != nil {
			t.Errorf("shared %v: here: %v", share, err)
		}
		if _, err := newMember(t, b, m, share, "gcc 12", "").Find(t.Context(), asked); (err == nil) != share {
			t.Errorf("shared %v: elsewhere: %v", share, err)
		}
		for _, f := range b {
			if f.Entry.Result.Isolation != action.None {
				t.Errorf("isolation %v: nobody knows how a client made it", f.Entry.Result.Isolation)
			}
		}
	}
}
