package dht

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/buildnet/buildnet/dht/dhtpb"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// watchMembers is how often changes of membership are looked for.
	watchMembers = time.Second
	// maxProvided blobs are announced again when owners change.
	maxProvided = 200_000
)

// Provide announces, soon and in bulk, that this node holds ds. It does not
// wait. Announcements are made while Run runs.
func (d *DHT) Provide(ds ...digest.Digest) {
	d.mu.Lock()
	for _, key := range ds {
		if len(d.pending) < maxProvided {
			d.pending[key] = struct{}{}
		}
	}
	d.mu.Unlock()
	select {
	case d.news <- struct{}{}:
	default:
	}
}

// Run announces what Provide was told, and again to new owners when the
// members change, until ctx ends.
func (d *DHT) Run(ctx context.Context) error {
	defer d.conns.closeIdle()
	tick := time.NewTicker(watchMembers)
	defer tick.Stop()
	members := sorted(d.opts.Members())
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.news:
			d.announcePending(ctx, members)
		case <-tick.C:
			now := sorted(d.opts.Members())
			if !slices.Equal(now, members) {
				d.announceMoved(ctx, members, now)
				members = now
			}
		}
	}
}

func sorted(ids []peer.ID) []peer.ID { return slices.Sorted(slices.Values(ids)) }

func (d *DHT) announcePending(ctx context.Context, members []peer.ID) {
	d.mu.Lock()
	keys := slices.Collect(maps.Keys(d.pending))
	clear(d.pending)
	for _, key := range keys {
		if len(d.provided) < maxProvided {
			d.provided[key] = struct{}{}
		}
	}
	d.mu.Unlock()
	d.announce(ctx, d.byOwner(keys, members))
}

// announceMoved tells each digest only to owners that it did not have before.
func (d *DHT) announceMoved(ctx context.Context, before, now []peer.ID) {
	d.mu.Lock()
	keys := slices.Collect(maps.Keys(d.provided))
	d.mu.Unlock()
	groups := map[peer.ID][]digest.Digest{}
	for _, key := range keys {
		old := rank(before, key, replicas)
		for _, id := range rank(now, key, replicas) {
			if !slices.Contains(old, id) {
				groups[id] = append(groups[id], key)
			}
		}
	}
	d.announce(ctx, groups)
}

func (d *DHT) announce(ctx context.Context, groups map[peer.ID][]digest.Digest) {
	var told sync.WaitGroup
	for id, keys := range groups {
		if id == d.opts.Self {
			d.table.add(id, keys)
			continue
		}
		told.Go(func() {
			for part := range slices.Chunk(keys, maxBatch) {
				err := d.conns.ask(ctx, id, dhtpb.Request_PROVIDE, part, func(*dhtpb.Response, *conn) error { return nil })
				if err != nil {
					d.opts.Log.Debug("owner did not take an announcement", "peer", id, "error", err)
					return
				}
			}
		})
	}
	told.Wait()
}
