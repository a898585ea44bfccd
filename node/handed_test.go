package node

import (
	"bytes"
	"errors"
	"testing"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/disk"
)

func TestHandedMessagesAreThereWhileAJobHasThem(t *testing.T) {
	s, err := disk.Open(t.TempDir(), disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	h := newHanded(s)
	blob := func(content string) action.Blob {
		return action.Blob{Digest: digest.Of(digest.BLAKE3, []byte(content)), Content: []byte(content)}
	}
	one, both := blob("one"), blob("both")
	first, second := h.hold([]action.Blob{one, both}), h.hold([]action.Blob{both})
	there := func(want bool, b action.Blob) {
		t.Helper()
		got, err := store.ReadAll(t.Context(), h, b.Digest, 100)
		if want && (err != nil || string(got) != string(b.Content)) || !want && !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %q, %v", b.Content, got, err)
		}
	}
	there(true, one)
	there(true, both)
	first()
	there(false, one)
	there(true, both)
	second()
	there(false, both)
	if err := h.Put(t.Context(), one.Digest, bytes.NewReader(one.Content)); err != nil {
		t.Fatal(err)
	}
	there(true, one)
}
