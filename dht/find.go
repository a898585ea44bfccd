package dht

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/buildnet/buildnet/dht/dhtpb"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// replicas is how many members keep the locations of a digest.
	replicas = 3
	// resolve is how long Find waits for a near peer; a far one gets four
	// round trips.
	resolve = 20 * time.Millisecond
)

// byOwner groups digests by the other members that keep their locations.
func (d *DHT) byOwner(ds []digest.Digest, members []peer.ID) map[peer.ID][]digest.Digest {
	groups := map[peer.ID][]digest.Digest{}
	for _, key := range ds {
		for _, id := range rank(members, key, replicas) {
			groups[id] = append(groups[id], key)
		}
	}
	return groups
}

// Find asks the owners of each digest who holds it. A digest that nobody knows
// is absent from the result; owners that do not answer in time are left out.
func (d *DHT) Find(ctx context.Context, ds []digest.Digest) (map[digest.Digest][]peer.ID, error) {
	var mu sync.Mutex
	found := map[digest.Digest][]peer.ID{}
	member := d.member()
	add := func(key digest.Digest, ids []peer.ID) {
		mu.Lock()
		defer mu.Unlock()
		for _, id := range ids {
			if id != d.opts.Self && member(id) && len(found[key]) < maxHolders && !slices.Contains(found[key], id) {
				found[key] = append(found[key], id)
			}
		}
	}
	var asked sync.WaitGroup
	for id, keys := range d.byOwner(ds, d.opts.Members()) {
		if id == d.opts.Self {
			for _, key := range keys {
				add(key, d.table.of(key, member))
			}
			continue
		}
		asked.Go(func() { d.findAt(ctx, id, keys, add) })
	}
	asked.Wait()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("find %d blobs: %w", len(ds), err)
	}
	return found, nil
}

func (d *DHT) findAt(ctx context.Context, id peer.ID, keys []digest.Digest, add func(digest.Digest, []peer.ID)) {
	ctx, cancel := context.WithTimeout(ctx, max(resolve, 4*d.opts.RTT(id)))
	defer cancel()
	for part := range slices.Chunk(keys, maxBatch) {
		err := d.conns.ask(ctx, id, dhtpb.Request_FIND, part, func(resp *dhtpb.Response, _ *conn) error {
			if len(resp.GetHolders()) != len(part) {
				return fmt.Errorf("holders of %d digests, want %d", len(resp.GetHolders()), len(part))
			}
			for i, h := range resp.GetHolders() {
				var ids []peer.ID
				for _, s := range h.GetPeers()[:min(len(h.GetPeers()), maxHolders)] {
					ids = append(ids, peer.ID(s))
				}
				add(part[i], ids)
			}
			return nil
		})
		if err != nil {
			d.opts.Log.Debug("owner of locations did not answer", "peer", id, "error", err)
			return
		}
	}
}

// Have asks from which of ds it holds.
func (d *DHT) Have(ctx context.Context, from peer.ID, ds []digest.Digest) ([]bool, error) {
	has := make([]bool, 0, len(ds))
	for part := range slices.Chunk(ds, maxBatch) {
		err := d.conns.ask(ctx, from, dhtpb.Request_HAVE, part, func(resp *dhtpb.Response, _ *conn) error {
			bits, err := present(resp, len(part))
			has = append(has, bits...)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("have %d blobs: %w", len(ds), err)
		}
	}
	return has, nil
}

func present(resp *dhtpb.Response, n int) ([]bool, error) {
	bitmap := resp.GetPresent()
	if len(bitmap) != (n+7)/8 {
		return nil, fmt.Errorf("bitmap of %d bytes for %d digests", len(bitmap), n)
	}
	bits := make([]bool, n)
	for i := range bits {
		bits[i] = bitmap[i/8]&(1<<(i%8)) != 0
	}
	return bits, nil
}
