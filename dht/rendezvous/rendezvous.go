// Package rendezvous names the members that keep what belongs to a key. It is
// pure: members with the same view name the same ones. Start reading at Rank.
package rendezvous

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/zeebo/blake3"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

// Rank returns the n members of highest random weight for key, best first
// (Thaler and Ravishankar, "Using name-based mappings to increase hit rates").
// A member that comes or goes moves only the keys that are its own.
func Rank(members []peer.ID, key digest.Digest, n int) []peer.ID {
	type weighed struct {
		id     peer.ID
		weight uint64
	}
	ws := make([]weighed, 0, len(members))
	var buf []byte
	for _, id := range members {
		buf = append(key.AppendBinary(buf[:0]), id...)
		sum := blake3.Sum256(buf)
		ws = append(ws, weighed{id, binary.BigEndian.Uint64(sum[:])})
	}
	slices.SortFunc(ws, func(a, b weighed) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), a.id.Compare(b.id))
	})
	ids := make([]peer.ID, 0, min(max(n, 0), len(ws)))
	for _, w := range ws[:cap(ids)] {
		ids = append(ids, w.id)
	}
	return ids
}
