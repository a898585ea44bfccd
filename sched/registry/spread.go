package registry

import (
	"context"
	"errors"
	"hash/maphash"
	"time"

	"golang.org/x/time/rate"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/schedpb"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// debounce is how long membership must be still: machines come and go
	// together.
	debounce = time.Second
	// maxUnrest bounds how long a mesh that is never still puts it off.
	maxUnrest = 10 * time.Second
	// retryEvery is when owners that did not answer are tried again, and when
	// results that stayed on this node are given to theirs.
	retryEvery = time.Minute
	// offersPerSecond bounds what a change of membership costs the mesh.
	offersPerSecond = 500
	offerBurst      = 64
	// lackTime bounds one question what an owner lacks.
	lackTime = 10 * time.Second
)

// spread hands results over to their owners when these have changed, so that
// a result outlives any machine. Everybody who has it does so: the owner is
// asked first what it lacks.
type spread struct {
	r     *Registry
	limit *rate.Limiter
	seed  maphash.Seed
	// settled are the owners, hashed, that have each result; 16 bytes or so
	// for each entry of the store.
	settled map[digest.Digest]uint64
}

func newSpread(r *Registry) *spread {
	return &spread{
		r: r, limit: rate.NewLimiter(offersPerSecond, offerBurst), seed: maphash.MakeSeed(),
		settled: map[digest.Digest]uint64{},
	}
}

func (s *spread) run(ctx context.Context) {
	changes, end := s.r.opts.Changes()
	defer end()
	for {
		s.r.owing.Store(false)
		if err := s.pass(ctx); err != nil && ctx.Err() == nil {
			s.r.owing.Store(true)
			s.r.opts.Log.Debug("results not handed over to all owners; tried again later", "error", err)
		}
		if !s.await(ctx, changes) {
			return
		}
	}
}

// await returns when membership has changed and come to rest, or after a
// while if something is owed to owners.
func (s *spread) await(ctx context.Context, changes <-chan struct{}) bool {
	retry := time.NewTicker(retryEvery)
	defer retry.Stop()
	for changed := false; !changed; {
		select {
		case <-ctx.Done():
			return false
		case <-retry.C:
			if s.r.owing.Load() {
				return true
			}
		case <-changes:
			changed = true
		}
	}
	return s.rest(ctx, changes)
}

// rest returns when membership has come to rest.
func (s *spread) rest(ctx context.Context, changes <-chan struct{}) bool {
	unrest := time.NewTimer(maxUnrest)
	defer unrest.Stop()
	for {
		still := time.NewTimer(debounce)
		select {
		case <-ctx.Done():
			still.Stop()
			return false
		case <-unrest.C:
			still.Stop()
			return true
		case <-still.C:
			return true
		case <-changes:
			still.Stop()
		}
	}
}

// pass goes once through the store.
func (s *spread) pass(ctx context.Context) error {
	behind := map[peer.ID][]digest.Digest{}
	owing := map[digest.Digest]uint64{}
	seen := make(map[digest.Digest]uint64, len(s.settled))
	err := s.r.opts.Store.Each(func(e action.Entry) bool {
		if !e.Result.OK() || !s.r.shares(&e) {
			return true
		}
		ids := s.r.opts.Owners(e.Action, owners)
		h := s.hash(ids)
		if s.settled[e.Action] == h {
			seen[e.Action] = h
			return true
		}
		owing[e.Action] = h
		for _, id := range ids {
			if id != s.r.opts.Self {
				behind[id] = append(behind[id], e.Action)
			}
		}
		return ctx.Err() == nil
	})
	if err != nil {
		return err
	}
	var failed error
	for id, ds := range behind {
		if err := s.bring(ctx, id, ds); err != nil {
			failed = errors.Join(failed, err)
			for _, d := range ds {
				delete(owing, d)
			}
		}
	}
	for d, h := range owing {
		seen[d] = h
	}
	s.settled = seen
	return failed
}

func (s *spread) hash(ids []peer.ID) uint64 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	for _, id := range ids {
		_, _ = h.WriteString(string(id))
		_ = h.WriteByte(0)
	}
	return h.Sum64()
}

// bring gives an owner what it lacks of ds.
func (s *spread) bring(ctx context.Context, id peer.ID, ds []digest.Digest) error {
	for len(ds) > 0 {
		batch := ds[:min(len(ds), maxLacking)]
		ds = ds[len(batch):]
		lacks, err := s.lacks(ctx, id, batch)
		if err != nil {
			return err
		}
		for _, d := range lacks {
			if err := s.give(ctx, id, d); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *spread) lacks(ctx context.Context, id peer.ID, ds []digest.Digest) ([]digest.Digest, error) {
	ctx, cancel := context.WithTimeout(ctx, lackTime)
	defer cancel()
	actions := make([][]byte, len(ds))
	for i, d := range ds {
		actions[i] = d.Binary()
	}
	got, err := s.r.lanes.call(ctx, id, &schedpb.Question{Body: &schedpb.Question_Lacking{Lacking: &schedpb.Lacking{Actions: actions}}}, atOnce)
	if err != nil {
		return nil, err
	}
	bits := got.GetLacking()
	var lacks []digest.Digest
	for i, d := range ds {
		if i/8 < len(bits) && bits[i/8]&(1<<(i%8)) != 0 {
			lacks = append(lacks, d)
		}
	}
	return lacks, nil
}

func (s *spread) give(ctx context.Context, id peer.ID, d digest.Digest) error {
	if err := s.limit.Wait(ctx); err != nil {
		return err
	}
	e, err := s.r.opts.Store.Get(ctx, d)
	if err != nil {
		return nil // collected meanwhile
	}
	ctx, cancel := context.WithTimeout(ctx, offerTime)
	defer cancel()
	return s.r.offer(ctx, id, &Found{Entry: e, Holders: s.r.hints.of(&e)}, atOnce)
}
