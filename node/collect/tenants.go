package collect

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/buildnet/buildnet/dht"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// maxLeases one member may have: one for each build that it leads, and as many of
	// builds that have just ended.
	maxLeases = 256
	// maxTreeBlobs of one tree are leased, as many as are read in the time that an
	// answer may take.
	maxTreeBlobs = 100_000
)

// Tenants are the leases that members have of blobs of this node. A lease that is not
// renewed ends by itself: nobody has to notice that a member has died. All methods may
// be called concurrently.
type Tenants struct {
	blobs  store.Blobs
	leaser store.Leaser

	mu     sync.Mutex
	leases map[tenant]*tenancy
	count  map[peer.ID]int // of leases
}

// tenant names a lease.
type tenant struct {
	id   peer.ID
	name dht.LeaseName
}

// tenancy is a lease in two halves: what was asked for in this term, and what was in
// the one before. So each blob stays for one term at least and two at most after it
// was asked for, and nobody keeps the time of each.
type tenancy struct{ now, before store.Lease }

var _ dht.Landlord = (*Tenants)(nil)

// NewTenants returns Tenants of a store, who have leases of leaser. No lease ends by
// itself before Run.
func NewTenants(blobs store.Blobs, leaser store.Leaser) *Tenants {
	return &Tenants{blobs: blobs, leaser: leaser, leases: map[tenant]*tenancy{}, count: map[peer.ID]int{}}
}

// Run ends what is not renewed, until ctx ends.
func (t *Tenants) Run(ctx context.Context) error {
	term := time.NewTicker(dht.LeaseTerm)
	defer term.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-term.C:
			t.turn()
		}
	}
}

// turn begins a term.
func (t *Tenants) turn() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for of, l := range t.leases {
		if l.before != nil {
			l.before.Release()
		}
		l.before, l.now = l.now, nil
		if l.before == nil {
			t.forget(of)
		}
	}
}

// forget is called with mu held.
func (t *Tenants) forget(of tenant) {
	delete(t.leases, of)
	if t.count[of.id]--; t.count[of.id] == 0 {
		delete(t.count, of.id)
	}
}

// Lease implements dht.Landlord.
func (t *Tenants) Lease(ctx context.Context, from peer.ID, what dht.Leased) (blobs, trees []bool, err error) {
	if blobs, err = t.blobs.Has(ctx, what.Blobs); err != nil {
		return nil, nil, fmt.Errorf("lease: %w", err)
	}
	all := chosen(what.Blobs, blobs)
	below := make([][]digest.Digest, len(what.Trees))
	for i, root := range what.Trees {
		// One that cannot be read whole, or in time, is not here for anybody.
		if below[i], err = store.Tree(ctx, t.blobs, root, maxTreeBlobs); err == nil {
			all = append(all, below[i]...)
		}
	}
	t.hold(tenant{from, what.Name}, all)
	// What went before it was held is seen now.
	if blobs, err = t.blobs.Has(ctx, what.Blobs); err != nil {
		return nil, nil, fmt.Errorf("lease: %w", err)
	}
	for _, ds := range below {
		has, err := t.blobs.Has(ctx, ds)
		trees = append(trees, err == nil && len(ds) > 0 && !slices.Contains(has, false))
	}
	return blobs, trees, nil
}

func chosen(ds []digest.Digest, here []bool) (some []digest.Digest) {
	for i, ok := range here {
		if ok {
			some = append(some, ds[i])
		}
	}
	return some
}

// hold adds to a lease, and begins it if need be. No lease ends meanwhile, so that what
// is held is held for a whole term; it takes no I/O.
func (t *Tenants) hold(of tenant, ds []digest.Digest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.leases[of]
	if len(ds) == 0 || l == nil && t.count[of.id] == maxLeases {
		return
	}
	if l == nil {
		l = &tenancy{}
		t.leases[of] = l
		t.count[of.id]++
	}
	if l.now == nil {
		l.now = t.leaser.Lease()
	}
	l.now.Hold(ds...)
}

// Release implements dht.Landlord.
func (t *Tenants) Release(from peer.ID, name dht.LeaseName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	of := tenant{from, name}
	l := t.leases[of]
	if l == nil {
		return
	}
	for _, half := range []store.Lease{l.now, l.before} {
		if half != nil {
			half.Release()
		}
	}
	t.forget(of)
}
