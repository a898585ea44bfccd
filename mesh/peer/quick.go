package peer

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"

	"filippo.io/edwards25519"
)

// quick checks the signatures of one Ed25519 key, twice as fast as
// crypto/ed25519 does: multiples of the key are worked out once, so that a check
// is additions alone (the fixed-base windows of Brickell, Gordon, McCurley and
// Wilson 1992, which crypto/ed25519 has for the base point). It says yes to the
// very same signatures. It does not change.
type quick struct {
	public [ed25519.PublicKeySize]byte
	// multiples[i][j] is -(j+1) * 256^i times the key.
	multiples [windows / 2][window]edwards25519.Point
}

// A scalar has this many digits from -8 to 8, base 16. Those at odd places are
// added up first and taken 16 times, so that half of the multiples will do: of a
// dozen keys they have to fit into a cache.
const (
	windows = 64
	window  = 8
)

// newQuick returns nil for what is no key.
func newQuick(public ed25519.PublicKey) *quick {
	at, err := new(edwards25519.Point).SetBytes(public)
	if err != nil {
		return nil
	}
	q := &quick{}
	copy(q.public[:], public)
	at.Negate(at)
	for i := range q.multiples {
		row := &q.multiples[i]
		row[0].Set(at)
		for j := 1; j < window; j++ {
			row[j].Add(&row[j-1], at)
		}
		at.Set(&row[window-1]) // 8 times
		double(at, 5)
	}
	return q
}

// double doubles a point n times.
func double(p *edwards25519.Point, n int) {
	for range n {
		p.Add(p, p)
	}
}

// add adds the digits at every other place from the first on, times what they
// stand for. What that takes of the multiples is fetched at once: they may not be
// in a cache, and each addition waits for the one before.
func (q *quick) add(r *edwards25519.Point, ds *[windows]int8, first int) {
	var terms [windows / 2]edwards25519.Point
	for i := range terms {
		switch d := ds[2*i+first]; {
		case d > 0:
			terms[i] = q.multiples[i][d-1]
		case d < 0:
			terms[i] = q.multiples[i][-d-1]
		}
	}
	for i := range terms {
		switch d := ds[2*i+first]; {
		case d > 0:
			r.Add(r, &terms[i])
		case d < 0:
			r.Subtract(r, &terms[i])
		}
	}
}

// verify is ed25519.Verify: RFC 8032, section 5.1.7, without the cofactor.
func (q *quick) verify(message, signature []byte) bool {
	if len(signature) != ed25519.SignatureSize {
		return false
	}
	h := sha512.New()
	_, _ = h.Write(signature[:32])
	_, _ = h.Write(q.public[:])
	_, _ = h.Write(message)
	var sum [sha512.Size]byte
	k, err := new(edwards25519.Scalar).SetUniformBytes(h.Sum(sum[:0]))
	if err != nil {
		return false
	}
	s, err := new(edwards25519.Scalar).SetCanonicalBytes(signature[32:])
	if err != nil {
		return false
	}
	ds, r := digits(k), edwards25519.NewIdentityPoint()
	q.add(r, &ds, 1)
	double(r, 4)
	q.add(r, &ds, 0)
	r.Add(r, new(edwards25519.Point).ScalarBaseMult(s))
	return bytes.Equal(signature[:32], r.Bytes())
}

// digits are those of a scalar, base 16, the lowest first, from -8 to 8.
func digits(k *edwards25519.Scalar) (ds [windows]int8) {
	for i, b := range k.Bytes() {
		ds[2*i], ds[2*i+1] = int8(b&15), int8(b>>4)
	}
	for i := range windows - 1 { // a scalar is below 2^253: the last digit takes what is carried
		if ds[i] > window {
			ds[i] -= 2 * window
			ds[i+1]++
		}
	}
	return ds
}
