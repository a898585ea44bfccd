package join

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func drawSecret(t *rapid.T) Secret {
	return Secret(rapid.SliceOfN(rapid.Byte(), SecretBytes, SecretBytes).Draw(t, "secret"))
}

func drawAddr(t *rapid.T) netip.AddrPort {
	n := rapid.SampledFrom([]int{4, 16}).Draw(t, "bytes")
	ip, _ := netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "ip"))
	return netip.AddrPortFrom(ip, rapid.Uint16().Draw(t, "port"))
}

func TestTokensComeBackAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Token{
			Mesh:   string(rapid.SliceOfN(rapid.Byte(), 1, MaxName).Draw(t, "mesh")),
			Secret: drawSecret(t),
			Addrs:  rapid.SliceOfN(rapid.Custom(drawAddr), 0, maxTokenAddrs).Draw(t, "addrs"),
		}
		if len(want.Addrs) == 0 {
			want.Addrs = nil
		}
		text := want.String()
		if strings.ContainsAny(text, " \n") {
			t.Fatalf("%q is not one word", text)
		}
		got, err := ParseToken(" " + text + "\n")
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v, %v; want %+v", got, err, want)
		}
	})
}

func TestOneWrongCharacterIsNoticed(t *testing.T) {
	good := Token{Mesh: "m", Secret: Secret{1}}.String()
	for i := range good {
		bad := []byte(good)
		bad[i] = map[bool]byte{true: 'B', false: 'A'}[bad[i] == 'A']
		if got, err := ParseToken(string(bad)); err == nil {
			t.Errorf("character %d changed: %+v", i, got)
		}
	}
}

// sum makes a token of a body as String does.
func sum(body []byte) string {
	b := binary.BigEndian.AppendUint32(bytes.Clone(body), crc32.ChecksumIEEE(body))
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(b)
}

func TestMalformedTokens(t *testing.T) {
	secret := make([]byte, SecretBytes)
	body := func(more ...byte) string { return sum(append(bytes.Clone(secret), more...)) }
	good := Token{Mesh: "m"}.String()
	for name, text := range map[string]string{
		"empty":                    "",
		"other prefix":             "bn2" + good[3:],
		"prefix alone":             tokenPrefix,
		"cut short":                good[:len(good)-6],
		"not base64":               tokenPrefix + "!!!!",
		"stray bits":               good[:len(good)-1] + "/",
		"too long":                 tokenPrefix + strings.Repeat("A", maxTokenChars+1),
		"no name":                  body(0, 0),
		"name too long":            sum(append(append(bytes.Clone(secret), MaxName+1), make([]byte, MaxName+2)...)),
		"name cut":                 body(9, 'm'),
		"no count of addresses":    body(1, 'm'),
		"too many addresses":       body(1, 'm', maxTokenAddrs+1),
		"address missing":          body(1, 'm', 1),
		"address of 3 bytes":       body(1, 'm', 1, 3, 1, 2, 3),
		"address without an IP":    body(1, 'm', 1, 2, 1, 2),
		"bytes after the end":      body(1, 'm', 0, 7),
		"wrong sum":                tokenPrefix + base64.RawURLEncoding.EncodeToString(append(append(bytes.Clone(secret), 1, 'm', 0), 0, 0, 0, 0)),
		"somebody else's base64":   tokenPrefix + base64.RawURLEncoding.EncodeToString([]byte("hello")),
		"a peer ID by mistake":     "12D3KooWNobody",
		"with a flag before it":    "--join " + good,
		"quoted":                   `"` + good + `"`,
		"in the padded alphabet":   good + "=",
		"in capitals":              strings.ToUpper(good),
		"twice":                    good + good,
		"a NUL in it":              good[:9] + "\x00" + good[10:],
		"non-ASCII":                good[:9] + "é" + good[10:],
		"prefix without separator": "bn1" + good[4:],
	} {
		if got, err := ParseToken(text); !errors.Is(err, ErrBadToken) {
			t.Errorf("%s: %+v, %v; want ErrBadToken", name, got, err)
		}
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(Token{Mesh: "m", Secret: Secret{1}, Addrs: []netip.AddrPort{netip.MustParseAddrPort("[fe80::1%e]:7946")}}.String())
	f.Add("bn1-AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseToken(text)
		if err != nil {
			if !errors.Is(err, ErrBadToken) {
				t.Errorf("%v is no ErrBadToken", err)
			}
			return
		}
		if again, err := ParseToken(got.String()); err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("%+v comes back as %+v, %v", got, again, err)
		}
	})
}

