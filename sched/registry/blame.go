package registry

import (
	"sync"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
)

// blameEvery is how often one peer is complained about: a bad one would fill
// the log.
const blameEvery = time.Minute

// blame remembers who was complained about. Its size is that of the mesh.
type blame struct {
	mu   sync.Mutex
	last map[peer.ID]time.Time
}

func newBlame() *blame { return &blame{last: map[peer.ID]time.Time{}} }

// due reports whether it is time to complain about a peer, and notes it.
func (b *blame) due(id peer.ID, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if last, ok := b.last[id]; ok && now.Sub(last) < blameEvery {
		return false
	}
	b.last[id] = now
	return true
}
