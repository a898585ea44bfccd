package peer

import (
	"crypto/ed25519"
	"crypto/rand"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	libp2p "github.com/libp2p/go-libp2p/core/peer"
)

// signer is a peer with its key, of a kind.
func signer(t testing.TB, kind int) (ID, crypto.PrivKey) {
	t.Helper()
	private, public, err := crypto.GenerateKeyPairWithReader(kind, -1, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := libp2p.IDFromPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return ID(id.String()), private
}

func sign(t testing.TB, by crypto.PrivKey, message string) []byte {
	t.Helper()
	signature, err := by.Sign([]byte(message))
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

func TestManySignaturesOfOneKeyAreStillChecked(t *testing.T) {
	for name, kind := range map[string]int{"Ed25519": crypto.Ed25519, "secp256k1": crypto.Secp256k1} {
		t.Run(name, func(t *testing.T) {
			id, private := signer(t, kind)
			good := sign(t, private, "good")
			for i := range 2 * oftenAfter {
				if err := id.Verify([]byte("good"), good); err != nil {
					t.Fatalf("check %d of a good signature: %v", i, err)
				}
				if err := id.Verify([]byte("bad"), good); err == nil {
					t.Fatalf("check %d of a bad signature: it is good", i)
				}
			}
		})
	}
}

func TestTheKeysOfManyAreForgotten(t *testing.T) {
	var n known
	first, _ := signer(t, crypto.Ed25519)
	of := func(id ID) *key {
		k, err := n.of(id)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	kept := of(first)
	for range 4 * maxKeys {
		id, _ := signer(t, crypto.Ed25519)
		of(id)
		if of(first) != kept {
			t.Fatal("the key of one who is asked for all the time is forgotten")
		}
		if got := len(n.young) + len(n.old); got > 2*maxKeys {
			t.Fatalf("%d keys are kept", got)
		}
	}
}

func TestAKeyBecomesQuick(t *testing.T) {
	id, private := signer(t, crypto.Ed25519)
	k, err := keyOf(id)
	if err != nil {
		t.Fatal(err)
	}
	signature := sign(t, private, "x")
	for range oftenAfter {
		if ok, err := k.verify([]byte("x"), signature); !ok || err != nil {
			t.Fatal("a good signature is bad", err)
		}
	}
	if k.quick == nil || !ed25519.PublicKey(k.quick.public[:]).Equal(k.raw) {
		t.Fatalf("after %d checks it is not quick", oftenAfter)
	}
}