func drawFrame(t *rapid.T) Frame {
	f := Frame{
		Kind:      rapid.SampledFrom([]Kind{Ask, Offer, Prove, Welcome}).Draw(t, "kind"),
		Initiator: Nonce(rapid.SliceOfN(rapid.Byte(), NonceBytes, NonceBytes).Draw(t, "initiator")),
		Responder: Nonce(rapid.SliceOfN(rapid.Byte(), NonceBytes, NonceBytes).Draw(t, "responder")),
	}
	if a := drawAddr(t); rapid.Bool().Draw(t, "seen") {
		f.Seen = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	}
	return f
}

func TestFramesComeBackUnderTheirKeyAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want, secret := drawFrame(t), drawSecret(t)
		sealed := Seal(secret.HelloKey("m"), [24]byte{1}, want)
		if len(sealed) != FrameBytes {
			t.Fatalf("%d bytes, want %d whatever is in it", len(sealed), FrameBytes)
		}
		got, err := Unseal(secret.HelloKey("m"), sealed)
		if err != nil || got != want {
			t.Fatalf("%+v, %v; want %+v", got, err, want)
		}
		other := secret
		other[0]++
		for _, key := range [][]byte{secret.HelloKey("n"), other.HelloKey("m"), secret.GossipKey("m"), secret.STUNKey("m")} {
			if _, err := Unseal(key, sealed); !errors.Is(err, ErrHello) {
				t.Fatalf("opened by another key: %v", err)
			}
		}
		sealed[rapid.IntRange(0, FrameBytes-1).Draw(t, "at")] ^= 1
		if _, err := Unseal(secret.HelloKey("m"), sealed); !errors.Is(err, ErrHello) {
			t.Fatalf("opened though changed: %v", err)
		}
	})
}

func FuzzUnseal(f *testing.F) {
	key := Secret{1}.HelloKey("m")
	f.Add(Seal(key, [24]byte{}, Frame{Kind: Ask}), uint8(1))
	f.Add([]byte{}, uint8(0))
	f.Fuzz(func(t *testing.T, b []byte, kind uint8) {
		if got, err := Unseal(key, b); err == nil && (got.Kind < Ask || got.Kind > Welcome) {
			t.Errorf("kind %d", got.Kind)
		}
		// The sealed body is what a member sends: it may hold anything.
		body := make([]byte, bodyBytes)
		copy(body, append([]byte{kind}, b...))
		if got, err := Unseal(key, aead(key, make([]byte, 24), body)); err == nil && (got.Kind < Ask || got.Kind > Welcome) {
			t.Errorf("kind %d", got.Kind)
		}
	})
}

// responders is the model of a Responder: what it offered and has not seen
// proved.
type responders struct {
	r     *Responder
	now   map[opened]Nonce
	spent []recorded
	n     uint64
}

type recorded struct {
	from  netip.AddrPort
	frame Frame
}

func (m *responders) nonce() (n Nonce) {
	m.n++
	binary.BigEndian.PutUint64(n[:], m.n)
	return n
}

var initiatorKey = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

func drawHello(t *rapid.T) opened {
	port := rapid.Uint16Range(1, 4).Draw(t, "port")
	return opened{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port), Nonce{rapid.ByteRange(1, 3).Draw(t, "hello")}}
}

