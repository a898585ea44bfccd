// Package makers remembers which actions made a blob, so that one that is lost can
// be made again. It does I/O through its store.KV alone, and trusts nothing that it
// reads there. Start reading at Makers.
package makers

import (
	"errors"
	"fmt"
	"slices"

	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/internal/aged"
)

const (
	// maxBlobs and maxBytes bound what is remembered: some 250 bytes a blob.
	maxBlobs, maxBytes = 500_000, 128 << 20
	// perBlob makers are remembered: the first, who did not read the blob itself as
	// a copy does, and the latest, whose inputs are the likeliest to be there.
	perBlob = 4
	// maxScope bounds the text of a Maker, in bytes; who has a longer one is not
	// remembered.
	maxScope = 255
)

// Maker is an action, under the digest and within the scope in which whoever executed
// it knows it.
type Maker struct {
	Action digest.Digest
	Scope  string
}

// Makers remembers them. All methods may be called concurrently.
type Makers struct{ shelf *aged.Shelf }

// New returns what kv remembers. It reads nothing.
func New(kv store.KV) *Makers {
	return &Makers{aged.New(kv, aged.Limits{Keys: maxBlobs, Bytes: maxBytes})}
}

// Note remembers that m made blobs. They may have any names; they are found under
// these.
func (t *Makers) Note(m Maker, blobs ...digest.Digest) error {
	if len(m.Scope) > maxScope {
		return nil
	}
	for _, d := range blobs {
		key := d.Binary()
		known, err := t.of(key)
		if err != nil {
			return fmt.Errorf("note who made %v: %w", d, err)
		}
		if slices.Contains(known, m) {
			continue
		}
		if len(known) == perBlob {
			known = slices.Delete(known, 1, 2)
		}
		if err := t.shelf.Put(key, encode(append(known, m))); err != nil {
			return fmt.Errorf("note who made %v: %w", d, err)
		}
	}
	return nil
}

// Claim remembers that m is said to have made blobs, of which nobody is known to have
// made them. Whoever is seen to make one comes before it.
func (t *Makers) Claim(m Maker, blobs ...digest.Digest) error {
	for _, d := range blobs {
		known, err := t.of(d.Binary())
		if err != nil {
			return fmt.Errorf("note who may have made %v: %w", d, err)
		}
		if len(known) > 0 {
			continue
		}
		if err := t.Note(m, d); err != nil {
			return err
		}
	}
	return nil
}

// Of returns those who made a blob, the latest first; none if nobody is known.
func (t *Makers) Of(d digest.Digest) ([]Maker, error) {
	ms, err := t.of(d.Binary())
	if err != nil {
		return nil, fmt.Errorf("who made %v: %w", d, err)
	}
	slices.Reverse(ms)
	return ms, nil
}

func (t *Makers) of(key []byte) ([]Maker, error) {
	raw, err := t.shelf.Get(key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return decode(raw), nil
}

// encode writes each as its digest, the length of its scope, and that.
func encode(ms []Maker) []byte {
	var b []byte
	for _, m := range ms {
		b = m.Action.AppendBinary(b)
		b = append(b, byte(len(m.Scope)))
		b = append(b, m.Scope...)
	}
	return b
}

// decode returns those that can be read.
func decode(b []byte) (ms []Maker) {
	for len(b) > digest.BinarySize && len(ms) < perBlob {
		d, err := digest.FromBinary(b[:digest.BinarySize])
		n := int(b[digest.BinarySize])
		if b = b[digest.BinarySize+1:]; err != nil || n > len(b) {
			break
		}
		ms = append(ms, Maker{d, string(b[:n])})
		b = b[n:]
	}
	return ms
}
