// Package digest names content: the hash and the size of some bytes, as the
// Remote Execution API defines a Digest, with the hash function made part of
// the value. A digest can be written as a CIDv1 (raw codec), which is the name
// that the DHT uses. The package is pure; start reading at Digest.
package digest

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// HashSize is the length of a hash in bytes, for every Function.
const HashSize = 32

// BinarySize is the length of the form that AppendBinary writes: one byte of
// function, the hash, and the size as 8 bytes big-endian.
const BinarySize = 1 + HashSize + 8

// ErrMalformed is matched by every error of this package about text or bytes
// that are not a digest.
var ErrMalformed = errors.New("malformed digest")

// Function is a hash function. Do not reorder: the numbers go over the wire
// and to disk.
type Function uint8

const (
	// BLAKE3 is the native function.
	BLAKE3 Function = iota + 1
	// SHA256 is here for REAPI clients that speak nothing else.
	SHA256
)

// String returns the function's name, as the text form of a digest has it.
func (f Function) String() string {
	switch f {
	case BLAKE3:
		return "blake3"
	case SHA256:
		return "sha256"
	default:
		return "function(" + strconv.Itoa(int(f)) + ")"
	}
}

// ParseFunction is the inverse of Function.String.
func ParseFunction(s string) (Function, error) {
	switch s {
	case "blake3":
		return BLAKE3, nil
	case "sha256":
		return SHA256, nil
	default:
		return 0, fmt.Errorf("%w: unknown hash function %q, want blake3 or sha256", ErrMalformed, s)
	}
}

func (f Function) valid() bool { return f == BLAKE3 || f == SHA256 }

// Digest names content. It is comparable. The zero Digest names nothing; every
// other Digest that exists is valid.
type Digest struct {
	fn   Function
	hash [HashSize]byte
	size int64
}

// New makes a digest of its parts. The hash must be HashSize bytes long and
// the size, in bytes, not negative.
func New(fn Function, hash []byte, size int64) (Digest, error) {
	if !fn.valid() {
		return Digest{}, fmt.Errorf("%w: hash function %d", ErrMalformed, uint8(fn))
	}
	if len(hash) != HashSize {
		return Digest{}, fmt.Errorf("%w: hash of %d bytes, want %d", ErrMalformed, len(hash), HashSize)
	}
	if size < 0 {
		return Digest{}, fmt.Errorf("%w: size %d", ErrMalformed, size)
	}
	return Digest{fn: fn, hash: [HashSize]byte(hash), size: size}, nil
}

// Parse reads the form that String writes.
func Parse(s string) (Digest, error) {
	name, rest, ok := strings.Cut(s, ":")
	if !ok {
		return Digest{}, fmt.Errorf("%w %q: want FUNCTION:HEX/SIZE", ErrMalformed, s)
	}
	fn, err := ParseFunction(name)
	if err != nil {
		return Digest{}, err
	}
	text, sizeText, ok := strings.Cut(rest, "/")
	if !ok {
		return Digest{}, fmt.Errorf("%w %q: no size after the hash", ErrMalformed, s)
	}
	size, err := strconv.ParseInt(sizeText, 10, 64)
	if err != nil {
		return Digest{}, fmt.Errorf("%w %q: size: %w", ErrMalformed, s, err)
	}
	return FromHex(fn, text, size)
}

// FromHex makes a digest of a hash in lower-case hexadecimal, which is how
// REAPI messages carry it.
func FromHex(fn Function, text string, size int64) (Digest, error) {
	for _, c := range []byte(text) {
		if 'A' <= c && c <= 'Z' {
			return Digest{}, fmt.Errorf("%w: hash %q is not lower case", ErrMalformed, text)
		}
	}
	var room [HashSize]byte // without it each would allocate
	hash, err := hex.AppendDecode(room[:0], []byte(text))
	if err != nil {
		return Digest{}, fmt.Errorf("%w: hash %q: %w", ErrMalformed, text, err)
	}
	return New(fn, hash, size)
}

