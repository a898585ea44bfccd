package dht

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/buildnet/buildnet/dht/dhtpb"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// LeaseTerm is how long a holder keeps what was leased of it, at least: so long
	// that to renew a lease in time costs nothing, and so short that what a member
	// needed that has died is soon forgotten.
	LeaseTerm = 2 * time.Minute
	// maxTrees of one request are leased: the holder reads each of them.
	maxTrees = 64
)

// LeaseName is what a member calls a lease of its own: random, so that none is taken
// for an earlier one.
type LeaseName [16]byte

// Leased is what a member needs of a holder.
type Leased struct {
	Name  LeaseName
	Blobs []digest.Digest
	// Trees are Directory messages; all below them is needed too.
	Trees []digest.Digest
}

// Landlord keeps blobs of this node for members that lease them. Both methods may be
// called concurrently.
type Landlord interface {
	// Lease adds to a member's lease what is here, for LeaseTerm at least, and says of
	// each whether it is here; of a tree, whether all of it is. What there is no room
	// for among the leases is here and may go. It returns soon when ctx ends.
	Lease(ctx context.Context, from peer.ID, what Leased) (blobs, trees []bool, err error)
	// Release ends a lease, if there is one of that name.
	Release(from peer.ID, name LeaseName)
}

// withoutLeases is the Landlord of a node that gives none.
type withoutLeases struct{ Blobs }

// Lease implements Landlord.
func (b withoutLeases) Lease(ctx context.Context, _ peer.ID, what Leased) (blobs, trees []bool, err error) {
	blobs, err = b.Has(ctx, what.Blobs)
	return blobs, make([]bool, len(what.Trees)), err
}

// Release implements Landlord.
func (withoutLeases) Release(peer.ID, LeaseName) {}

// Lease asks a member, which may be this node, to keep what it has, for LeaseTerm at
// least. Whoever needs it for longer asks again in time; what is not asked for again
// may go. It returns what the member does not have.
func (d *DHT) Lease(ctx context.Context, of peer.ID, what Leased) (gone []digest.Digest, err error) {
	all := append(slices.Clip(what.Blobs), what.Trees...)
	var here []bool
	if of == d.opts.Self {
		var trees []bool
		here, trees, err = d.opts.Landlord.Lease(ctx, of, what)
		here = append(here, trees...)
	} else {
		here, err = d.leaseOf(ctx, of, what)
	}
	if err != nil {
		return nil, fmt.Errorf("lease %d blobs of %s: %w", len(all), of, err)
	}
	for i, ok := range here {
		if !ok {
			gone = append(gone, all[i])
		}
	}
	return gone, nil
}

// leaseOf is Lease of another member: in parts, on a stream of its own. What is most
// in need of a lease is what waits for a line that carries much, and questions do not
// overtake each other on a lane.
func (d *DHT) leaseOf(ctx context.Context, of peer.ID, what Leased) (here []bool, err error) {
	s, err := openPaced(ctx, d.opts.Network, of)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	ask := func(req *dhtpb.Request) error {
		req.Keep, req.Lease = true, what.Name[:]
		bits, err := d.exchange(s, req)
		here = append(here, bits...)
		return err
	}
	for part := range slices.Chunk(what.Blobs, maxBatch) {
		if err := ask(request(dhtpb.Request_HAVE, part)); err != nil {
			return nil, errors.Join(err, s.Reset())
		}
	}
	for part := range slices.Chunk(what.Trees, maxTrees) {
		req := request(dhtpb.Request_HAVE, part)
		req.Trees = true
		if err := ask(req); err != nil {
			return nil, errors.Join(err, s.Reset())
		}
	}
	return here, s.Close()
}

// exchange asks for a bitmap on a stream that nobody else uses.
func (d *DHT) exchange(s *paced, req *dhtpb.Request) ([]bool, error) {
	d.count(func(st *Stats) { st.Requests++ })
	if err := s.send(req); err != nil {
		return nil, err
	}
	var resp dhtpb.Response
	if err := s.receive(&resp); err != nil {
		return nil, err
	}
	return present(&resp, len(req.GetDigests()))
}

// Release tells a member that a lease is over. One that is not told finds out after
// LeaseTerm.
func (d *DHT) Release(ctx context.Context, of peer.ID, name LeaseName) error {
	if of == d.opts.Self {
		d.opts.Landlord.Release(of, name)
		return nil
	}
	req := request(dhtpb.Request_HAVE, nil)
	req.Keep, req.Release, req.Lease = true, true, name[:]
	if _, err := d.call(ctx, of, req); err != nil {
		return fmt.Errorf("release a lease of %s: %w", of, err)
	}
	return nil
}

// leased answers a HAVE with a lease.
func (d *DHT) leased(ctx context.Context, from peer.ID, req *dhtpb.Request, ds []digest.Digest) ([]bool, error) {
	what := Leased{}
	if len(req.GetLease()) != len(what.Name) {
		return nil, fmt.Errorf("name of a lease of %d bytes", len(req.GetLease()))
	}
	copy(what.Name[:], req.GetLease())
	if req.GetRelease() {
		d.opts.Landlord.Release(from, what.Name)
		return make([]bool, len(ds)), nil
	}
	if !req.GetTrees() {
		what.Blobs = ds
		here, _, err := d.opts.Landlord.Lease(ctx, from, what)
		return here, err
	}
	if len(ds) > maxTrees {
		return nil, fmt.Errorf("lease of %d trees at once, the limit is %d", len(ds), maxTrees)
	}
	// What takes longer than the asker waits counts as not here.
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	what.Trees = ds
	_, here, err := d.opts.Landlord.Lease(ctx, from, what)
	return here, err
}