func (m *responders) ask(t *rapid.T) {
	hello, fresh := drawHello(t), m.nonce()
	got, key, err := m.r.Receive(hello.from, Frame{Kind: Ask, Initiator: hello.initiator}, fresh)
	if err != nil || key != nil || got.Kind != Offer || got.Initiator != hello.initiator {
		t.Fatalf("answer to Ask: %+v, %v", got, err)
	}
	if before, again := m.now[hello]; again && got.Responder != before || !again && got.Responder != fresh {
		t.Fatalf("offered %x", got.Responder)
	}
	m.now[hello] = got.Responder
}

func (m *responders) prove(t *rapid.T) {
	hello := drawHello(t)
	nonce, open := m.now[hello]
	f := Frame{Kind: Prove, Initiator: hello.initiator, Responder: nonce}.Sign(initiatorKey)
	if rapid.Bool().Draw(t, "forged") {
		f.Signature[0] ^= 1
		open = false
	}
	got, key, err := m.r.Receive(hello.from, f, m.nonce())
	if !open {
		if !errors.Is(err, ErrHello) || key != nil {
			t.Fatalf("accepted: %+v, %v", got, err)
		}
		return
	}
	if err != nil || !bytes.Equal(key, f.Key[:]) || got.Kind != Welcome || !got.Signed() || got.Seen != hello.from {
		t.Fatalf("answer to Prove: %+v, %v", got, err)
	}
	delete(m.now, hello)
	m.spent = append(m.spent, recorded{hello.from, f})
}

func (m *responders) replay(t *rapid.T) {
	if len(m.spent) == 0 {
		return
	}
	old := rapid.SampledFrom(m.spent).Draw(t, "recorded")
	from := rapid.SampledFrom([]netip.AddrPort{old.from, drawHello(t).from}).Draw(t, "from")
	if _, key, err := m.r.Receive(from, old.frame, m.nonce()); !errors.Is(err, ErrHello) || key != nil {
		t.Fatalf("a recorded proof was accepted: %v", err)
	}
}

func (m *responders) stray(t *rapid.T) {
	hello := drawHello(t)
	kind := rapid.SampledFrom([]Kind{0, Offer, Welcome, 200}).Draw(t, "kind")
	if _, key, err := m.r.Receive(hello.from, Frame{Kind: kind, Initiator: hello.initiator}, m.nonce()); !errors.Is(err, ErrHello) || key != nil {
		t.Fatalf("kind %d: %v", kind, err)
	}
}

func TestResponderAcceptsEachProofOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &responders{r: NewResponder(initiatorKey), now: map[opened]Nonce{}}
		t.Repeat(map[string]func(*rapid.T){
			"ask": m.ask, "prove": m.prove, "replay": m.replay, "stray": m.stray,
			"": func(t *rapid.T) {
				if len(m.r.order) != len(m.now) || len(m.r.pending) != len(m.now) {
					t.Fatalf("%d open in order, %d by name; want %d", len(m.r.order), len(m.r.pending), len(m.now))
				}
			},
		})
	})
}

func TestFloodOfHellosIsBounded(t *testing.T) {
	r := NewResponder(initiatorKey)
	for i := range 3 * maxPending {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1)
		if _, _, err := r.Receive(from, Frame{Kind: Ask}, Nonce{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.pending) != maxPending || len(r.order) != maxPending {
		t.Errorf("%d are open, the limit is %d", len(r.pending), maxPending)
	}
}

func TestTagsChangeByTheHourAndTheMesh(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	s := Secret{1}
	tag := s.Tag("m", at)
	if tag != s.Tag("m", at.Truncate(time.Hour)) {
		t.Error("it changes within an hour")
	}
	for name, other := range map[string]Tag{
		"hour": s.Tag("m", at.Add(time.Hour)), "mesh": s.Tag("n", at), "secret": Secret{2}.Tag("m", at),
	} {
		if other == tag {
			t.Errorf("another %s has the same tag", name)
		}
	}
	if strings.Contains(fmt.Sprintf("%x", s.HelloKey("m")), fmt.Sprintf("%x", tag)) {
		t.Error("the tag shows a key")
	}
}
