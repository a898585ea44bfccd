package action_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"math"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/libp2p/go-libp2p/core/crypto"
	libp2p "github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

// shelf keeps directories by digest, as a store would.
type shelf map[digest.Digest][]byte

func (s shelf) Directory(_ context.Context, d digest.Digest) (*repb.Directory, error) {
	b, ok := s[d]
	if !ok {
		return nil, errors.New("no such directory")
	}
	var dir repb.Directory
	return &dir, proto.Unmarshal(b, &dir)
}

func (s shelf) keep(blobs []action.Blob) {
	for _, b := range blobs {
		s[b.Digest] = b.Content
	}
}

// tree makes a root of files whose content is their path.
func (s shelf) tree(t testing.TB, files ...string) digest.Digest {
	t.Helper()
	tr := action.NewTree(s, digest.Digest{})
	for _, f := range files {
		if err := tr.Put(t.Context(), file(f, f)); err != nil {
			t.Fatal(err)
		}
	}
	d, blobs, err := tr.Encode()
	if err != nil {
		t.Fatal(err)
	}
	s.keep(blobs)
	return d
}

func file(path, content string) action.Output {
	return action.Output{Path: path, Kind: action.File, Digest: digest.Of(digest.BLAKE3, []byte(content))}
}

func step(id action.StepID, inputs digest.Digest, outputs ...string) action.Step {
	return action.Step{
		ID: id, Argv: []string{"true"}, Inputs: inputs, Outputs: outputs,
		Timeout: time.Hour, Reach: action.Anywhere, Sharing: action.Shared,
	}
}

func TestTreeDoesNotDependOnTheOrderOfPuts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		paths := rapid.SliceOfNDistinct(rapid.StringMatching(`([ab]/){0,3}[c-f]`), 1, 20, rapid.ID[string]).Draw(t, "paths")
		build := func(order []string) digest.Digest {
			tr := action.NewTree(shelf{}, digest.Digest{})
			for _, p := range order {
				if err := tr.Put(context.Background(), file(p, p)); err != nil {
					t.Fatal(err)
				}
			}
			d, _, err := tr.Encode()
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		if a, b := build(paths), build(rapid.Permutation(paths).Draw(t, "order")); a != b {
			t.Fatalf("trees differ: %v and %v", a, b)
		}
	})
}

func TestPuttingOverAnExistingTreeEqualsBuildingItWhole(t *testing.T) {
	s := shelf{}
	base := s.tree(t, "src/a.c", "src/deep/b.h", "lib/x")
	tr := action.NewTree(s, base)
	if err := tr.Put(t.Context(), file("src/deep/gen.h", "src/deep/gen.h")); err != nil {
		t.Fatal(err)
	}
	dist := s.tree(t, "one", "two/three")
	for range 2 { // a directory over itself changes nothing
		if err := tr.Put(t.Context(), action.Output{Path: "lib/dist", Kind: action.Directory, Digest: dist}); err != nil {
			t.Fatal(err)
		}
	}
	got, blobs, err := tr.Encode()
	if err != nil {
		t.Fatal(err)
	}
	s.keep(blobs)
	whole := action.NewTree(s, s.tree(t, "src/a.c", "src/deep/b.h", "src/deep/gen.h", "lib/x"))
	for path, content := range map[string]string{"lib/dist/one": "one", "lib/dist/two/three": "two/three"} {
		if err := whole.Put(t.Context(), file(path, content)); err != nil {
			t.Fatal(err)
		}
	}
	want, _, err := whole.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("tree = %v, want %v", got, want)
	}
}

