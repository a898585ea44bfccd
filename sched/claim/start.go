package claim

import (
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
)

// Near is the round trip within which members are neighbours, as on a LAN: for
// them nobody goes ahead of a claim.
const Near = 5 * time.Millisecond

// Start is when an execution may begin.
type Start uint8

const (
	// Answered executions begin when all owners have answered.
	Answered Start = iota
	// Claimed ones begin when the claim is given. A result that another owner knows
	// may come later.
	Claimed
	// AtOnce is beside the claim. If another build has it, both execute.
	AtOnce
)

// View is what a node sees of its mesh.
type View struct {
	Self peer.ID
	// RTT is the round trip to a member, 0 if it is not known.
	RTT     func(peer.ID) time.Duration
	Members func() []peer.Member
}

// Start returns when an execution may begin that is to wait no longer for the
// owners of its action, best first, than its patience; 0 is as long as it takes. A
// claim on the other side of a slow line is gone ahead of only by a node without
// neighbours: whoever has some waits for it, so that of two on one LAN one executes.
func (v *View) Start(owners []peer.ID, patience time.Duration) Start {
	if patience <= 0 || len(owners) == 0 {
		return Answered
	}
	patience = max(patience, Near)
	far := func(id peer.ID) bool { return id != v.Self && v.RTT(id) > patience }
	switch {
	case !slices.ContainsFunc(owners, far):
		return Answered
	case !far(owners[0]) || v.hasNeighbour():
		return Claimed
	default:
		return AtOnce
	}
}

// hasNeighbour reports whether another member is near, or may be.
func (v *View) hasNeighbour() bool {
	return slices.ContainsFunc(v.Members(), func(m peer.Member) bool { return m.ID != v.Self && v.RTT(m.ID) <= Near })
}
