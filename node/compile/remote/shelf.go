package remote

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// shelfPrefix is before the keys of manifests in a KV.
const shelfPrefix = "compile/"

// stampBytes is the length of the time before each manifest.
const stampBytes = 8

// Shelf keeps manifests in a KV, each with the time of its keeping.
type Shelf struct{ kv store.KV }

// NewShelf returns the manifests in kv.
func NewShelf(kv store.KV) Shelf { return Shelf{kv} }

func shelfKey(key digest.Digest) []byte { return append([]byte(shelfPrefix), key.Binary()...) }

// Load implements manifest.Store.
func (s Shelf) Load(_ context.Context, key digest.Digest) ([]byte, error) {
	b, err := s.kv.Get(shelfKey(key))
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && len(b) < stampBytes:
		return nil, nil
	case err != nil:
		return nil, err
	}
	return b[stampBytes:], nil
}

// Keep implements manifest.Store.
func (s Shelf) Keep(_ context.Context, key digest.Digest, manifest []byte) error {
	stamp := binary.BigEndian.AppendUint64(nil, uint64(time.Now().Unix()))
	return s.kv.Put(shelfKey(key), append(stamp, manifest...))
}

// Trim forgets all but the last keep manifests.
func (s Shelf) Trim(keep int) error {
	type kept struct {
		key   []byte
		stamp uint64
	}
	var all []kept
	err := s.kv.Scan([]byte(shelfPrefix), func(key, value []byte) bool {
		k := kept{key: slices.Clone(key)}
		if len(value) >= stampBytes {
			k.stamp = binary.BigEndian.Uint64(value)
		}
		all = append(all, k)
		return true
	})
	if err != nil {
		return fmt.Errorf("forget what compiles read: %w", err)
	}
	slices.SortStableFunc(all, func(a, b kept) int { return cmp.Compare(b.stamp, a.stamp) })
	for _, k := range all[min(keep, len(all)):] {
		if err := s.kv.Delete(k.key); err != nil {
			return fmt.Errorf("forget what compiles read: %w", err)
		}
	}
	return nil
}
