package dht_test

import (
	"context"
	"errors"
	"testing"

	"github.com/buildnet/buildnet/dht"
	"github.com/buildnet/buildnet/store/digest"
)

func TestMembersSayWhatBlobsAreCalled(t *testing.T) {
	w := newWorld(t, "a", "b", "c")
	content := []byte("content")
	named := digest.Of(digest.SHA256, content)
	native := w.shelfs["b"].add(content)
	for _, id := range []string{"b", "c"} { // c knows the name, and has no blob
		w.names[id] = map[digest.Digest]digest.Digest{named: native}
	}
	other := digest.Of(digest.SHA256, []byte("nobody's"))
	got, err := w.dhts["a"].Natives(t.Context(), []digest.Digest{other, named})
	if err != nil || len(got) != 1 || len(got[named]) != 1 || got[named][0] != (dht.Said{Native: native, By: "b"}) {
		t.Errorf("said %v, %v", got, err)
	}
}

// A name of another size can be of no use, and so can one that is none.
func TestWhatCannotBeABlobsNameIsLeftOut(t *testing.T) {
	w := newWorld(t, "a", "b", "c")
	named := digest.Of(digest.SHA256, []byte("content"))
	w.names["b"] = map[digest.Digest]digest.Digest{named: w.shelfs["b"].add([]byte("longer content"))}
	w.shelfs["c"].set(named, []byte("content"))
	w.names["c"] = map[digest.Digest]digest.Digest{named: named}
	if got, err := w.dhts["a"].Natives(t.Context(), []digest.Digest{named}); err != nil || len(got) != 0 {
		t.Errorf("said %v, %v", got, err)
	}
}

var errUnknown = errors.New("not known")

// native is dht.Options.Native of a node.
func (w *world) native(id string) func(context.Context, digest.Digest) (digest.Digest, error) {
	return func(_ context.Context, d digest.Digest) (digest.Digest, error) {
		if n, ok := w.names[id][d]; ok {
			return n, nil
		}
		return digest.Digest{}, errUnknown
	}
}
