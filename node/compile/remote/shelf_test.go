package remote_test

import (
	"testing"

	"github.com/buildnet/buildnet/node/compile/remote"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/memory"
)

func TestShelf(t *testing.T) {
	s := remote.NewShelf(&memory.KV{})
	one, two := digest.Of(digest.BLAKE3, []byte("1")), digest.Of(digest.BLAKE3, []byte("2"))
	if b, err := s.Load(t.Context(), one); b != nil || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	for _, d := range []digest.Digest{one, two} {
		if err := s.Keep(t.Context(), d, []byte(d.String())); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := s.Load(t.Context(), one); string(b) != one.String() || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if err := s.Trim(1); err != nil {
		t.Fatal(err)
	}
	left := 0
	for _, d := range []digest.Digest{one, two} {
		if b, _ := s.Load(t.Context(), d); b != nil {
			left++
		}
	}
	if left != 1 {
		t.Errorf("%d left", left)
	}
}
