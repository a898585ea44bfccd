// Package elect ranks the members that could lead a build. It is pure: members
// with the same view compute the same ranking. Start reading at Rank.
package elect

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
)

const (
	// weakest is the demerit of a member without any power: 1/64 of the
	// strongest one's or less.
	weakest = 6
	// sameSite is the round trip within which distance makes no difference: a
	// leader answers in far less time than a step takes.
	sameSite = 4 * time.Millisecond
	// farthest is the demerit of a member that is a second away, or whose
	// distance is not known.
	farthest = 8
	// worthTheWay is how many times the round trip to the initiator a step has to
	// take for a member beyond the same site to lead: each step of a chain waits for
	// its leader once, there and back, and a build is not to be slower than alone.
	worthTheWay = 50
	// newcomer is how long a member has to be there before it is trusted to
	// stay: one that comes and goes does not lead.
	newcomer = 15 * time.Second
	// longest is what is believed of a step at most.
	longest = 24 * time.Hour
)

// Candidacy is the build that a leader is looked for.
type Candidacy struct {
	ID        string
	Initiator peer.ID
	Now       time.Time
	// Work is what a step is expected to be, in BPU-seconds; 0 if that is not known.
	Work float64
}

// Rank orders the alive members by how well each would lead the build, best
// first. The one with the least demerits leads, whatever its system: a leader
// runs nothing. A demerit is
//
//   - a halving of power (BPU times cores) against the strongest member;
//   - a doubling of the round trip to the initiator beyond 4 ms;
//   - two for a member that appeared less than 15 s before now.
//
// Members that differ by less are equals, and a hash of build and member
// decides between them. So small errors of measurement change nothing, each of
// several builds on a mesh of equals has another leader, and the initiator,
// which has its own work to do, is no more likely to lead than the others.
//
// Who is more than 4 ms from the initiator comes behind all who are not, the
// initiator among them, unless steps are known to take 50 round trips: short ones
// would wait for the line more than for one another.
//
// estimate returns the round trip between two members, 0 if it does not know.
func Rank(build Candidacy, members []peer.Member, estimate func(a, b peer.ID) time.Duration) []peer.ID {
	alive := make([]peer.Member, 0, len(members))
	for _, m := range members {
		if m.State == peer.Alive {
			alive = append(alive, m)
		}
	}
	strongest, step := strongest(alive), build.step(alive)
	type candidate struct {
		id       peer.ID
		tooFar   int // 1 if it is
		demerits int
		lot      uint64
	}
	candidates := make([]candidate, 0, len(alive))
	for _, m := range alive {
		c := candidate{id: m.ID, demerits: weakness(m.Caps.Power(), strongest), lot: lot(build.ID, m.ID)}
		if m.ID != build.Initiator {
			rtt := estimate(m.ID, build.Initiator)
			c.demerits += distance(rtt)
			if tooFar(rtt, step) {
				c.tooFar = 1
			}
		}
		if build.Now.Sub(m.Since) < newcomer {
			c.demerits += 2
		}
		candidates = append(candidates, c)
	}
	slices.SortFunc(candidates, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.tooFar, b.tooFar), cmp.Compare(a.demerits, b.demerits), cmp.Compare(a.lot, b.lot), a.id.Compare(b.id))
	})
	ids := make([]peer.ID, len(candidates))
	for i, c := range candidates {
		ids[i] = c.id
	}
	return ids
}

// step is how long a step is expected to take on the initiator; 0 if that is not
// known.
func (c *Candidacy) step(members []peer.Member) time.Duration {
	at := slices.IndexFunc(members, func(m peer.Member) bool { return m.ID == c.Initiator })
	bpu := 1.0
	if at >= 0 && members[at].Caps.BPU > 0 {
		bpu = members[at].Caps.BPU
	}
	s := c.Work / bpu
	if !(s > 0) {
		return 0
	}
	return time.Duration(min(s, longest.Seconds()) * float64(time.Second))
}

// tooFar reports whether who is so far away is not to lead a build of such steps.
// Who is an unknown way off has the most demerits, as ever.
func tooFar(rtt, step time.Duration) bool {
	return rtt > sameSite && step/worthTheWay < rtt
}

func strongest(members []peer.Member) (power float64) {
	for _, m := range members {
		if p := m.Caps.Power(); p > power && !math.IsInf(p, 0) {
			power = p
		}
	}
	return power
}

func weakness(power, strongest float64) int {
	if !(power > 0) || math.IsInf(power, 0) {
		return weakest
	}
	return min(int(math.Log2(strongest/power)), weakest)
}

func distance(rtt time.Duration) int {
	if rtt <= 0 {
		return farthest
	}
	d := 0
	for ; rtt > sameSite && d < farthest; rtt /= 2 {
		d++
	}
	return d
}

// lot is what a member drew for a build.
func lot(build string, id peer.ID) uint64 {
	h := sha256.Sum256([]byte("buildnet election\x00" + build + "\x00" + string(id)))
	return binary.BigEndian.Uint64(h[:8])
}
