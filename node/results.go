package node

import (
	"context"
	"fmt"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/registry"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/actions"
	"github.com/buildnet/buildnet/store/digest"
)

// ownResults is the action cache as other members see it: a result of this node
// was put there without a look at its signature if nobody else was in the mesh.
type ownResults struct {
	*actions.Cache
	self     peer.ID
	solitary func() bool
}

var _ registry.Store = ownResults{}

// Get implements registry.Store. A result whose signature turns out to be bad goes,
// and was not there.
func (r ownResults) Get(ctx context.Context, a digest.Digest) (action.Entry, error) {
	e, err := r.Cache.Get(ctx, a)
	if err != nil || e.Executor != r.self || r.solitary() {
		return e, err
	}
	if err := e.Verify(); err != nil {
		if err := r.Delete(a); err != nil {
			return action.Entry{}, err
		}
		return action.Entry{}, fmt.Errorf("own result of %v: %w: %w", a, err, store.ErrNotFound)
	}
	return e, nil
}
