package apitest

import (
	"context"

	"github.com/buildnet/buildnet/node/api"
)

// Lend implements api.Node: what Status tells of it changes.
func (n *Node) Lend(_ context.Context, r api.LendRequest) (api.Lent, error) {
	n.note(r)
	n.mu.Lock()
	defer n.mu.Unlock()
	if r.Share != nil {
		n.StatusIs.Lent.Share = *r.Share
	}
	if r.Yield != nil {
		n.StatusIs.Lent.Yield = *r.Yield
	}
	return n.StatusIs.Lent, n.Err
}
