package rendezvous

import (
	"fmt"
	"slices"
	"testing"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

func members(n int) []peer.ID {
	ids := make([]peer.ID, n)
	for i := range ids {
		ids[i] = peer.ID(fmt.Sprintf("peer%d", i))
	}
	return ids
}

func TestTheOrderOfTheMembersDoesNotMatter(t *testing.T) {
	ids, key := members(20), digest.Of(digest.BLAKE3, []byte("key"))
	want := Rank(ids, key, 3)
	slices.Reverse(ids)
	if got := Rank(ids, key, 3); !slices.Equal(got, want) {
		t.Errorf("reversed members: %v; want %v", got, want)
	}
	if got := Rank(ids, key, 50); len(got) != 20 {
		t.Errorf("50 of 20 members are %d", len(got))
	}
	if got := Rank(ids, key, -1); len(got) != 0 {
		t.Errorf("-1 of 20 members are %v", got)
	}
}

func TestAMemberThatGoesMovesOnlyItsOwnKeys(t *testing.T) {
	ids := members(20)
	for i := range 200 {
		key := digest.Of(digest.BLAKE3, fmt.Append(nil, i))
		before := Rank(ids, key, 1)[0]
		after := Rank(ids[1:], key, 1)[0]
		if before != ids[0] && after != before {
			t.Errorf("key %d went from %s to %s although %s left", i, before, after, ids[0])
		}
	}
}
