package join

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"strings"
)

const (
	tokenPrefix = "bn1-"
	// MaxName is the longest mesh name in bytes: its length is one byte in a token.
	MaxName = 63
	// maxTokenAddrs bounds a token to one line that can be pasted.
	maxTokenAddrs = 16
	maxTokenChars = 1024
)

// ErrBadToken says that a text is no invitation.
var ErrBadToken = errors.New("not a usable invitation token")

// Token invites a node into a mesh.
type Token struct {
	Mesh   string
	Secret Secret
	Addrs  []netip.AddrPort // empty in a token for one LAN
}

// String returns the token as one line: version, then base64url of secret,
// name, addresses and a CRC-32 against slips of the hand.
func (t Token) String() string {
	b := append([]byte{}, t.Secret[:]...)
	b = append(b, byte(len(t.Mesh)))
	b = append(b, t.Mesh...)
	addrs := t.Addrs[:min(len(t.Addrs), maxTokenAddrs)]
	b = append(b, byte(len(addrs)))
	for _, a := range addrs {
		raw, _ := a.MarshalBinary() // never fails
		b = append(append(b, byte(len(raw))), raw...)
	}
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(b)
}

// ParseToken reads what String wrote, or says with ErrBadToken what is wrong.
func ParseToken(text string) (Token, error) {
	text = strings.TrimSpace(text)
	rest, ok := strings.CutPrefix(text, tokenPrefix)
	if !ok {
		return Token{}, fmt.Errorf("%w: it does not begin with %q; make one with `buildnet mesh invite`", ErrBadToken, tokenPrefix)
	}
	if len(rest) > maxTokenChars {
		return Token{}, fmt.Errorf("%w: longer than %d characters", ErrBadToken, maxTokenChars)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(rest)
	if err != nil {
		return Token{}, fmt.Errorf("%w: %w; copy the whole line again", ErrBadToken, err)
	}
	if len(raw) < SecretBytes+2+4 {
		return Token{}, fmt.Errorf("%w: cut short; copy the whole line again", ErrBadToken)
	}
	body, sum := raw[:len(raw)-4], binary.BigEndian.Uint32(raw[len(raw)-4:])
	if crc32.ChecksumIEEE(body) != sum {
		return Token{}, fmt.Errorf("%w: its checksum is wrong; copy the whole line again", ErrBadToken)
	}
	return decodeToken(body)
}

func decodeToken(b []byte) (Token, error) {
	var t Token
	b = b[copy(t.Secret[:], b):]
	name, b, ok := field(b)
	if !ok || len(name) == 0 || len(name) > MaxName || len(b) == 0 {
		return Token{}, fmt.Errorf("%w: its mesh name is malformed", ErrBadToken)
	}
	t.Mesh = string(name)
	n := int(b[0])
	b = b[1:]
	if n > maxTokenAddrs {
		return Token{}, fmt.Errorf("%w: more than %d addresses", ErrBadToken, maxTokenAddrs)
	}
	for range n {
		raw, next, ok := field(b)
		var a netip.AddrPort
		if !ok || a.UnmarshalBinary(raw) != nil || !a.IsValid() {
			return Token{}, fmt.Errorf("%w: an address in it is malformed", ErrBadToken)
		}
		t.Addrs, b = append(t.Addrs, a), next
	}
	if len(b) != 0 {
		return Token{}, fmt.Errorf("%w: %d bytes too many", ErrBadToken, len(b))
	}
	return t, nil
}

func field(b []byte) (value, rest []byte, ok bool) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return nil, nil, false
	}
	return b[1 : 1+int(b[0])], b[1+int(b[0]):], true
}
