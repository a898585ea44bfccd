package node

import (
	"bytes"
	"context"
	"io"
	"sync"
	"time"

	"github.com/buildnet/buildnet/dht"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/disk"
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

// keeping is the store as members see it that ask for blobs to be kept for a while.
type keeping struct {
	store *disk.Store
	lease time.Duration
}

// keep keeps what is here. Nothing is awaited: that is for this machine's clients.
func (k keeping) keep(ctx context.Context, ds []digest.Digest) ([]bool, error) {
	has, err := k.store.Has(ctx, ds)
	if err != nil {
		return nil, err
	}
	here, at := make([]digest.Digest, 0, len(ds)), make([]int, 0, len(ds))
	for i, ok := range has {
		if ok {
			here, at = append(here, ds[i]), append(at, i)
		}
	}
	kept, err := k.store.Keep(ctx, time.Now().Add(k.lease), here)
	if err != nil {
		return nil, err
	}
	for i, ok := range kept { // some may have gone just now
		has[at[i]] = ok
	}
	return has, nil
}

// maxPinned is how many of the newest messages are pinned at least; as many
// again may be. A build of 10,000 steps has some 40,000 in all, but needs those
// of the steps at hand.
const maxPinned = 16_384

// messages is the store as the scheduler sees it: a place of small messages.
// The newest are pinned: plans, and actions that wait for a worker.
type messages struct {
	store *disk.Store

	mu       sync.Mutex
	new, old store.Lease
	pinned   int // by new
}

func newMessages(s *disk.Store) *messages {
	return &messages{store: s, new: s.Lease(), old: s.Lease()}
}

// Get returns a blob of at most limit bytes.
func (m *messages) Get(ctx context.Context, d digest.Digest, limit int64) ([]byte, error) {
	return store.ReadAll(ctx, m.store, d, limit)
}

// Put keeps blobs.
func (m *messages) Put(ctx context.Context, blobs ...action.Blob) error {
	for _, b := range blobs {
		m.pin(b.Digest)
		if err := m.store.Put(ctx, b.Digest, bytes.NewReader(b.Content)); err != nil {
			return err
		}
	}
	return nil
}

func (m *messages) pin(d digest.Digest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pinned == maxPinned {
		m.old.Release()
		m.new, m.old, m.pinned = m.store.Lease(), m.new, 0
	}
	m.new.Hold(d)
	m.pinned++
}
