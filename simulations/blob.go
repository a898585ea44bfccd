package simulations

import (
	"slices"

	"github.com/buildnet/buildnet/dht/rendezvous"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/simulations/workload"
	"github.com/buildnet/buildnet/store/digest"
)

// blob is what the world knows of a blob: who has it, and whom that was told.
type blob struct {
	digest  digest.Digest
	holders []int32
	// told are the announcements that the owners of its location have.
	told []location
}

// location is a holder as an owner remembers it, in one of its lives.
type location struct {
	owner, life, holder int32
}

// blob returns the blob of a digest.
func (w *World) blob(d digest.Digest) *blob {
	b, ok := w.blobs[d]
	if !ok {
		b = &blob{digest: d}
		w.blobs[d] = b
		w.outputs[workload.Short(d)] = b
	}
	return b
}

// size is what the blob is on the wire: an action has no bytes of its own here.
func (b *blob) size() int64 { return max(b.digest.Size(), leastBlob) }

// leastBlob is an action with its command.
const leastBlob = 1 << 10

func (b *blob) has(n *node) bool { return slices.Contains(b.holders, int32(n.place)) }

func (b *blob) add(n *node) {
	if !b.has(n) {
		b.holders = append(b.holders, int32(n.place))
	}
}

func (b *blob) drop(n *node) {
	b.holders = slices.DeleteFunc(b.holders, func(h int32) bool { return h == int32(n.place) })
}

const (
	// replicas members keep the locations of a digest, each up to maxLocations
	// holders (dht/find.go, dht/locations.go), and as many each result
	// (sched/registry).
	replicas     = 3
	maxLocations = 8
	// provideBytes is one announcement on the wire; many share a frame.
	provideBytes = 60
)

// provide announces blobs to the owners of their locations.
func (n *node) provide(blobs []*blob) {
	for _, b := range blobs {
		for _, owner := range n.ownersOf(b.digest) {
			to := n.w.nodes[owner]
			if to == n {
				b.locate(n, n)
				continue
			}
			newPipe(n, to, nil).put(provideBytes, func() { b.locate(to, n) })
		}
	}
}

// locate notes a holder at an owner.
func (b *blob) locate(owner, holder *node) {
	at := location{int32(owner.place), int32(owner.life), int32(holder.place)}
	b.told = slices.DeleteFunc(b.told, func(l location) bool {
		return l == at || l.owner == at.owner && l.life != at.life
	})
	first, known := -1, 0
	for i, l := range b.told {
		if l.owner == at.owner {
			known++
			if first < 0 {
				first = i
			}
		}
	}
	if known == maxLocations {
		b.told = slices.Delete(b.told, first, first+1)
	}
	b.told = append(b.told, at)
}

// located returns whom an owner knows to hold the blob, the latest first.
func (b *blob) located(owner *node) []int {
	var found []int
	for _, l := range slices.Backward(b.told) {
		if l.owner == int32(owner.place) && l.life == int32(owner.life) {
			found = append(found, int(l.holder))
		}
	}
	return found
}

// ownersCache remembers what rendezvous said of a view of a cell's members.
type ownersCache struct {
	known map[ownersKey][replicas]int32
	ids   []peer.ID
}

type ownersKey struct {
	digest digest.Digest
	cell   int
	view   uint64
}

// maxOwners bounds the cache.
const maxOwners = 1 << 17

// ownersOf returns the members that keep what belongs to a key, as the node
// sees its cell: as many for a result as for a location.
func (n *node) ownersOf(key digest.Digest) []int {
	w := n.w
	at := ownersKey{key, n.spec.Cell, n.view()}
	found, ok := w.owners.known[at]
	if !ok {
		w.owners.ids = n.peers(w.owners.ids[:0])
		found = [replicas]int32{-1, -1, -1}
		for i, id := range rendezvous.Rank(w.owners.ids, key, replicas) {
			found[i] = int32(placeOf(id))
		}
		if w.owners.known == nil || len(w.owners.known) >= maxOwners {
			w.owners.known = map[ownersKey][replicas]int32{}
		}
		w.owners.known[at] = found
	}
	owners := make([]int, 0, replicas)
	for _, place := range found {
		if place >= 0 {
			owners = append(owners, int(place))
		}
	}
	return owners
}
