package build

import (
	"slices"
	"sync"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/event"
)

// blame collects the peers that answered with wrong bytes during a build.
type blame struct {
	mu    sync.Mutex
	peers []peer.ID
}

func (b *blame) add(id peer.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Contains(b.peers, id) {
		b.peers = append(b.peers, id)
	}
}

// accuse names them to the user.
func (r *run) accuse() {
	r.blame.mu.Lock()
	peers := slices.Clone(r.blame.peers)
	r.blame.mu.Unlock()
	for _, id := range peers {
		r.notice(event.Warning, "%s (%s) answered with other bytes than asked for: they were dropped; check its disk and memory", r.nameOf(id), id.Short())
	}
}

// nameOf returns a member's host name, for people.
func (r *run) nameOf(id peer.ID) string {
	for _, m := range r.opts.Members() {
		if m.ID == id {
			return m.Name
		}
	}
	return "a former member"
}
