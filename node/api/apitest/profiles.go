package apitest

import (
	"context"

	"github.com/buildnet/buildnet/node/api"
)

// Profiles implements api.Profiling.
func (n *Node) Profiles(context.Context) (api.Profiles, error) { return n.ProfilesAre, n.Err }

// SaveProfile implements api.Profiling.
func (n *Node) SaveProfile(_ context.Context, r api.ProfileFile) (api.ProfileFile, error) {
	n.note(r)
	return r, n.Err
}

// UseProfile implements api.Profiling.
func (n *Node) UseProfile(_ context.Context, r api.UseProfileRequest) (api.Profiles, error) {
	n.note(r)
	return n.ProfilesAre, n.Err
}

// Distribute implements api.Profiling.
func (n *Node) Distribute(_ context.Context, r api.DistributeRequest) (api.Profiles, error) {
	n.note(r)
	return n.ProfilesAre, n.Err
}