// FromBinary reads the form that AppendBinary writes.
func FromBinary(b []byte) (Digest, error) {
	if len(b) != BinarySize {
		return Digest{}, fmt.Errorf("%w: %d bytes, want %d", ErrMalformed, len(b), BinarySize)
	}
	size := binary.BigEndian.Uint64(b[1+HashSize:])
	if size > 1<<62 {
		return Digest{}, fmt.Errorf("%w: size %d", ErrMalformed, size)
	}
	return New(Function(b[0]), b[1:1+HashSize], int64(size))
}

// Of returns the digest of b.
func Of(fn Function, b []byte) Digest {
	return Digest{fn: fn, hash: sum(fn, b), size: int64(len(b))}
}

// Function returns the hash function.
func (d Digest) Function() Function { return d.fn }

// Hash returns the hash.
func (d Digest) Hash() [HashSize]byte { return d.hash }

// Hex returns the hash in lower-case hexadecimal.
func (d Digest) Hex() string { return hex.EncodeToString(d.hash[:]) }

// Size returns the length of the content in bytes.
func (d Digest) Size() int64 { return d.size }

// IsZero reports whether d is the zero Digest, which names nothing.
func (d Digest) IsZero() bool { return d == Digest{} }

// String returns FUNCTION:HEX/SIZE, or "none" for the zero Digest.
func (d Digest) String() string {
	if d.IsZero() {
		return "none"
	}
	return d.fn.String() + ":" + d.Hex() + "/" + strconv.FormatInt(d.size, 10)
}

// Short returns the first 12 hexadecimal digits, for people.
func (d Digest) Short() string { return hex.EncodeToString(d.hash[:6]) }

// AppendBinary appends d's binary form, BinarySize bytes, to b.
func (d Digest) AppendBinary(b []byte) []byte {
	b = append(b, byte(d.fn))
	b = append(b, d.hash[:]...)
	return binary.BigEndian.AppendUint64(b, uint64(d.size))
}

// Binary returns d's binary form.
func (d Digest) Binary() []byte { return d.AppendBinary(make([]byte, 0, BinarySize)) }

// Compare orders digests by function, hash and size.
func (d Digest) Compare(e Digest) int {
	if d.fn != e.fn {
		return int(d.fn) - int(e.fn)
	}
	if c := bytes.Compare(d.hash[:], e.hash[:]); c != 0 {
		return c
	}
	switch {
	case d.size < e.size:
		return -1
	case d.size > e.size:
		return 1
	default:
		return 0
	}
}

// MarshalText writes String's form.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads String's form; "none" gives the zero Digest.
func (d *Digest) UnmarshalText(text []byte) error {
	if string(text) == "none" {
		*d = Digest{}
		return nil
	}
	parsed, err := Parse(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}

// CID returns d as a CIDv1 of the raw codec, with the multihash code 0x1e
// (blake3) or 0x12 (sha2-256). A CID does not carry the size.
func (d Digest) CID() cid.Cid {
	code := uint64(multihash.BLAKE3)
	if d.fn == SHA256 {
		code = multihash.SHA2_256
	}
	mh, err := multihash.Encode(d.hash[:], code)
	if err != nil {
		panic("digest: multihash refuses a 32-byte hash: " + err.Error())
	}
	return cid.NewCidV1(cid.Raw, mh)
}

// FromCID is the inverse of CID, given the size that a CID lacks.
func FromCID(c cid.Cid, size int64) (Digest, error) {
	mh, err := multihash.Decode(c.Hash())
	if err != nil {
		return Digest{}, fmt.Errorf("%w: CID %v: %w", ErrMalformed, c, err)
	}
	switch {
	case c.Version() != 1 || c.Type() != cid.Raw:
		return Digest{}, fmt.Errorf("%w: CID %v is not a raw CIDv1", ErrMalformed, c)
	case mh.Code == multihash.BLAKE3:
		return New(BLAKE3, mh.Digest, size)
	case mh.Code == multihash.SHA2_256:
		return New(SHA256, mh.Digest, size)
	default:
		return Digest{}, fmt.Errorf("%w: CID %v has hash function %s", ErrMalformed, c, mh.Name)
	}
}
