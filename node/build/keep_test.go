package build

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/memory"
)

// holder is a member that has a tree of two files.
type holder struct {
	nowhere
	to    *memory.Store
	blobs map[digest.Digest]string
}

func (h holder) FetchTree(ctx context.Context, _ digest.Digest, _ []peer.ID, hold func(...digest.Digest)) (int64, error) {
	for d, content := range h.blobs {
		hold(d)
		if err := h.to.Put(ctx, d, strings.NewReader(content)); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// TestWhatWasHereOfADirectoryStays: a build that keeps no copies drops what it
// brought, and nothing else.
func TestWhatWasHereOfADirectoryStays(t *testing.T) {
	w := newWorld(t, nil)
	h := holder{to: w.store, blobs: map[digest.Digest]string{}}
	var root digest.Digest
	for _, content := range []string{"listing", "old", "new"} {
		d := digest.Of(digest.BLAKE3, []byte(content))
		if h.blobs[d] = content; content == "listing" {
			root = d
		}
	}
	old := digest.Of(digest.BLAKE3, []byte("old"))
	if err := w.store.Put(t.Context(), old, strings.NewReader("old")); err != nil {
		t.Fatal(err)
	}
	r := &run{opts: w.builder.opts, lease: w.store.Lease()}
	r.opts.Fetcher = h
	res := &action.Result{Outputs: []action.Output{{Path: "out", Kind: action.Directory, Digest: root}}}
	if err := r.bring(t.Context(), res, nil); err != nil {
		t.Fatal(err)
	}
	if got := r.brought.all(); len(got) != 2 || slices.Contains(got, old) {
		t.Errorf("%d blobs count as brought, %v among them: %v", len(got), old, slices.Contains(got, old))
	}
}
