package elect

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/mesh/peer"
)

var (
	epoch = time.Unix(1_000_000, 0)
	now   = epoch.Add(time.Hour)
)

func asked(build string, initiator peer.ID) Candidacy {
	return Candidacy{ID: build, Initiator: initiator, Now: now}
}

func member(id string, power float64) peer.Member {
	return peer.Member{ID: peer.ID(id), State: peer.Alive, Since: epoch, Caps: peer.Capabilities{BPU: power, Cores: 1}}
}

func near(peer.ID, peer.ID) time.Duration { return time.Millisecond }

func TestTheBetterOneLeads(t *testing.T) {
	for name, c := range map[string]struct {
		a, b peer.Member
		rtt  map[peer.ID]time.Duration
	}{
		"more power": {a: member("a", 8), b: member("b", 4)},
		"much less far": {a: member("a", 1), b: member("b", 1),
			rtt: map[peer.ID]time.Duration{"a": 2 * time.Millisecond, "b": 40 * time.Millisecond}},
		"an old member": {a: member("a", 1), b: func() peer.Member {
			m := member("b", 1)
			m.Since = now.Add(-5 * time.Second)
			return m
		}()},
		"of known distance": {a: member("a", 1), b: member("b", 4), rtt: map[peer.ID]time.Duration{"a": time.Millisecond}},
		"of known power":    {a: member("a", 1), b: member("b", math.NaN())},
	} {
		estimate := near
		if c.rtt != nil {
			estimate = func(a, _ peer.ID) time.Duration { return c.rtt[a] }
		}
		for i := range 20 {
			got := Rank(asked(fmt.Sprint("build", i), "initiator"), []peer.Member{c.b, c.a}, estimate)
			if !slices.Equal(got, []peer.ID{"a", "b"}) {
				t.Fatalf("%s: %v", name, got)
			}
		}
	}
}

func TestWhoIsFarLeadsNoShortSteps(t *testing.T) {
	weak, near, farm := member("weak", 1), member("near", 1), member("farm", 64)
	way := map[peer.ID]time.Duration{"farm": 20 * time.Millisecond, "near": time.Millisecond}
	for name, c := range map[string]struct {
		work    float64
		members []peer.Member
		leads   peer.ID
	}{
		"short steps":            {0.05, []peer.Member{farm, weak}, "weak"},
		"long steps":             {2, []peer.Member{farm, weak}, "farm"},
		"longer than any number": {math.Inf(1), []peer.Member{farm, weak}, "farm"},
		"unknown steps":          {0, []peer.Member{farm, weak}, "weak"},
		"no number":              {math.NaN(), []peer.Member{farm, weak}, "weak"},
		"of a strong initiator":  {2, []peer.Member{farm, member("weak", 32)}, "weak"},
	} {
		of := asked("build", "weak")
		of.Work = c.work
		got := Rank(of, c.members, func(a, _ peer.ID) time.Duration { return way[a] })
		if got[0] != c.leads {
			t.Errorf("%s: ranked %v, want %s first", name, got, c.leads)
		}
	}
	led := map[peer.ID]bool{}
	for i := range 20 {
		got := Rank(asked(fmt.Sprint("build", i), "weak"), []peer.Member{farm, weak, near}, func(a, _ peer.ID) time.Duration { return way[a] })
		if led[got[0]] = true; got[2] != "farm" {
			t.Errorf("ranked %v, want the far one last", got)
		}
	}
	if len(led) != 2 {
		t.Errorf("of two that are near %v lead", led)
	}
}

func TestEqualsTakeTurns(t *testing.T) {
	members := []peer.Member{member("a", 1), member("b", 1.4), member("c", 1.9)}
	leads := map[peer.ID]int{}
	for i := range 300 {
		leads[Rank(asked(fmt.Sprint("build", i), "a"), members, near)[0]]++
	}
	for id, n := range leads {
		if n < 60 || n > 140 {
			t.Errorf("%s leads %d of 300 builds", id, n)
		}
	}
}

func TestWhoCameBackLeadsAgainInTime(t *testing.T) {
	back := member("back", 1)
	back.Since = epoch.Add(time.Minute)
	leads := false
	for i := range 50 {
		leads = leads || Rank(asked(fmt.Sprint("build", i), "a"), []peer.Member{member("a", 1), back}, near)[0] == "back"
	}
	if !leads {
		t.Error("a member that was restarted an hour ago never leads")
	}
}

func TestOnlyTheAliveAreRanked(t *testing.T) {
	gone := member("gone", 100)
	gone.State = peer.Suspect
	if got := Rank(asked("build", "a"), []peer.Member{gone, member("a", 1)}, near); !slices.Equal(got, []peer.ID{"a"}) {
		t.Errorf("ranked %v", got)
	}
	if got := Rank(asked("build", "a"), nil, near); len(got) != 0 {
		t.Errorf("ranked %v of nobody", got)
	}
}

func TestAllWithTheSameViewRankTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var members []peer.Member
		for i := range rapid.IntRange(0, 12).Draw(t, "members") {
			m := member(fmt.Sprint("peer", i), rapid.Float64().Draw(t, "power"))
			m.Since = epoch.Add(time.Duration(rapid.IntRange(3500, 3600).Draw(t, "since")) * time.Second)
			members = append(members, m)
		}
		rtt := time.Duration(rapid.Int64().Draw(t, "rtt"))
		estimate := func(a, b peer.ID) time.Duration { return rtt / time.Duration(len(a)+len(b)) }
		first := Rank(asked("build", "peer0"), members, estimate)
		rand.New(rand.NewPCG(1, 2)).Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
		if second := Rank(asked("build", "peer0"), members, estimate); !slices.Equal(first, second) {
			t.Fatalf("%v, then %v", first, second)
		}
		if len(first) != len(members) {
			t.Fatalf("%d of %d ranked", len(first), len(members))
		}
	})
}
