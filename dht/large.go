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
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// maxLarge blobs come at once; each may hold window chunks in memory.
	maxLarge = 4
	// swarmFrom is the size in bytes from which several holders are worth an
	// outline and a question more.
	swarmFrom = 4 << 20
	// outlineRate is how fast, in bytes a second, a holder must make an
	// outline: a disk of the slow kind.
	outlineRate = 64 << 20
)

// afterHints is how many sources of a search are left behind the hints.
const afterHints = 4

// search finds holders of one large blob, source after source.
type search struct {
	j       *job
	key     digest.Digest
	sources []func(context.Context) []peer.ID
	seen    []peer.ID
	late    []peer.ID // doubtful, or did not answer: asked at the end
}

func (j *job) search(key digest.Digest, hints []peer.ID) *search {
	keys := []digest.Digest{key}
	s := &search{j: j, key: key}
	s.sources = []func(context.Context) []peer.ID{
		func(context.Context) []peer.ID { return s.inTime(hints) },
		func(ctx context.Context) []peer.ID {
			found, _ := j.d.Holders(ctx, keys)
			return s.inTime(found[key])
		},
		func(ctx context.Context) []peer.ID { return s.inTime(j.d.fromKad(ctx, keys)[key]) },
		func(context.Context) []peer.ID { return s.inTime(rendezvous.Rank(j.d.opts.Members(), key, maxAsked)) },
		func(context.Context) []peer.ID { return s.late },
	}
	return s
}

// inTime returns those of ids that were not asked yet and may answer soon.
func (s *search) inTime(ids []peer.ID) []peer.ID {
	var ask []peer.ID
	now := time.Now()
	for _, id := range ids {
		if slices.Contains(s.seen, id) || id == s.j.d.opts.Self {
			continue
		}
		s.seen = append(s.seen, id)
		if s.j.doubtful(now, id) {
			s.late = append(s.late, id)
			continue
		}
		ask = append(ask, id)
	}
	return ask
}

// more returns holders that confirmed to have the blob, none when every source
// is spent.
func (s *search) more(ctx context.Context) []peer.ID {
	for len(s.sources) > 0 && ctx.Err() == nil {
		source := s.sources[0]
		s.sources = s.sources[1:]
		if found := s.confirm(ctx, source(ctx)); len(found) > 0 {
			return found
		}
	}
	return nil
}

// second looks for company for a holder that was found, where that is cheap:
// at the owners of the locations.
func (s *search) second(ctx context.Context) []peer.ID {
	if len(s.sources) != afterHints {
		return nil
	}
	source := s.sources[0]
	s.sources = s.sources[1:]
	return s.confirm(ctx, source(ctx))
}

// confirm asks all at once. When one has the blob, the others have a moment
// left to say so; who does not is asked again at the end.
func (s *search) confirm(ctx context.Context, ids []peer.ID) []peer.ID {
	type answer struct {
		id  peer.ID
		has bool
	}
	answers := make(chan answer, len(ids))
	askCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	var asked sync.WaitGroup
	defer asked.Wait()
	for _, id := range ids {
		asked.Go(func() {
			has, err := s.j.d.Have(askCtx, id, []digest.Digest{s.key})
			if err != nil && askCtx.Err() == nil {
				s.j.failed(id, err, s.key)
			}
			answers <- answer{id, err == nil && has[0]}
		})
	}
	var found []peer.ID
	var enough <-chan time.Time
	waiting := slices.Clone(ids)
	for len(waiting) > 0 {
		select {
		case <-enough:
			cancel()
			s.late = append(s.late, waiting...)
			waiting = nil
		case a := <-answers:
			waiting = slices.DeleteFunc(waiting, func(id peer.ID) bool { return id == a.id })
			if a.has {
				found = append(found, a.id)
			}
			if a.has && enough == nil {
				enough = time.After(resolve)
			}
		}
	}
	slices.Sort(found)
	return found
}