func TestAssembleKeysWhatTheCommandCanSeeAndNothingElse(t *testing.T) {
	s := shelf{}
	in := s.tree(t, "p/a.c")
	base := func() action.Step {
		st := step("p:a.o", in, "p/a.o")
		st.Dir = "p"
		st.Deps = []action.Dep{{Step: "gen"}}
		st.Platform = []action.Property{{Name: "toolchain", Value: "x"}}
		return st
	}
	results := func(content string) map[action.StepID]*action.Result {
		return map[action.StepID]*action.Result{"gen": {Outputs: []action.Output{file("p/gen.h", content), file("p/other", content)}}}
	}
	key := func(st action.Step, r map[action.StepID]*action.Result) digest.Digest {
		t.Helper()
		a, err := action.Assemble(t.Context(), &st, r, s)
		if err != nil {
			t.Fatal(err)
		}
		if name, err := action.Name(t.Context(), &st, r, s); err != nil || name != a.Action {
			t.Errorf("its name is %v, %v; want %v", name, err, a.Action)
		}
		return a.Action
	}
	want := key(base(), results("1"))
	for name, tc := range map[string]struct {
		change func(*action.Step)
		gen    string
		same   bool
	}{
		"Name":          {func(st *action.Step) { st.ID, st.Package = "q", "q" }, "1", true},
		"Hints":         {func(st *action.Step) { st.Cost, st.Memory, st.OutputBytes = 9, 9, 9 }, "1", true},
		"Dependency":    {func(*action.Step) {}, "2", false},
		"UnreadOutput":  {func(st *action.Step) { st.Deps[0].Paths = []string{"p/gen.h"} }, "1", false},
		"Argument":      {func(st *action.Step) { st.Argv = []string{"true", "x"} }, "1", false},
		"Environment":   {func(st *action.Step) { st.Env = []action.Property{{Name: "A", Value: "b"}} }, "1", false},
		"Toolchain":     {func(st *action.Step) { st.Platform[0].Value = "y" }, "1", false},
		"Timeout":       {func(st *action.Step) { st.Timeout = time.Minute }, "1", false},
		"Directory":     {func(st *action.Step) { st.Dir = "" }, "1", false},
		"NotToBeShared": {func(st *action.Step) { st.Sharing = action.Unshared }, "1", false},
	} {
		t.Run(name, func(t *testing.T) {
			st := base()
			tc.change(&st)
			if got := key(st, results(tc.gen)); (got == want) != tc.same {
				t.Errorf("key is the same: %v, want %v", got == want, tc.same)
			}
		})
	}
}

func TestNameReadsNoDirectoryThatStaysAsItIs(t *testing.T) {
	s := shelf{}
	st := step("p", s.tree(t, "a.c"), "a.o")
	a, err := action.Assemble(t.Context(), &st, nil, s)
	if err != nil {
		t.Fatal(err)
	}
	if name, err := action.Name(t.Context(), &st, nil, shelf{}); err != nil || name != a.Action {
		t.Errorf("%v, %v; want %v", name, err, a.Action)
	}
}

func TestAssembledOutputPathsAreRelativeToTheWorkingDirectory(t *testing.T) {
	s := shelf{}
	st := step("p", s.tree(t, "p/a.c"), "p/obj/a.o", "q/b")
	st.Dir = "p"
	a, err := action.Assemble(t.Context(), &st, nil, s)
	if err != nil {
		t.Fatal(err)
	}
	s.keep(a.Blobs)
	var command repb.Command
	if err := proto.Unmarshal(a.Blobs[len(a.Blobs)-2].Content, &command); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"../q/b", "obj/a.o"}, command.OutputPaths); diff != "" {
		t.Error(diff)
	}
}

func TestGraphRefusesWhatItPromisesNotToHold(t *testing.T) {
	in := digest.Of(digest.BLAKE3, nil)
	dependent := step("b", in, "y")
	dependent.Deps = []action.Dep{{Step: "a"}}
	for name, steps := range map[string][]action.Step{
		"TwoOfOneName":       {step("a", in, "x"), step("a", in, "y")},
		"DependencyAfter":    {dependent, step("a", in, "x")},
		"OneOutputTwice":     {step("a", in, "x"), step("b", in, "x")},
		"OutputWithinOutput": {step("a", in, "x/y"), step("b", in, "x")},
		"OutputOutside":      {step("a", in, "../x")},
		"AbsoluteOutput":     {step("a", in, "/x")},
		"NoCommand":          {{ID: "a", Inputs: in, Timeout: 1, Reach: action.Anywhere, Sharing: action.Shared}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := action.NewGraph(steps); !errors.Is(err, action.ErrInvalid) {
				t.Errorf("NewGraph = %v, want ErrInvalid", err)
			}
		})
	}
}

