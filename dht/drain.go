package dht

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/buildnet/buildnet/dht/dhtpb"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// maxAsked members are asked directly when locations failed.
	maxAsked = 32
	// batchBytes in one request: a broken stream costs no more than that again.
	batchBytes = 8 << 20
	// maxParallel streams carry one Fetch from one peer.
	maxParallel = 4
)

var errCorrupt = errors.New("peer sent other bytes than asked for")

// drain fetches until every blob left has no untried holder.
func (j *job) drain(ctx context.Context) error {
	for {
		groups := j.assign()
		if len(groups) == 0 {
			return nil
		}
		var fetching sync.WaitGroup
		for id, keys := range groups {
			slots := make(chan struct{}, maxParallel)
			for _, part := range batches(keys) {
				fetching.Go(func() {
					slots <- struct{}{}
					defer func() { <-slots }()
					j.fetchFrom(ctx, id, part)
				})
			}
		}
		fetching.Wait()
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("fetch %d blobs: %w", len(j.left), err)
		}
		if j.local != nil {
			return j.local
		}
	}
}

// assign gives each blob to one holder that was not tried for it, the one with
// the fewest bytes to send so far.
func (j *job) assign() map[peer.ID][]digest.Digest {
	groups, load := map[peer.ID][]digest.Digest{}, map[peer.ID]int64{}
	for key, w := range j.left {
		var best peer.ID
		for _, id := range w.holders {
			if id == j.d.opts.Self || slices.Contains(w.tried, id) || j.d.quarantined(id) {
				continue
			}
			if best == "" || load[id] < load[best] {
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

func (j *job) fetchFrom(ctx context.Context, id peer.ID, keys []digest.Digest) {
	err := j.d.conns.ask(ctx, id, dhtpb.Request_GET, keys, func(resp *dhtpb.Response, s *conn) error {
		bits, err := present(resp, len(keys))
		if err != nil {
			return err
		}
		for i, key := range keys {
			if !bits[i] {
				continue
			}
			if err := j.receive(ctx, id, key, s.r); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, key := range keys {
		if w, ok := j.left[key]; ok {
			w.last = err
		}
	}
}

// receive stores the next blob of the stream.
func (j *job) receive(ctx context.Context, id peer.ID, key digest.Digest, r io.Reader) error {
	in := &checked{r: io.LimitReader(r, key.Size()), h: digest.NewHasher(key.Function())}
	putErr := j.d.opts.Blobs.Put(ctx, key, in)
	if _, err := io.Copy(io.Discard, in); err != nil {
		return fmt.Errorf("receive %v: %w", key, err)
	}
	if in.h.Size() != key.Size() {
		return fmt.Errorf("receive %v: %d bytes: %w", key, in.h.Size(), io.ErrUnexpectedEOF)
	}
	if in.h.Sum() != key {
		j.d.blame(id, key)
		return fmt.Errorf("receive %v: %w", key, errCorrupt)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if putErr != nil {
		j.local = fmt.Errorf("store %v: %w", key, putErr)
		return j.local
	}
	delete(j.left, key)
	j.moved.Blobs++
	j.moved.Bytes += key.Size()
	return nil
}

// checked hashes what is read through it, whether the store looks at it or not.
type checked struct {
	r io.Reader
	h *digest.Hasher
}

func (c *checked) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	_, _ = c.h.Write(b[:n])
	return n, err
}
