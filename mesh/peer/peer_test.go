package peer

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	libp2p "github.com/libp2p/go-libp2p/core/peer"
)

func generate(t testing.TB) (ID, ed25519.PrivateKey) {
	t.Helper()
	_, key, _ := ed25519.GenerateKey(nil)
	private, err := crypto.UnmarshalEd25519PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	id, err := libp2p.IDFromPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return ID(id.String()), key
}

func TestParseTakesPeerIDsAlone(t *testing.T) {
	id, _ := generate(t)
	raw, err := libp2p.Decode(string(id))
	if err != nil {
		t.Fatal(err)
	}
	private, _, err := crypto.GenerateKeyPairWithReader(crypto.RSA, 2048, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hashed, err := libp2p.IDFromPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]ID{
		string(id):                  id,
		libp2p.ToCid(raw).String():  id, // the other written form is the same peer
		"":                          "",
		"12D3KooW":                  "",
		string(id[:len(id)-1]):      "",
		string(id) + "A":            "",
		"0OIl":                      "",
		hashed.String():             "", // does not carry its key
		"/p2p/" + string(id):        "",
		string(id) + "." + "0000":   "",
		"bafybeigdyrzt5sfp7udm7hu7": "",
	} {
		if got, err := Parse(in); got != want || (err == nil) != (want != "") {
			t.Errorf("Parse(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	id, _ := generate(f)
	f.Add(string(id))
	f.Add("Qm")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := Parse(s)
		if err != nil {
			return
		}
		if again, err := Parse(string(id)); err != nil || again != id {
			t.Errorf("%q comes back as %q, %v", id, again, err)
		}
	})
}

func TestVerifyTakesThePeersSignatureAlone(t *testing.T) {
	id, key := generate(t)
	other, _ := generate(t)
	message := []byte("m")
	signature := ed25519.Sign(key, message)
	if err := id.Verify(message, signature); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"other peer":    other.Verify(message, signature),
		"other message": id.Verify([]byte("n"), signature),
		"no signature":  id.Verify(message, nil),
	} {
		if !errors.Is(err, ErrBadSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := ID("x").Verify(message, signature); err == nil {
		t.Error("an ID that is none has signed")
	}
}

func TestNamesForPeople(t *testing.T) {
	if got := ID("12D3KooWabcdefgh").Short(); got != "abcdefgh" {
		t.Errorf("Short: %q", got)
	}
	if got := ID("a").Short(); got != "a" {
		t.Errorf("Short: %q", got)
	}
	for s, want := range map[State]string{Alive: "alive", Suspect: "suspect", Failed: "failed", Left: "left", 0: "unknown"} {
		if s.String() != want {
			t.Errorf("state %d is %q", s, s)
		}
	}
	if got := (Capabilities{BPU: 1.5, Cores: 4}).Power(); got != 6 {
		t.Errorf("Power: %v", got)
	}
}
