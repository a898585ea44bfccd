package node

import (
	"bytes"
	"context"
	"io"

	"github.com/buildnet/buildnet/dht"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// sharedBlobs is the store as the exchange of blobs sees it.
type sharedBlobs struct{ store store.Blobs }

var _ dht.Blobs = sharedBlobs{}

// Has implements dht.Blobs.
func (b sharedBlobs) Has(ctx context.Context, ds []digest.Digest) ([]bool, error) {
	return b.store.Has(ctx, ds)
}

// Open implements dht.Blobs.
func (b sharedBlobs) Open(ctx context.Context, d digest.Digest) (dht.Reader, error) {
	return b.store.Open(ctx, d)
}

// Put implements dht.Blobs.
func (b sharedBlobs) Put(ctx context.Context, d digest.Digest, r io.Reader) error {
	return b.store.Put(ctx, d, r)
}

// messages is the store, and behind it the mesh, as the scheduler sees it: a
// place of small messages.
type messages struct{ store store.Blobs }

// Get returns a blob of at most limit bytes.
func (m messages) Get(ctx context.Context, d digest.Digest, limit int64) ([]byte, error) {
	return store.ReadAll(ctx, m.store, d, limit)
}

// Put keeps blobs.
func (m messages) Put(ctx context.Context, blobs ...action.Blob) error {
	for _, b := range blobs {
		if err := m.store.Put(ctx, b.Digest, bytes.NewReader(b.Content)); err != nil {
			return err
		}
	}
	return nil
}
