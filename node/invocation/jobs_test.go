package invocation

import (
	"testing"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/steal"
)

func TestJobsOfAMesh(t *testing.T) {
	mesh := func(slots ...int) (ms []peer.Member) {
		for i, n := range slots {
			ms = append(ms, peer.Member{Self: i == 0, Caps: peer.Capabilities{Slots: n}})
		}
		return ms
	}
	for name, c := range map[string]struct {
		members []peer.Member
		modes   steal.Modes
		want    int
	}{
		"alone":                 {mesh(4), steal.Modes{}, 10},
		"alone, without a slot": {mesh(0), steal.Modes{}, 4},
		"a small mesh":          {mesh(1, 1), steal.Modes{}, 32},
		"a larger one":          {mesh(4, 4, 4), steal.Modes{}, maxWaiting},
		"a large one":           {mesh(8, 16, 16, 16), steal.Modes{}, 114},
		"kept here":             {mesh(4, 8), steal.Modes{Local: true}, 10},
		"bounded":               {mesh(1, 1, 1, 1), steal.Modes{Jobs: 7}, 7},
	} {
		if got := jobs(c.members, c.modes); got != c.want {
			t.Errorf("%s: %d jobs, want %d", name, got, c.want)
		}
	}
}
