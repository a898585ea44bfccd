package dht

import (
	"slices"
	"sync"

	"github.com/buildnet/buildnet/dht/rendezvous"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

// maxRanks are remembered twice over, at some 200 bytes each.
const maxRanks = 1 << 12

// ranks remember who owns a key as long as the members are the same: an action's
// owners are asked for before it is executed and after. Its zero value is empty.
type ranks struct {
	mu         sync.Mutex
	members    []peer.ID
	young, old map[rank][]peer.ID
}

type rank struct {
	key digest.Digest
	n   int
}

// of is rendezvous.Rank. What it returns is not to be changed.
func (r *ranks) of(members []peer.ID, key digest.Digest, n int) []peer.ID {
	of := rank{key, n}
	if ids, ok := r.known(members, of); ok {
		return ids
	}
	ids := rendezvous.Rank(members, key, n)
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Equal(r.members, members) {
		r.note(of, ids)
	}
	return ids
}

func (r *ranks) known(members []peer.ID, of rank) ([]peer.ID, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.members, members) {
		r.members, r.young, r.old = slices.Clone(members), nil, nil
		return nil, false
	}
	ids, ok := r.young[of]
	if ok {
		return ids, true
	}
	if ids, ok = r.old[of]; ok {
		r.note(of, ids)
	}
	return ids, ok
}

// note remembers who they are; r.mu is held.
func (r *ranks) note(of rank, ids []peer.ID) {
	if r.young == nil || len(r.young) >= maxRanks {
		r.young, r.old = map[rank][]peer.ID{}, r.young
	}
	r.young[of] = ids
}
