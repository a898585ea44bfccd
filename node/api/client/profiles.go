package client

import (
	"context"
	"net/http"

	"github.com/buildnet/buildnet/node/api"
)

// Profiles returns what the node knows of profiles.
func (c *Client) Profiles(ctx context.Context) (api.Profiles, error) {
	return call[api.Profiles](ctx, c, http.MethodGet, "/v1/profiles", nil)
}

// SaveProfile keeps a profile in the node's home.
func (c *Client) SaveProfile(ctx context.Context, r api.ProfileFile) (api.ProfileFile, error) {
	return call[api.ProfileFile](ctx, c, http.MethodPost, "/v1/profiles", r)
}

// UseProfile makes the builds of this machine use a profile.
func (c *Client) UseProfile(ctx context.Context, r api.UseProfileRequest) (api.Profiles, error) {
	return call[api.Profiles](ctx, c, http.MethodPost, "/v1/profiles/use", r)
}

// Distribute makes the builds of all members use a profile.
func (c *Client) Distribute(ctx context.Context, r api.DistributeRequest) (api.Profiles, error) {
	return call[api.Profiles](ctx, c, http.MethodPost, "/v1/mesh/profile", r)
}
