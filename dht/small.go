package dht

import (
	"bytes"
	"context"
	"errors"
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
	// Large blobs, in bytes, get a stream of their own; smaller ones share
	// frames.
	Large = 1 << 20
	// batchBytes of small blobs go in one answer: half of wire.MaxFrame, so
	// that the frame's own bytes fit too.
	batchBytes = 2 << 20
	// fewBytes are not worth a question to a second holder.
	fewBytes = 64 << 10
	// avoidBytes is what a doubtful peer seems to have to send: more
	// than any job gives to one.
	avoidBytes = 1 << 50
	// maxAsked members are asked directly when nobody knows a holder.
	maxAsked = 32
	// maxKadLookups of small blobs are made for one Fetch: a look-up asks many
	// peers, and only roots have records.
	maxKadLookups = 16
)

var errCorrupt = errors.New("peer sent other bytes than asked for")

// fetchSmall tries the sources of holders in turn until nothing is left.
func (j *job) fetchSmall(ctx context.Context, keys []digest.Digest, hints []peer.ID) error {
	s := &smalls{job: j, left: keys, wants: j.wants(keys)}
	sources := []func(context.Context) map[digest.Digest][]peer.ID{
		func(context.Context) map[digest.Digest][]peer.ID { return each(keys, hints) },
		func(ctx context.Context) map[digest.Digest][]peer.ID {
			found, _ := j.d.Holders(ctx, s.left)
			return found
		},
		func(ctx context.Context) map[digest.Digest][]peer.ID {
			return j.d.fromKad(ctx, s.left[:min(len(s.left), maxKadLookups)])
		},
		func(ctx context.Context) map[digest.Digest][]peer.ID { return j.d.askAll(ctx, s.left) },
	}
	for _, source := range sources {
		for key, ids := range source(ctx) {
			s.wants[key].holders = append(s.wants[key].holders, ids...)
		}
		if err := s.drain(ctx); err != nil || len(s.left) == 0 {
			return err
		}
	}
	w := s.wants[s.left[0]]
	return &NoHolderError{Digest: s.left[0], Tried: w.tried, Last: w.last}
}

func each(keys []digest.Digest, ids []peer.ID) map[digest.Digest][]peer.ID {
	if len(ids) == 0 {
		return nil
	}
	all := make(map[digest.Digest][]peer.ID, len(keys))
	for _, key := range keys {
		all[key] = ids
	}
	return all
}