func (j *job) fetchLarge(ctx context.Context, key digest.Digest, hints []peer.ID) error {
	if err := j.d.large.Acquire(ctx, 1); err != nil {
		return fmt.Errorf("fetch %v: %w", key, err)
	}
	defer j.d.large.Release(1)
	s := j.search(key, hints)
	for holders := s.more(ctx); len(holders) > 0; holders = s.more(ctx) {
		if len(holders) == 1 && key.Size() >= swarmFrom && outlined(key) {
			holders = append(holders, s.second(ctx)...)
		}
		done, err := j.fromHolders(ctx, key, holders, s)
		if done || err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("fetch %v: %w", key, err)
	}
	w := j.wants([]digest.Digest{key})[key]
	return &NoHolderError{Digest: key, Tried: w.tried, Last: w.last}
}

// fromHolders returns an error only if no other holder can help.
func (j *job) fromHolders(ctx context.Context, key digest.Digest, holders []peer.ID, s *search) (done bool, err error) {
	if len(holders) > 1 && key.Size() >= swarmFrom && outlined(key) {
		if o, ok := j.outline(ctx, key, holders); ok {
			return j.swarm(ctx, key, o, holders, s)
		}
	}
	for _, id := range holders {
		done, err := j.whole(ctx, id, key)
		if done || err != nil || ctx.Err() != nil {
			return done, err
		}
	}
	return false, nil
}

// outline returns the checked outline of key from the first holder that has
// one to give.
func (j *job) outline(ctx context.Context, key digest.Digest, holders []peer.ID) ([]byte, bool) {
	for _, id := range holders {
		outline := make([]byte, outlineSize(key))
		j.d.count(func(s *Stats) { s.Requests++ })
		r := read{
			req: request(dhtpb.Request_OUTLINE, []digest.Digest{key}), length: int64(len(outline)),
			patience: time.Duration(key.Size()/outlineRate) * time.Second,
		}
		err := j.d.bulk.read(ctx, id, r, func(r io.Reader) error {
			_, err := io.ReadFull(r, outline)
			return err
		})
		if err == nil {
			if err = checkOutline(key, outline); err == nil {
				return outline, true
			}
			j.d.corrupt(id, key)
		}
		j.failed(id, err, key)
		if ctx.Err() != nil {
			return nil, false
		}
	}
	return nil, false
}

// whole brings a blob from one holder in one piece.
func (j *job) whole(ctx context.Context, id peer.ID, key digest.Digest) (done bool, err error) {
	var putErr error
	in := &checked{h: digest.NewHasher(key.Function())}
	req := request(dhtpb.Request_READ, []digest.Digest{key})
	req.Length = key.Size()
	j.d.count(func(s *Stats) { s.Requests++ })
	err = j.d.bulk.read(ctx, id, read{req: req, length: key.Size()}, func(r io.Reader) error {
		in.r = r
		if putErr = j.d.opts.Blobs.Put(ctx, key, in); putErr != nil && in.err == nil && in.h.Size() < key.Size() {
			return putErr // the store would not read on: its own fault
		}
		_, err := io.Copy(io.Discard, in)
		if err == nil && in.h.Size() < key.Size() {
			err = io.ErrUnexpectedEOF
		}
		return err
	})
	switch {
	case putErr != nil && errors.Is(err, putErr) && in.err == nil:
		return false, j.refused(key, putErr)
	case err == nil && in.h.Sum() != key:
		j.d.corrupt(id, key)
		j.failed(id, fmt.Errorf("%v: %w", key, errCorrupt), key)
		return false, nil
	case err == nil && putErr != nil:
		return false, j.refused(key, putErr)
	case err == nil:
		j.d.blame.worked(id)
		j.arrived(key)
		return true, nil
	}
	if ctx.Err() == nil && !errors.Is(err, errAbsent) {
		j.d.blame.failed(time.Now(), id)
	}
	j.failed(id, err, key)
	return false, nil
}

// checked hashes what is read through it, whether the store looks at it or not.
type checked struct {
	r   io.Reader
	h   *digest.Hasher
	err error // of r, but io.EOF
}

func (c *checked) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	_, _ = c.h.Write(b[:n])
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}
