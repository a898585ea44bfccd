package dht

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/buildnet/buildnet/dht/dhtpb"
	"github.com/buildnet/buildnet/dht/rendezvous"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/mesh/wire"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// nativesTime is how long a near member is waited for that is asked what a blob is
	// called; a far one gets four round trips.
	nativesTime = 250 * time.Millisecond
	// nativesAsked bounds the members that are asked for one blob.
	nativesAsked = 64
	// maxNatives bounds the answers that differ of one blob.
	maxNatives = 3
)

var errUnnamed = errors.New("no blob is known by that name")

// Said is what a member says of a blob.
type Said struct {
	// Native is what the store calls it. That is not verified: who fetches it has to
	// hash what comes.
	Native digest.Digest
	By     peer.ID // who has it
}

// Natives asks the members what they call the blobs ds, whose digests are of another
// function than the store's own. There is no record of such names: a client hardly ever
// asks another node than it uploaded to, and a record of each blob would cost all
// uploads. What nobody has is absent from the result.
func (d *DHT) Natives(ctx context.Context, ds []digest.Digest) (map[digest.Digest][]Said, error) {
	var mu sync.Mutex
	said := map[digest.Digest][]Said{}
	add := func(key digest.Digest, s Said) {
		mu.Lock()
		defer mu.Unlock()
		known := said[key]
		if len(known) < maxNatives && !slices.ContainsFunc(known, func(k Said) bool { return k.Native == s.Native }) {
			said[key] = append(known, s)
		}
	}
	groups := map[peer.ID][]digest.Digest{}
	members := slices.DeleteFunc(slices.Clone(d.opts.Members()), func(id peer.ID) bool { return id == d.opts.Self })
	for _, key := range ds {
		for _, id := range rendezvous.Rank(members, key, nativesAsked) {
			groups[id] = append(groups[id], key)
		}
	}
	var asked sync.WaitGroup
	for id, keys := range groups {
		asked.Go(func() { d.nativesAt(ctx, id, keys, add) })
	}
	asked.Wait()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("native names of %d blobs: %w", len(ds), err)
	}
	return said, nil
}

func (d *DHT) nativesAt(ctx context.Context, id peer.ID, keys []digest.Digest, add func(digest.Digest, Said)) {
	ctx, cancel := context.WithTimeout(ctx, max(nativesTime, 4*d.opts.RTT(id)))
	defer cancel()
	for part := range slices.Chunk(keys, maxBatch) {
		req := request(dhtpb.Request_HAVE, part)
		req.Natives = true
		resp, err := d.call(ctx, id, req)
		if err != nil {
			d.opts.Log.Debug("a member did not say what blobs are called", "peer", id, "error", err)
			return
		}
		for i, b := range resp.GetNatives()[:min(len(resp.GetNatives()), len(part))] {
			if n, err := digest.FromBinary(b); err == nil && n.Function() == digest.BLAKE3 && n.Size() == part[i].Size() {
				add(part[i], Said{Native: n, By: id})
			}
		}
	}
}

// answerNatives says what the blobs are called that are here.
func (d *DHT) answerNatives(ctx context.Context, ds []digest.Digest, w io.Writer) error {
	natives := make([][]byte, len(ds))
	var named []digest.Digest
	var at []int
	for i, key := range ds {
		if n, err := d.opts.Native(ctx, key); err == nil {
			named, at = append(named, n), append(at, i)
		}
	}
	has, err := d.opts.Blobs.Has(ctx, named)
	if err != nil {
		return fmt.Errorf("look up %d blobs: %w", len(named), err)
	}
	for i, ok := range has {
		if ok {
			natives[at[i]] = named[i].Binary()
		}
	}
	return wire.Write(w, &dhtpb.Response{Natives: natives})
}