// askAll asks members which of keys they hold.
func (d *DHT) askAll(ctx context.Context, keys []digest.Digest) map[digest.Digest][]peer.ID {
	var mu sync.Mutex
	found := map[digest.Digest][]peer.ID{}
	var asked sync.WaitGroup
	for _, id := range rendezvous.Rank(d.opts.Members(), keys[0], maxAsked) {
		if id == d.opts.Self {
			continue
		}
		asked.Go(func() {
			has, err := d.Have(ctx, id, keys)
			if err != nil {
				d.opts.Log.Debug("member did not say what it holds", "peer", id, "error", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for i, ok := range has {
				if ok {
					found[keys[i]] = append(found[keys[i]], id)
				}
			}
		})
	}
	asked.Wait()
	return found
}

func (d *DHT) fromKad(ctx context.Context, keys []digest.Digest) map[digest.Digest][]peer.ID {
	if d.kad == nil {
		return nil
	}
	var mu sync.Mutex
	found := map[digest.Digest][]peer.ID{}
	var asked sync.WaitGroup
	for _, key := range keys {
		asked.Go(func() {
			ids := d.kad.Holders(ctx, key, maxHolders)
			mu.Lock()
			defer mu.Unlock()
			found[key] = ids
		})
	}
	asked.Wait()
	return found
}

// smalls are the small blobs of a job.
type smalls struct {
	*job
	wants map[digest.Digest]*want
	left  []digest.Digest
}

// drain fetches until every blob left has no untried holder.
func (s *smalls) drain(ctx context.Context) error {
	for {
		groups := s.assign()
		if len(groups) == 0 {
			return nil
		}
		s.fetchGroups(ctx, groups)
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("fetch %d blobs: %w", len(s.left), err)
		}
		s.mu.Lock()
		s.left = slices.DeleteFunc(s.left, func(key digest.Digest) bool { return s.job.left[key] == nil })
		err := s.local
		s.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// fetchGroups asks all holders at once, each for some batches at once.
func (s *smalls) fetchGroups(ctx context.Context, groups map[peer.ID][]digest.Digest) {
	var fetching sync.WaitGroup
	for id, keys := range groups {
		parts := batches(keys)
		if len(groups) == 1 && len(parts) == 1 {
			s.fetchFrom(ctx, id, keys) // most are of one question
			return
		}
		slots := make(chan struct{}, maxLanes)
		for _, part := range parts {
			fetching.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				s.fetchFrom(ctx, id, part)
			})
		}
	}
	fetching.Wait()
}

// assign gives each blob to one holder that was not tried for it: one that is
// not in doubt, with the fewest bytes to send so far, and of those that have few
// the one that gave such blobs last.
func (s *smalls) assign() map[peer.ID][]digest.Digest {
	groups, load := map[peer.ID][]digest.Digest{}, map[peer.ID]int64{}
	now, giver := time.Now(), s.d.giver(s.kind)
	cost := func(id peer.ID) int64 {
		c := 2 * (load[id] / fewBytes)
		if id == giver {
			c--
		}
		if s.doubtful(now, id) {
			c += avoidBytes
		}
		return c
	}
	for _, key := range s.left {
		w := s.wants[key]
		var best peer.ID
		for _, id := range w.holders {
			if id == s.d.opts.Self || slices.Contains(w.tried, id) {
				continue
			}
			if best == "" || cost(id) < cost(best) {
				best = id
			}
		}
		if best != "" {
			w.tried = append(w.tried, best)
			load[best] += key.Size() + digest.BinarySize
			groups[best] = append(groups[best], key)
		}
	}
	return groups
}

func batches(keys []digest.Digest) [][]digest.Digest {
	var all [][]digest.Digest
	from, size := 0, int64(0)
	for i, key := range keys {
		if i > from && (i-from == maxBatch || size+key.Size() > batchBytes) {
			all, from, size = append(all, keys[from:i]), i, 0
		}
		size += key.Size()
	}
	return append(all, keys[from:])
}

// fetchFrom asks one holder, again for those that were too much for an answer.
func (s *smalls) fetchFrom(ctx context.Context, id peer.ID, keys []digest.Digest) {
	for len(keys) > 0 {
		resp, err := s.get(ctx, id, keys)
		if err != nil {
			s.failed(id, err, keys...)
			return
		}
		rest, err := s.receive(ctx, id, keys, resp)
		if err != nil {
			s.failed(id, err, keys...)
			return
		}
		keys = rest
	}
}

func (s *smalls) get(ctx context.Context, id peer.ID, keys []digest.Digest) (*dhtpb.Response, error) {
	s.d.count(func(stats *Stats) { stats.Requests++ })
	req := request(dhtpb.Request_GET, keys)
	req.Parts = s.parts != nil && len(keys) == 1
	return s.d.lanes.call(ctx, id, req)
}

// receive stores an answer's blobs and returns those that the holder has and
// did not send yet.
func (s *smalls) receive(ctx context.Context, id peer.ID, keys []digest.Digest, resp *dhtpb.Response) (rest []digest.Digest, err error) {
	here, err := present(resp, len(keys))
	if err != nil {
		return nil, err
	}
	blobs := resp.GetBlobs()
	for i, key := range keys {
		switch {
		case !here[i]:
			s.failed(id, errAbsent, key)
		case len(blobs) == 0:
			rest = append(rest, key)
		default:
			if err := s.put(ctx, id, key, blobs[0]); err != nil {
				return nil, err
			}
			blobs = blobs[1:]
		}
	}
	if len(rest) == len(keys) {
		return nil, fmt.Errorf("answer without blobs: %w", errCorrupt)
	}
	if len(resp.GetBlobs()) > 0 {
		s.d.gave(s.kind, id)
		s.parts.add(keys[0].Function(), resp.GetParts())
	}
	return rest, nil
}

func (d *DHT) giver(of kind) peer.ID {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.givers[of]
}

func (d *DHT) gave(of kind, id peer.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.givers[of] = id
}

// put relies on the store to verify, and looks for whose fault it is only if
// it refuses.
func (s *smalls) put(ctx context.Context, id peer.ID, key digest.Digest, content []byte) error {
	err := s.d.opts.Blobs.Put(ctx, key, bytes.NewReader(content))
	switch {
	case err == nil:
		s.arrived(key)
		return nil
	case digest.Of(key.Function(), content) != key:
		s.d.corrupt(id, key)
		return fmt.Errorf("%v: %w", key, errCorrupt)
	default:
		return s.refused(key, err)
	}
}
