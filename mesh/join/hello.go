package join

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"
)

// Kind is the place of a frame in the hello:
//
//	initiator  Ask ->  <- Offer  Prove ->  <- Welcome  responder
type Kind uint8

const (
	// Ask begins a hello.
	Ask Kind = iota + 1
	// Offer answers with the responder's nonce.
	Offer
	// Prove shows who asks.
	Prove
	// Welcome shows who answers.
	Welcome
)

const (
	// NonceBytes is the size of each side's nonce: 128 bits never repeat.
	NonceBytes = 16
	bodyBytes  = 1 + 2*NonceBytes + ed25519.PublicKeySize + ed25519.SignatureSize + 1 + addrBytes
	addrBytes  = 18
	// FrameBytes is the size of every frame, so that no answer is larger than
	// its request.
	FrameBytes = chacha20poly1305.NonceSizeX + bodyBytes + chacha20poly1305.Overhead
	// maxPending is how many hellos a responder has open. The oldest makes
	// room for a new one, so a flood costs 100 kB and no more.
	maxPending = 1024
)

// ErrHello says that a frame is not of this hello. It never travels.
var ErrHello = errors.New("hello refused")

// Nonce is used once by one side of one hello.
type Nonce [NonceBytes]byte

// NewNonce returns a fresh nonce from the system's randomness.
func NewNonce() (n Nonce) {
	_, _ = rand.Read(n[:]) // never fails since Go 1.24
	return n
}

// Frame is one message of the hello. Key, Signature and Seen are set in Prove
// and Welcome only.
type Frame struct {
	Kind      Kind
	Initiator Nonce
	Responder Nonce
	Key       [ed25519.PublicKeySize]byte
	Signature [ed25519.SignatureSize]byte
	Seen      netip.AddrPort // the receiver's address as the sender sees it
}

// Seal encrypts f under a key of HelloKey, with salt used once.
func Seal(key []byte, salt [chacha20poly1305.NonceSizeX]byte, f Frame) []byte {
	b := make([]byte, 0, bodyBytes)
	b = append(b, byte(f.Kind))
	b = append(append(b, f.Initiator[:]...), f.Responder[:]...)
	b = append(append(b, f.Key[:]...), f.Signature[:]...)
	var addr [1 + addrBytes]byte
	if f.Seen.IsValid() {
		ip := f.Seen.Addr().As16()
		addr[0] = 1
		copy(addr[1:], ip[:])
		binary.BigEndian.PutUint16(addr[17:], f.Seen.Port())
	}
	b = append(b, addr[:]...)
	return aead(key, salt[:], b)
}

func aead(key, salt, body []byte) []byte {
	c, err := chacha20poly1305.NewX(key)
	if err != nil {
		panic(fmt.Sprintf("hello key: %v", err))
	}
	return c.Seal(append([]byte{}, salt...), salt, body, nil)
}

// Unseal opens a frame. Its size is checked first: that costs nothing.
func Unseal(key, sealed []byte) (Frame, error) {
	if len(sealed) != FrameBytes {
		return Frame{}, ErrHello
	}
	c, err := chacha20poly1305.NewX(key)
	if err != nil {
		return Frame{}, fmt.Errorf("%w: %w", ErrHello, err)
	}
	salt, box := sealed[:chacha20poly1305.NonceSizeX], sealed[chacha20poly1305.NonceSizeX:]
	b, err := c.Open(nil, salt, box, nil)
	if err != nil {
		return Frame{}, ErrHello
	}
	f := Frame{Kind: Kind(b[0])}
	r := bytes.NewBuffer(b[1:])
	copy(f.Initiator[:], r.Next(NonceBytes))
	copy(f.Responder[:], r.Next(NonceBytes))
	copy(f.Key[:], r.Next(len(f.Key)))
	copy(f.Signature[:], r.Next(len(f.Signature)))
	if a := r.Next(1 + addrBytes); a[0] == 1 {
		ip := netip.AddrFrom16([16]byte(a[1:17])).Unmap()
		f.Seen = netip.AddrPortFrom(ip, binary.BigEndian.Uint16(a[17:]))
	}
	if f.Kind < Ask || f.Kind > Welcome {
		return Frame{}, ErrHello
	}
	return f, nil
}

// Sign proves that the holder of key takes part in this very hello.
func (f Frame) Sign(key ed25519.PrivateKey) Frame {
	copy(f.Key[:], key.Public().(ed25519.PublicKey))
	copy(f.Signature[:], ed25519.Sign(key, f.transcript()))
	return f
}

// Signed says whether f's signature is of f's key and of this hello.
func (f Frame) Signed() bool {
	return ed25519.Verify(f.Key[:], f.transcript(), f.Signature[:])
}

func (f Frame) transcript() []byte {
	b := append([]byte("buildnet hello v1"), byte(f.Kind))
	return append(append(b, f.Initiator[:]...), f.Responder[:]...)
}

// Responder answers hellos. A Prove is accepted once: for the nonce that this
// responder offered to that address in that hello. One goroutine owns it.
type Responder struct {
	self    ed25519.PrivateKey
	pending map[opened]Nonce
	order   []opened // oldest first; each key of pending once
}

// opened names a hello: two of one address may be under way at once.
type opened struct {
	from      netip.AddrPort
	initiator Nonce
}

// NewResponder answers in the name of self.
func NewResponder(self ed25519.PrivateKey) *Responder {
	return &Responder{self: self, pending: map[opened]Nonce{}}
}

// Receive takes an Ask or a Prove and returns what to answer. The key is not
// nil when the other side has proved that it holds it. An Ask that comes again
// is offered the same nonce, so that a Prove on its way stays good.
func (r *Responder) Receive(from netip.AddrPort, f Frame, fresh Nonce) (Frame, ed25519.PublicKey, error) {
	hello := opened{from, f.Initiator}
	switch f.Kind {
	case Ask:
		nonce := r.open(hello, fresh)
		return Frame{Kind: Offer, Initiator: f.Initiator, Responder: nonce}, nil, nil
	case Prove:
		nonce, ok := r.pending[hello]
		if !ok || nonce != f.Responder || !f.Signed() {
			return Frame{}, nil, ErrHello
		}
		r.forget(hello)
		answer := Frame{Kind: Welcome, Initiator: f.Initiator, Responder: f.Responder, Seen: from}
		return answer.Sign(r.self), ed25519.PublicKey(f.Key[:]), nil
	default:
		return Frame{}, nil, ErrHello
	}
}

func (r *Responder) open(hello opened, fresh Nonce) Nonce {
	if nonce, again := r.pending[hello]; again {
		return nonce
	}
	if len(r.order) == maxPending {
		r.forget(r.order[0])
	}
	r.order = append(r.order, hello)
	r.pending[hello] = fresh
	return fresh
}

func (r *Responder) forget(hello opened) {
	delete(r.pending, hello)
	if i := slices.Index(r.order, hello); i >= 0 {
		r.order = slices.Delete(r.order, i, i+1)
	}
}
