package names

import (
	"fmt"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/buildnet/buildnet/store/digest"
)

// Function returns the hash function that a request speaks. Left unset it is
// SHA-256: the two that are served have hashes of one length, and a client that
// uses the newer has to say so.
func Function(v repb.DigestFunction_Value) (digest.Function, error) {
	switch v {
	case repb.DigestFunction_UNKNOWN, repb.DigestFunction_SHA256:
		return digest.SHA256, nil
	case repb.DigestFunction_BLAKE3:
		return digest.BLAKE3, nil
	default:
		return 0, fmt.Errorf("%w: digest function %v, want SHA256 or BLAKE3", ErrMalformed, v)
	}
}

// Value is the inverse of Function.
func Value(fn digest.Function) repb.DigestFunction_Value {
	if fn == digest.BLAKE3 {
		return repb.DigestFunction_BLAKE3
	}
	return repb.DigestFunction_SHA256
}

// Digest reads a digest of a message whose function is fn.
func Digest(fn digest.Function, m *repb.Digest) (digest.Digest, error) {
	d, err := digest.FromHex(fn, m.GetHash(), m.GetSizeBytes())
	if err != nil {
		return digest.Digest{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return d, nil
}

// Digests reads all of ms, in order.
func Digests(fn digest.Function, ms []*repb.Digest) ([]digest.Digest, error) {
	ds := make([]digest.Digest, len(ms))
	for i, m := range ms {
		d, err := Digest(fn, m)
		if err != nil {
			return nil, fmt.Errorf("digest %d of %d: %w", i+1, len(ms), err)
		}
		ds[i] = d
	}
	return ds, nil
}

// Message is the inverse of Digest.
func Message(d digest.Digest) *repb.Digest {
	return &repb.Digest{Hash: d.Hex(), SizeBytes: d.Size()}
}
