package dht

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/buildnet/buildnet/dht/dhtpb"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

// Keep asks members that hold ds to keep them for a while, one member for each, in
// bulk. It returns those that nobody who answers holds, in the order of ds. This
// node is not asked.
func (d *DHT) Keep(ctx context.Context, ds []digest.Digest) (gone []digest.Digest, err error) {
	if len(ds) == 0 {
		return nil, nil
	}
	holders, err := d.Holders(ctx, ds)
	if err != nil {
		return nil, fmt.Errorf("keep: %w", err)
	}
	silent := map[peer.ID]bool{}
	wanted := map[digest.Digest]bool{}
	var each []digest.Digest
	for _, key := range ds {
		if !wanted[key] {
			wanted[key], each = true, append(each, key)
		}
	}
	for range maxHolders {
		groups := nextHolders(each, wanted, holders, silent)
		if len(groups) == 0 {
			break
		}
		d.keepAt(ctx, groups, wanted, silent)
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("keep %d blobs: %w", len(ds), err)
		}
	}
	return slices.DeleteFunc(slices.Clone(ds), func(key digest.Digest) bool { return !wanted[key] }), nil
}

// nextHolders takes from holders, for each digest that is still wanted, the next
// who may have it.
func nextHolders(ds []digest.Digest, wanted map[digest.Digest]bool, holders map[digest.Digest][]peer.ID, silent map[peer.ID]bool) map[peer.ID][]digest.Digest {
	groups := map[peer.ID][]digest.Digest{}
	for _, key := range ds {
		if !wanted[key] {
			continue
		}
		for ids := holders[key]; len(ids) > 0; ids = holders[key] {
			holders[key] = ids[1:]
			if !silent[ids[0]] {
				groups[ids[0]] = append(groups[ids[0]], key)
				break
			}
		}
	}
	return groups
}

// keepAt asks all of them at once, and takes what is kept out of wanted.
func (d *DHT) keepAt(ctx context.Context, groups map[peer.ID][]digest.Digest, wanted map[digest.Digest]bool, silent map[peer.ID]bool) {
	var mu sync.Mutex
	var asked sync.WaitGroup
	for id, keys := range groups {
		asked.Go(func() {
			has, err := d.have(ctx, id, keys, func(r *dhtpb.Request) { r.Keep = true })
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				d.opts.Log.Debug("holder did not answer", "peer", id, "error", err)
				silent[id] = true
				return
			}
			for i, key := range keys {
				if has[i] {
					delete(wanted, key)
				}
			}
		})
	}
	asked.Wait()
}