func TestGraphReadsBackAsItWasWritten(t *testing.T) {
	in := digest.Of(digest.BLAKE3, nil)
	a, b := step("a", in, "x"), step("b", in, "y", "z")
	b.Deps = []action.Dep{{Step: "a", Paths: []string{"x"}}}
	b.Env = []action.Property{{Name: "A", Value: "1"}}
	b.Cost, b.Memory, b.OutputBytes = 1.5, 64<<20, 4096
	g, err := action.NewGraph([]action.Step{a, b})
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := g.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := action.UnmarshalGraph(encoded)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(g.Steps(), got.Steps(), cmp.Comparer(func(a, b digest.Digest) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]action.StepID{"a", "b"}, got.Ancestors("b")); diff != "" {
		t.Error(diff)
	}
}

// What a peer gives as hints is finite, and so are its sums.
func TestHintsOfAPeerAreBounded(t *testing.T) {
	for _, tc := range []struct {
		cost, wantCost   float64
		bytes, wantBytes int64
	}{
		{math.NaN(), 0, math.MinInt64, 0},
		{-1, 0, -1, 0},
		{math.Inf(1), action.MaxCost, math.MaxInt64, action.MaxHintBytes},
		{2.5, 2.5, 77, 77},
	} {
		st := step("a", digest.Of(digest.BLAKE3, nil), "x")
		st.Cost, st.Memory, st.OutputBytes = tc.cost, tc.bytes, tc.bytes
		g, err := action.NewGraph([]action.Step{st})
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := g.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		read, err := action.UnmarshalGraph(encoded)
		if err != nil {
			t.Fatal(err)
		}
		g.Hint(0, action.Hints{Cost: tc.cost, Memory: tc.bytes, OutputBytes: tc.bytes})
		if hinted := g.Steps()[0]; hinted.Cost != tc.wantCost || hinted.Memory != tc.wantBytes || hinted.OutputBytes != tc.wantBytes {
			t.Errorf("cost %v, %d bytes: hinted as %v, %d, %d", tc.cost, tc.bytes, hinted.Cost, hinted.Memory, hinted.OutputBytes)
		}
		got := read.Steps()[0]
		if got.Cost != tc.wantCost || got.Memory != tc.wantBytes || got.OutputBytes != tc.wantBytes {
			t.Errorf("cost %v, %d bytes: read as %v, %d, %d", tc.cost, tc.bytes, got.Cost, got.Memory, got.OutputBytes)
		}
	}
}

func TestEntryIsRefusedWhenAnythingInItChanged(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := crypto.UnmarshalEd25519PublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	id, err := libp2p.IDFromPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(b []byte) ([]byte, error) { return ed25519.Sign(private, b), nil }
	d := digest.Of(digest.BLAKE3, []byte("action"))
	result := action.Result{Outputs: []action.Output{file("x", "x")}, Isolation: action.Full}
	e, err := action.SignEntry(d, result, peer.ID(id.String()), sign)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := e.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	read := func(b []byte) action.Entry {
		t.Helper()
		got, err := action.UnmarshalEntry(b)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	good := read(encoded)
	if err := good.Verify(); err != nil {
		t.Errorf("Verify = %v", err)
	}
	other := read(encoded)
	other.Action = digest.Of(digest.BLAKE3, []byte("another"))
	if err := other.Verify(); !errors.Is(err, peer.ErrBadSignature) {
		t.Errorf("another action: Verify = %v, want ErrBadSignature", err)
	}
	forged, err := action.SignEntry(d, action.Result{ExitCode: 1, Isolation: action.Full}, e.Executor, func([]byte) ([]byte, error) { return e.Signature, nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := forged.Verify(); !errors.Is(err, peer.ErrBadSignature) {
		t.Errorf("another result: Verify = %v, want ErrBadSignature", err)
	}
}

func FuzzUnmarshalEntry(f *testing.F) {
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := action.UnmarshalEntry(b)
		if err != nil {
			return
		}
		again, err := e.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := action.UnmarshalEntry(again); err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
	})
}

func FuzzUnmarshalGraph(f *testing.F) {
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := action.UnmarshalGraph(b)
		if err == nil && len(g.Ancestors()) != 0 {
			t.Fatal("nothing has ancestors")
		}
	})
}
