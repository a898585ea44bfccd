package dht

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/buildnet/buildnet/dht/rendezvous"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

func TestRanksAreThoseOfTheMembersThatThereAre(t *testing.T) {
	var r ranks
	key := func(i int) digest.Digest {
		return digest.Of(digest.BLAKE3, binary.BigEndian.AppendUint64(nil, uint64(i)))
	}
	for _, members := range [][]peer.ID{{"a", "b", "c", "d"}, {"a", "b", "d"}, {"a", "b", "d", "e"}, nil} {
		for i := range 3 * maxRanks {
			for _, j := range []int{i, i / 2, 0} {
				for n := 1; n < 4; n += 2 {
					if got, want := r.of(members, key(j), n), rendezvous.Rank(members, key(j), n); !slices.Equal(got, want) {
						t.Fatalf("%v of %v: %v, not %v", key(j), members, got, want)
					}
				}
			}
			if got := len(r.young) + len(r.old); got > 2*maxRanks {
				t.Fatalf("%d are remembered", got)
			}
		}
	}
}
