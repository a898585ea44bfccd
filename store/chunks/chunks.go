// Package chunks remembers of which smaller blobs, one after the other, a blob is made.
// All of them are blobs like others: a list keeps none of them from being collected. It
// does I/O through its store.KV alone, and trusts nothing that it reads there. Start
// reading at Lists.
package chunks

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/internal/aged"
)

// Max bounds the chunks of one blob: one of 16 GiB in chunks of 128 KiB. A list takes
// up to 5 MB.
const Max = 16 << 30 / (128 << 10)

// maxLists and maxBytes bound what is remembered: the chunks of some 900 GiB, if they
// are of half a MiB.
const maxLists, maxBytes = 100_000, 64 << 20

// ErrNone says that chunks are not those of a blob.
var ErrNone = errors.New("no list of the blob's chunks")

// Check returns ErrNone unless list may be the chunks of blob by their sizes: none is
// empty, all are named by the blob's hash function, and together they are as long.
func Check(blob digest.Digest, list []digest.Digest) error {
	if len(list) > Max {
		return fmt.Errorf("%w: %d chunks, the limit is %d", ErrNone, len(list), Max)
	}
	left := blob.Size()
	for i, c := range list {
		switch {
		case c.Function() != blob.Function():
			return fmt.Errorf("%w: chunk %d is %v, of a blob %v", ErrNone, i+1, c, blob)
		case c.Size() == 0:
			return fmt.Errorf("%w: chunk %d is empty", ErrNone, i+1)
		case c.Size() > left:
			return fmt.Errorf("%w: chunks of more than the %d bytes of the blob", ErrNone, blob.Size())
		}
		left -= c.Size()
	}
	if left > 0 {
		return fmt.Errorf("%w: %d of the %d bytes of the blob are in no chunk", ErrNone, left, blob.Size())
	}
	return nil
}

// Way tells lists of the same blob apart, by what cut it.
type Way uint8

// Lists remembers them. All methods may be called concurrently; nil remembers nothing.
type Lists struct{ shelf *aged.Shelf }

// New returns the lists in kv. It reads nothing.
func New(kv store.KV) *Lists {
	return &Lists{aged.New(kv, aged.Limits{Keys: maxLists, Bytes: maxBytes})}
}

func key(blob digest.Digest, way Way) []byte { return append(blob.Binary(), byte(way)) }

// Put remembers that blob, cut in way, is the chunks of list. Whoever calls it has seen
// that it is.
func (l *Lists) Put(blob digest.Digest, way Way, list []digest.Digest) error {
	if l == nil {
		return nil
	}
	err := Check(blob, list)
	if err == nil {
		err = l.shelf.Put(key(blob, way), encode(list))
	}
	if err != nil {
		return fmt.Errorf("keep the chunks of %v: %w", blob, err)
	}
	return nil
}

// Of returns the chunks of blob when it is cut in way, or store.ErrNotFound.
func (l *Lists) Of(blob digest.Digest, way Way) ([]digest.Digest, error) {
	if l == nil {
		return nil, store.ErrNotFound
	}
	raw, err := l.shelf.Get(key(blob, way))
	if err != nil {
		return nil, fmt.Errorf("chunks of %v: %w", blob, err)
	}
	list, err := decode(blob, raw)
	if err != nil {
		return nil, fmt.Errorf("chunks of %v: %w: %w", blob, err, store.ErrNotFound)
	}
	return list, nil
}

// encode writes of each chunk the hash and the size.
func encode(list []digest.Digest) []byte {
	b := make([]byte, 0, len(list)*(digest.HashSize+3))
	for _, c := range list {
		hash := c.Hash()
		b = append(b, hash[:]...)
		b = binary.AppendUvarint(b, uint64(c.Size()))
	}
	return b
}

func decode(blob digest.Digest, b []byte) ([]digest.Digest, error) {
	list := make([]digest.Digest, 0, min(len(b)/(digest.HashSize+1), Max))
	for len(b) > 0 {
		if len(b) < digest.HashSize || len(list) == Max {
			return nil, ErrNone
		}
		size, n := binary.Uvarint(b[digest.HashSize:])
		if n <= 0 || size > uint64(blob.Size()) {
			return nil, ErrNone
		}
		c, err := digest.New(blob.Function(), b[:digest.HashSize], int64(size))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNone, err)
		}
		list = append(list, c)
		b = b[digest.HashSize+n:]
	}
	return list, Check(blob, list)
}
