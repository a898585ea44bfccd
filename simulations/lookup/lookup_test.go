package lookup

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/buildnet/buildnet/simulations/setting"
)

// near is a world in which all answer in 40 ms, but the dead.
type near map[int]bool

func (n near) RTT(_, to int) (time.Duration, bool) { return 40 * time.Millisecond, !n[to] }

func table(nodes int) *Table {
	return New(setting.StandardLookup(), nodes, rand.New(rand.NewPCG(1, 1)))
}

func TestHopsGrowWithTheLogarithm(t *testing.T) {
	for _, nodes := range []int{10, 100, 1000, 10000} {
		lookups, chance := table(nodes), rand.New(rand.NewPCG(2, 2))
		hops := 0
		const times = 50
		for range times {
			f := lookups.Find(near{}, chance.IntN(nodes), Key(chance.Uint64()), nil)
			hops += f.Hops
			if f.Took < time.Duration(f.Hops)*40*time.Millisecond {
				t.Fatalf("%d hops of 40 ms took %v", f.Hops, f.Took)
			}
		}
		mean := float64(hops) / times
		t.Logf("%d nodes: %.1f hops", nodes, mean)
		if limit := 2 + math.Log2(float64(nodes)); mean > limit {
			t.Errorf("%d nodes: %.1f hops on average; want at most %.1f", nodes, mean, limit)
		}
	}
}

func TestTheClosestOfAllAreFound(t *testing.T) {
	lookups, chance := table(2000), rand.New(rand.NewPCG(3, 3))
	for range 20 {
		key := Key(chance.Uint64())
		all := slices.Clone(lookups.order)
		slices.SortFunc(all, func(a, b int) int {
			if lookups.keys[a]^key < lookups.keys[b]^key {
				return -1
			}
			return 1
		})
		f := lookups.Find(near{}, chance.IntN(2000), key, nil)
		if !slices.Equal(f.Closest[:resiliency], all[:resiliency]) {
			t.Errorf("key %x: the closest are %v; want %v", key, f.Closest, all[:20])
		}
		known := lookups.Closest(key, func(node int) bool { return node != all[3] })
		if want := slices.Concat(all[:3], all[4:21]); !slices.Equal(known, want) {
			t.Errorf("key %x: without %d the closest are %v; want %v", key, all[3], known, want)
		}
	}
}

func TestANearPeerThatIsDeadCostsTimeAndIsLeftOut(t *testing.T) {
	lookups := table(500)
	key := Key(42)
	before := lookups.Find(near{}, 7, key, nil)
	after := lookups.Find(near{before.Closest[0]: true}, 7, key, nil)
	if slices.Contains(after.Closest, before.Closest[0]) {
		t.Error("a dead node is among those that answered")
	}
	if after.Took < setting.StandardLookup().Timeout {
		t.Errorf("with a dead peer it took %v, without %v", after.Took, before.Took)
	}
	far := before.Closest[len(before.Closest)-1]
	if after := lookups.Find(near{far: true}, 7, key, nil); after.Took >= setting.StandardLookup().Timeout {
		t.Errorf("for a dead peer that is none of the nearest it waited %v", after.Took)
	}
}

func TestALookUpEndsWhereTheRecordIs(t *testing.T) {
	lookups := table(2000)
	key := Key(1 << 40)
	keepers := lookups.Closest(key, func(int) bool { return true })
	whole := lookups.Find(near{}, 9, key, nil)
	f := lookups.Find(near{}, 9, key, func(node int) bool { return slices.Contains(keepers, node) })
	if !f.Held || f.Took > whole.Took || f.Asked > whole.Asked {
		t.Errorf("it found %+v; without a record %+v", f, whole)
	}
}

func TestANodeAloneFindsNobody(t *testing.T) {
	if f := table(1).Find(near{}, 0, 5, nil); len(f.Closest) != 0 || f.Hops != 0 {
		t.Errorf("it found %+v", f)
	}
}
