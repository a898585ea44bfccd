package claim

import (
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
)

func TestAheadOfAClaimIsGoneOnlyWithoutNeighbours(t *testing.T) {
	const ms = time.Millisecond
	lone := map[peer.ID]time.Duration{"far": 20 * ms, "farther": 40 * ms}
	lan := map[peer.ID]time.Duration{"far": 20 * ms, "farther": 40 * ms, "near": ms}
	unknown := map[peer.ID]time.Duration{"far": 20 * ms, "new": 0}
	for name, c := range map[string]struct {
		rtt      map[peer.ID]time.Duration
		owners   []peer.ID
		patience time.Duration
		want     Start
	}{
		"as long as it takes":              {lone, []peer.ID{"far"}, 0, Answered},
		"far":                              {lone, []peer.ID{"far", "self"}, ms, AtOnce},
		"its own":                          {lone, []peer.ID{"self", "far"}, ms, Claimed},
		"its own alone":                    {lone, []peer.ID{"self"}, ms, Answered},
		"not far for so long a step":       {lone, []peer.ID{"far", "self"}, 20 * ms, Answered},
		"one of them is, for so long":      {lone, []peer.ID{"far", "farther"}, 20 * ms, Claimed},
		"all are near":                     {lan, []peer.ID{"near", "self"}, ms, Answered},
		"the first is near":                {lan, []peer.ID{"near", "far"}, ms, Claimed},
		"the first is far, a neighbour is": {lan, []peer.ID{"far", "near"}, ms, Claimed},
		"it may have a neighbour":          {unknown, []peer.ID{"far", "self"}, ms, Claimed},
		"of nobody":                        {lone, nil, ms, Answered},
	} {
		v := View{
			Self: "self", RTT: func(id peer.ID) time.Duration { return c.rtt[id] },
			Members: func() []peer.Member {
				ms := []peer.Member{{ID: "self"}}
				for id := range c.rtt {
					ms = append(ms, peer.Member{ID: id})
				}
				return ms
			},
		}
		if got := v.Start(c.owners, c.patience); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
