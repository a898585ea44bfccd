package node

import (
	"crypto/ed25519"
	"errors"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	libp2p "github.com/libp2p/go-libp2p/core/peer"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/actions"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/memory"
)

// TestABadSignatureOfOurOwnIsShownToNobody keeps one while nobody is there.
func TestABadSignatureOfOurOwnIsShownToNobody(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
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
	self := peer.ID(id.String())
	alone := true
	cache := actions.New(&memory.KV{})
	shown := ownResults{cache, self, func() bool { return alone }}
	keep := func(name string, flip byte) digest.Digest {
		a := digest.Of(digest.BLAKE3, []byte(name))
		e, err := action.SignEntry(a, action.Result{Isolation: action.Full}, self, func(b []byte) ([]byte, error) {
			signature := ed25519.Sign(private, b)
			signature[0] ^= flip
			return signature, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := cache.PutOwn(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		return a
	}
	good, bad := keep("good", 0), keep("bad", 1)
	for _, a := range []digest.Digest{good, bad} {
		if _, err := shown.Get(t.Context(), a); err != nil {
			t.Errorf("alone: %v", err)
		}
	}
	alone = false
	if _, err := shown.Get(t.Context(), good); err != nil {
		t.Error(err)
	}
	for range 2 {
		if _, err := shown.Get(t.Context(), bad); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the bad one: %v", err)
		}
	}
}
