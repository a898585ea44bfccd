package build

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/memory"
)

// grove is a member that has a tree of one listing and one file, and sends one
// after the other.
type grove struct {
	to            *memory.Store
	listing, file string
	ended         bool // before the file
}

func blobOf(content string) digest.Digest { return digest.Of(digest.BLAKE3, []byte(content)) }

func (g *grove) Fetch(ctx context.Context, ds []digest.Digest, _ []peer.ID) (moved int64, err error) {
	for _, content := range []string{g.listing, g.file} {
		for _, d := range ds {
			if d != blobOf(content) {
				continue
			}
			if err := g.to.Put(ctx, d, strings.NewReader(content)); err != nil {
				return moved, fmt.Errorf("store %v: %w", d, err)
			}
			moved += d.Size()
		}
	}
	return moved, nil
}

func (g *grove) FetchTree(ctx context.Context, root digest.Digest, _ []peer.ID, hold func(...digest.Digest)) (moved int64, err error) {
	for _, d := range []digest.Digest{root, blobOf(g.file)} {
		hold(d)
		if g.ended = ctx.Err() != nil; g.ended {
			return moved, ctx.Err()
		}
		n, err := g.Fetch(ctx, []digest.Digest{d}, nil)
		if moved += n; err != nil {
			return moved, err
		}
	}
	return moved, nil
}

// custody returns the custody of a build that begins with a result, and what one
// of its steps makes.
func (g *grove) custody(t *testing.T, opts Options, given ...action.Output) (*custodian, *steal.Done) {
	t.Helper()
	graph, err := action.NewGraph([]action.Step{{
		ID: "s", Argv: []string{"x"}, Inputs: digest.Of(digest.BLAKE3, nil), Timeout: time.Second, Reach: action.Anywhere, Sharing: action.Unshared,
	}})
	if err != nil {
		t.Fatal(err)
	}
	opts.Store, opts.Fetcher = g.to, g
	plan := &steal.Plan{Graph: graph}
	if len(given) > 0 {
		plan.Given = []steal.Given{{Step: 0, Result: &action.Result{Outputs: given}}}
	}
	c := New(opts).Custody("b", "another", plan).(*custodian)
	t.Cleanup(c.Close)
	made := action.Result{Outputs: []action.Output{{Path: "out", Kind: action.Directory, Digest: blobOf(g.listing)}}}
	return c, &steal.Done{Entry: action.Entry{Result: made}}
}

// TestADirectoryIsCountedWhileItComes has a file here already that an heir may not
// keep: the node's own builds need its room.
func TestADirectoryIsCountedWhileItComes(t *testing.T) {
	g := &grove{to: memory.New(100), listing: "listing", file: strings.Repeat("x", 60)}
	c, made := g.custody(t, Options{KeepBytes: 66})
	if err := g.to.Put(t.Context(), blobOf(g.file), strings.NewReader(g.file)); err != nil {
		t.Fatal(err)
	}
	if err := c.Secure(t.Context(), 0, made); !errors.Is(err, sched.ErrTooMuch) || !g.ended {
		t.Errorf("%v, and the fetch was ended: %v", err, g.ended)
	}
	if kept := c.b.kept.Load(); kept != int64(len(g.listing)) {
		t.Errorf("%d bytes count", kept)
	}
	own := strings.Repeat("o", 90)
	if err := g.to.Put(t.Context(), blobOf(own), strings.NewReader(own)); err != nil {
		t.Errorf("an own build: %v", err)
	}
}

func TestAFullStoreIsTooMuch(t *testing.T) {
	g := &grove{to: memory.New(100), listing: "listing", file: strings.Repeat("x", 99)}
	c, made := g.custody(t, Options{}, action.Output{Path: "given", Kind: action.File, Digest: blobOf(g.listing)})
	if err := c.Sources(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Secure(t.Context(), 0, made); !errors.Is(err, sched.ErrTooMuch) {
		t.Errorf("outputs: %v", err)
	}
	g = &grove{to: memory.New(100), file: strings.Repeat("x", 101)}
	c, _ = g.custody(t, Options{}, action.Output{Path: "given", Kind: action.File, Digest: blobOf(g.file)})
	if err := c.Sources(t.Context()); !errors.Is(err, sched.ErrTooMuch) {
		t.Errorf("what is given: %v", err)
	}
}

func TestNothingIsClaimedOfWhatWasLetGo(t *testing.T) {
	g := &grove{to: memory.New(100), listing: "listing", file: "file"}
	c, made := g.custody(t, Options{})
	if err := c.claim(blobOf(g.file)); err != nil {
		t.Fatal(err)
	}
	c.Close()
	for _, err := range []error{c.claim(blobOf("other")), c.Secure(t.Context(), 0, made)} {
		if !errors.Is(err, errLetGo) {
			t.Error(err)
		}
	}
	c.Close()
	if kept := c.b.kept.Load(); kept != 0 {
		t.Errorf("%d bytes count", kept)
	}
}

func TestWhatIsKeptForOthersIsAPartOfTheStore(t *testing.T) {
	for _, c := range []struct{ set, store, want int64 }{
		{0, 0, maxKeptBytes},
		{0, 1 << 50, maxKeptBytes},
		{0, 400, 100},
		{50, 400, 50},
		{200, 400, 100},
		{2 * maxKeptBytes, 0, 2 * maxKeptBytes},
	} {
		b := &Builder{opts: Options{KeepBytes: c.set, StoreBytes: c.store}}
		if got := b.mayKeep(); got != c.want {
			t.Errorf("set to %d with a store of %d: %d bytes", c.set, c.store, got)
		}
	}
}

func TestSizesThatAddUpToTooMuch(t *testing.T) {
	hash := make([]byte, 32)
	var ds []digest.Digest
	for i := range 3 {
		hash[0] = byte(i)
		d, err := digest.New(digest.BLAKE3, hash, 1<<62+1)
		if err != nil {
			t.Fatal(err)
		}
		ds = append(ds, d)
	}
	c := &custodian{b: &Builder{}, claimed: map[digest.Digest]struct{}{}}
	for n := range ds {
		if err := c.claim(ds[:n+1]...); !errors.Is(err, sched.ErrTooMuch) {
			t.Errorf("%d: %v", n, err)
		}
	}
}
