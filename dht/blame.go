package dht

import (
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
)

// blame is what is held against peers. mu guards the maps.
type blame struct {
	mu        sync.Mutex
	corrupted map[peer.ID]int
	until     map[peer.ID]time.Time // quarantined
	slow      map[peer.ID]time.Time // asked last until then
}

const (
	// quarantine is how long a peer whose bytes were wrong is asked only where
	// nobody else holds the blob: a bad disk or memory gives wrong bytes again.
	// It is asked even then, for it may be the leader of a build, which alone
	// holds that build's actions; what it sends is checked like all else.
	quarantine = 10 * time.Minute
	// avoid is the same for a peer that stalled or broke off.
	avoid = 15 * time.Second
)

func newBlame() *blame {
	return &blame{corrupted: map[peer.ID]int{}, until: map[peer.ID]time.Time{}, slow: map[peer.ID]time.Time{}}
}

func (b *blame) corrupt(now time.Time, id peer.ID) (times int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.corrupted[id]++
	b.until[id] = now.Add(quarantine)
	return b.corrupted[id]
}

// ended notes how a call to id ended.
func (b *blame) ended(id peer.ID, err error) {
	switch {
	case err == nil:
		b.worked(id)
	case !errors.Is(err, errClosed):
		b.failed(time.Now(), id)
	}
}

func (b *blame) failed(now time.Time, id peer.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.slow[id] = now.Add(avoid)
}

func (b *blame) worked(id peer.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.slow, id)
}

func (b *blame) avoided(now time.Time, id peer.ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return now.Before(b.slow[id]) || now.Before(b.until[id])
}

func (b *blame) counts() map[peer.ID]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.corrupted)
}
