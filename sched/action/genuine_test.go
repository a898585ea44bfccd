package action

import (
	"crypto/ed25519"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	libp2p "github.com/libp2p/go-libp2p/core/peer"

	"github.com/buildnet/buildnet/mesh/peer"
)

// signer returns a peer and what signs for it.
func signer(t *testing.T) (peer.ID, func([]byte) []byte) {
	t.Helper()
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
	return peer.ID(id.String()), func(b []byte) []byte { return ed25519.Sign(private, b) }
}

// What was proved proves nothing that differs from it in any part.
func TestProofIsOfAllThatWasChecked(t *testing.T) {
	p := proofs{young: map[proof]struct{}{}}
	id, sign := signer(t)
	other, _ := signer(t)
	message := []byte("message")
	good := sign(message)
	bent := append([]byte{good[0] ^ 1}, good[1:]...)
	for range 2 { // the second time from memory
		if err := p.check(id, message, good); err != nil {
			t.Fatal(err)
		}
		for name, err := range map[string]error{
			"another signer":    p.check(other, message, good),
			"another message":   p.check(id, []byte("massage"), good),
			"another signature": p.check(id, message, bent),
			"a moved boundary":  p.check(id, append([]byte("message"), good[0]), good[1:]),
		} {
			if err == nil {
				t.Errorf("good although it has %s", name)
			}
		}
	}
	if len(p.young) != 1 {
		t.Errorf("%d proofs remembered, want the one good", len(p.young))
	}
}

func TestProofsAreBounded(t *testing.T) {
	p := proofs{young: map[proof]struct{}{}}
	for i := range 5 * maxGenuine / 2 {
		p.add(proofOf("", nil, []byte{byte(i), byte(i >> 8), byte(i >> 16)}))
	}
	if n := len(p.young) + len(p.old); n > 2*maxGenuine || n < maxGenuine {
		t.Errorf("%d proofs remembered, want the last %d to %d", n, maxGenuine, 2*maxGenuine)
	}
}
