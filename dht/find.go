package dht

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/buildnet/buildnet/dht/dhtpb"
	"github.com/buildnet/buildnet/dht/rendezvous"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// replicas is how many members keep the locations of a digest.
	replicas = 3
	// resolve is how long Holders waits for a near peer; a far one gets four
	// round trips.
	resolve = 20 * time.Millisecond
	// maxBatch digests go in one request: with 43 bytes each, 172 KiB.
	maxBatch = 4096
	// maxRequest is the limit of a request's frame in bytes.
	maxRequest = maxBatch*(digest.BinarySize+2) + 64
)

func request(op dhtpb.Request_Op, ds []digest.Digest) *dhtpb.Request {
	req := &dhtpb.Request{Op: op, Digests: make([][]byte, len(ds))}
	for i, d := range ds {
		req.Digests[i] = d.Binary()
	}
	return req
}

// ask is a call that is counted.
func (d *DHT) ask(ctx context.Context, id peer.ID, op dhtpb.Request_Op, ds []digest.Digest) (*dhtpb.Response, error) {
	return d.call(ctx, id, request(op, ds))
}

func (d *DHT) call(ctx context.Context, id peer.ID, req *dhtpb.Request) (*dhtpb.Response, error) {
	d.count(func(s *Stats) { s.Requests++ })
	return d.lanes.call(ctx, id, req)
}

// byOwner groups digests by the members that keep their locations.
func byOwner(ds []digest.Digest, members []peer.ID) map[peer.ID][]digest.Digest {
	groups := map[peer.ID][]digest.Digest{}
	for _, key := range ds {
		for _, id := range rendezvous.Rank(members, key, replicas) {
			groups[id] = append(groups[id], key)
		}
	}
	return groups
}

// Holders asks the owners of each digest who holds it. A digest that nobody
// knows is absent from the result; owners that do not answer in time are left
// out, and so is this node.
func (d *DHT) Holders(ctx context.Context, ds []digest.Digest) (map[digest.Digest][]peer.ID, error) {
	var mu sync.Mutex
	found := map[digest.Digest][]peer.ID{}
	member, now := d.member(), time.Now()
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
	for id, keys := range byOwner(ds, d.opts.Members()) {
		if id == d.opts.Self {
			for _, key := range keys {
				add(key, d.table.of(now, key, member))
			}
			continue
		}
		asked.Go(func() { d.holdersAt(ctx, id, keys, add) })
	}
	asked.Wait()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("find %d blobs: %w", len(ds), err)
	}
	return found, nil
}

func (d *DHT) holdersAt(ctx context.Context, id peer.ID, keys []digest.Digest, add func(digest.Digest, []peer.ID)) {
	ctx, cancel := context.WithTimeout(ctx, max(resolve, 4*d.opts.RTT(id)))
	defer cancel()
	for part := range slices.Chunk(keys, maxBatch) {
		resp, err := d.ask(ctx, id, dhtpb.Request_FIND, part)
		if err == nil && len(resp.GetHolders()) != len(part) {
			err = fmt.Errorf("holders of %d digests, want %d", len(resp.GetHolders()), len(part))
		}
		if err != nil {
			d.opts.Log.Debug("owner of locations did not answer", "peer", id, "error", err)
			return
		}
		for i, h := range resp.GetHolders() {
			var ids []peer.ID
			for _, s := range h.GetPeers()[:min(len(h.GetPeers()), maxHolders)] {
				ids = append(ids, peer.ID(s))
			}
			add(part[i], ids)
		}
	}
}

// Have asks a peer which of ds it holds.
func (d *DHT) Have(ctx context.Context, id peer.ID, ds []digest.Digest) ([]bool, error) {
	return d.have(ctx, id, ds, func(*dhtpb.Request) {})
}

// have asks in parts, each of which shape may change.
func (d *DHT) have(ctx context.Context, id peer.ID, ds []digest.Digest, shape func(*dhtpb.Request)) ([]bool, error) {
	has := make([]bool, 0, len(ds))
	for part := range slices.Chunk(ds, maxBatch) {
		req := request(dhtpb.Request_HAVE, part)
		shape(req)
		resp, err := d.call(ctx, id, req)
		if err != nil {
			return nil, fmt.Errorf("have %d blobs: %w", len(ds), err)
		}
		bits, err := present(resp, len(part))
		if err != nil {
			return nil, fmt.Errorf("have %d blobs of %s: %w", len(ds), id, err)
		}
		has = append(has, bits...)
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
