package node

import (
	"context"
	"time"

	"github.com/buildnet/buildnet/dht"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched"
)

// leases are the exchange of blobs as the leader of a build sees it.
type leases struct{ dht *dht.DHT }

var _ sched.Leases = leases{}

// Term implements sched.Leases.
func (leases) Term() time.Duration { return dht.LeaseTerm }

// Lease implements sched.Leases.
func (l leases) Lease(ctx context.Context, at peer.ID, n sched.Needed) error {
	_, err := l.dht.Lease(ctx, at, dht.Leased{Name: n.Name, Blobs: n.Files, Trees: n.Trees})
	return err
}

// Release implements sched.Leases.
func (l leases) Release(ctx context.Context, at peer.ID, name [16]byte) error {
	return l.dht.Release(ctx, at, name)
}
