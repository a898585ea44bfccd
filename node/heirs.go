package node

import (
	"context"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched"
	"github.com/buildnet/buildnet/sched/steal"
)

// heirs is the node's builder, which is made after the scheduler that asks it.
type heirs struct{ *parts }

// Custody implements sched.Heirs.
func (h heirs) Custody(b steal.BuildID, initiator peer.ID, p *steal.Plan) sched.Custody {
	return h.builder.Custody(b, initiator, p)
}

// Alive implements sched.Heirs.
func (h heirs) Alive(ctx context.Context, b steal.BuildID, initiator peer.ID) bool {
	return h.builder.Alive(ctx, b, initiator)
}
