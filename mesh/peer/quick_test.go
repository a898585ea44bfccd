package peer

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"math/big"
	"testing"

	"filippo.io/edwards25519"
	"pgregory.net/rapid"
)

func pair(t testing.TB) (ed25519.PublicKey, ed25519.PrivateKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return public, private
}

func TestAQuickCheckSaysWhatTheSlowOneSays(t *testing.T) {
	public, private := pair(t)
	other, _ := pair(t)
	q, wrong := newQuick(public), newQuick(other)
	rapid.Check(t, func(t *rapid.T) {
		message := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "message")
		signature := ed25519.Sign(private, message)
		if !q.verify(message, signature) {
			t.Fatal("a good signature is bad")
		}
		if wrong.verify(message, signature) {
			t.Fatal("a signature is good for another key")
		}
		at, bit := rapid.IntRange(0, len(signature)-1).Draw(t, "byte"), rapid.IntRange(0, 7).Draw(t, "bit")
		bad := bytes.Clone(signature)
		bad[at] ^= 1 << bit
		if q.verify(message, bad) != ed25519.Verify(public, message, bad) {
			t.Fatalf("with bit %d of byte %d changed it is good for one of them", bit, at)
		}
		if q.verify(append(message, 0), signature) {
			t.Fatal("a signature is good for another message")
		}
	})
}

// TestQuickChecksOfStrangeSignatures has those about which implementations
// disagree: keys and points of small order, encodings that are not canonical,
// scalars that are not reduced.
func TestQuickChecksOfStrangeSignatures(t *testing.T) {
	public, private := pair(t)
	message := []byte("message")
	good := ed25519.Sign(private, message)
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	unreduced := bytes.Clone(good)
	s := new(big.Int).SetBytes(reversed(good[32:]))
	copy(unreduced[32:], reversed(s.Add(s, order).FillBytes(make([]byte, 32))))
	points := [][]byte{public}
	for _, y := range [][]byte{
		{1}, {0}, {0, 31: 0x80}, {1, 31: 0x80}, // of order 1, 4, 4; the last is no canonical encoding
		append([]byte{0xec}, append(bytes.Repeat([]byte{0xff}, 30), 0x7f)...), // of order 2
		append([]byte{0xed}, append(bytes.Repeat([]byte{0xff}, 30), 0x7f)...), // 0, not canonical
		append([]byte{0xee}, append(bytes.Repeat([]byte{0xff}, 30), 0x7f)...), // 1, not canonical
		{0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
	} {
		points = append(points, append(y, make([]byte, 32-len(y))...))
	}
	signatures := [][]byte{good, unreduced, good[:63], append(bytes.Clone(good), 0), make([]byte, 64), bytes.Repeat([]byte{0xff}, 64)}
	for _, r := range points {
		signatures = append(signatures, append(bytes.Clone(r), make([]byte, 32)...), append(bytes.Clone(r), good[32:]...))
	}
	for _, key := range points {
		q := newQuick(key)
		_, err := new(edwards25519.Point).SetBytes(key)
		if (q == nil) != (err != nil) {
			t.Errorf("key %x: %v, but there is a table: %v", key, err, q != nil)
		}
		if q == nil {
			continue
		}
		for _, signature := range signatures {
			if got, want := q.verify(message, signature), ed25519.Verify(key, message, signature); got != want {
				t.Errorf("key %x, signature %x: %v, not %v", key, signature, got, want)
			}
		}
	}
}

func reversed(b []byte) []byte {
	r := make([]byte, len(b))
	for i := range b {
		r[len(b)-1-i] = b[i]
	}
	return r
}

func TestDigitsAreTheScalar(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		wide := rapid.SliceOfN(rapid.Byte(), 64, 64).Draw(t, "bytes")
		k, err := new(edwards25519.Scalar).SetUniformBytes(wide)
		if err != nil {
			t.Fatal(err)
		}
		sum := new(big.Int)
		for i, d := range digits(k) {
			if d < -window || d > window {
				t.Fatalf("digit %d is %d", i, d)
			}
			sum.Add(sum, new(big.Int).Lsh(big.NewInt(int64(d)), uint(4*i)))
		}
		if want := new(big.Int).SetBytes(reversed(k.Bytes())); sum.Cmp(want) != 0 {
			t.Fatalf("digits come to %v, not %v", sum, want)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	public, private := pair(b)
	message := bytes.Repeat([]byte("x"), 200)
	signature := ed25519.Sign(private, message)
	b.Run("slow", func(b *testing.B) {
		for b.Loop() {
			ed25519.Verify(public, message, signature)
		}
	})
	b.Run("quick", func(b *testing.B) {
		q := newQuick(public)
		for b.Loop() {
			q.verify(message, signature)
		}
	})
	b.Run("become quick", func(b *testing.B) {
		for b.Loop() {
			newQuick(public)
		}
	})
}
