package build

import (
	"context"
	"errors"
	"sync"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// brought are the blobs that others made and keep, and that were not here before
// the build. Its methods may be called concurrently.
type brought struct {
	mu sync.Mutex
	ds []digest.Digest
}

func (b *brought) add(ds []digest.Digest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ds = append(b.ds, ds...)
}

func (b *brought) all() []digest.Digest {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ds
}

// keepsNone reports whether this node keeps no copy of what executor made.
func (r *run) keepsNone(executor peer.ID) bool {
	return r.req.Modes.Copies == steal.MakerKeeps && executor != r.opts.Self
}

// newcomers are the blobs of a result that were not here before it was brought:
// what is in a directory is known only when its listing has come.
type newcomers struct {
	ctx   context.Context
	run   *run
	lacks []digest.Digest
	err   error
}

// hold holds blobs that are about to be brought.
func (n *newcomers) hold(ds ...digest.Digest) {
	n.run.lease.Hold(ds...)
	has, err := n.run.opts.Store.Has(n.ctx, ds)
	if err != nil {
		n.err = err
		return
	}
	for i, d := range ds {
		if !has[i] {
			n.lacks = append(n.lacks, d)
		}
	}
}

// bring is fetch, where this node keeps no copy of what it brings.
func (r *run) bring(ctx context.Context, res *action.Result, holders []peer.ID) error {
	n := &newcomers{ctx: ctx, run: r}
	err := r.fetchAnd(ctx, res, holders, n.hold)
	r.brought.add(n.lacks)
	return errors.Join(err, n.err)
}

// letGo drops what is kept elsewhere, when the build needs it no more. What
// another build needs stays.
func (r *run) letGo(ctx context.Context) {
	ds := r.brought.all()
	if len(ds) == 0 || r.opts.Drop == nil {
		return
	}
	if err := r.opts.Drop(context.WithoutCancel(ctx), ds...); err != nil {
		r.opts.Log.Warn("copies of outputs are not dropped", "build", r.req.ID, "error", err)
	}
}

// cache keeps a result that is here with all its outputs, and tells the mesh as
// far as the profile says.
func (r *run) cache(ctx context.Context, e action.Entry, blobs []digest.Digest) error {
	if r.req.Modes.Exchange == steal.TakeOnly {
		if r.opts.Private == nil {
			return nil
		}
		return r.opts.Private.Put(ctx, e)
	}
	if err := r.opts.Actions.Put(ctx, e); err != nil {
		return err
	}
	if !r.keepsNone(e.Executor) {
		r.opts.Provide(blobs...)
	}
	return nil
}

// entryOf returns the own result of an action, or store.ErrNotFound.
func (r *run) entryOf(ctx context.Context, a digest.Digest) (action.Entry, error) {
	e, err := r.opts.Actions.Get(ctx, a)
	if errors.Is(err, store.ErrNotFound) && r.opts.Private != nil {
		return r.opts.Private.Get(ctx, a)
	}
	return e, err
}

// closureOf returns the blobs of a known result. Where this node keeps no copies
// it brings them from who made them, as long as that one answers.
func (r *run) closureOf(ctx context.Context, e *action.Entry) ([]digest.Digest, error) {
	blobs, err := store.Closure(ctx, r.opts.Store, &e.Result)
	if !errors.Is(err, store.ErrNotFound) || !r.keepsNone(e.Executor) || r.req.Modes.Local || r.silent[e.Executor] {
		return blobs, err
	}
	if ferr := r.bring(ctx, &e.Result, []peer.ID{e.Executor}); ferr != nil {
		r.silent[e.Executor] = true
		return nil, err
	}
	return store.Closure(ctx, r.opts.Store, &e.Result)
}
