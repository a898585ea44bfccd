package steal

import (
	"cmp"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
)

// Times of the protocol. They add up so that the loss of an initiator ends its
// actions everywhere within 2 s: Lease to notice it, and the rest to say so.
const (
	// BeatEvery is how often a leader and its members say that they live, when
	// they have nothing else to say.
	BeatEvery = 100 * time.Millisecond
	// CalmEvery is how often they do when nothing depends on the member: it is
	// not the initiator, was never a standby, and has no step in its hands. Most
	// of a large crew are so, most of the time.
	CalmEvery = 400 * time.Millisecond
	// Lease is how long a peer that says nothing is still believed to live: ten
	// beats, so that a machine whose cores are all taken is not given up.
	Lease = time.Second
	// CalmLease is the Lease of a member on which nothing depends.
	CalmLease = 2 * time.Second
	// Redial is the pause before a stream that broke is opened again.
	Redial = 100 * time.Millisecond
	// Rejoin is the pause before a lost member is called again.
	Rejoin = 2 * time.Second
	// HearingTime bounds how long a new leader listens to the crew of the old
	// one before it assigns.
	HearingTime = 500 * time.Millisecond
	// LeastHearing is how long it listens to the leader before it at least, whose
	// silence is why it leads.
	LeastHearing = 100 * time.Millisecond
	// FollowTime bounds how long a leader waits for its initiator to follow it.
	FollowTime = 1500 * time.Millisecond
)

// Epoch is the reign of one leader of a build.
type Epoch struct {
	Number uint64
	Leader peer.ID
}

// Compare orders epochs by number, then by leader.
func (e Epoch) Compare(other Epoch) int {
	return cmp.Or(cmp.Compare(e.Number, other.Number), e.Leader.Compare(other.Leader))
}

// guard remembers the highest epoch that it saw.
type guard struct{ highest Epoch }

// admit reports whether commands of e are still to be obeyed.
func (g *guard) admit(e Epoch) bool {
	if e.Compare(g.highest) < 0 {
		return flawOldEpoch
	}
	g.highest = e
	return true
}
