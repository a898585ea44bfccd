package client

import (
	"context"
	"net/http"

	"github.com/buildnet/buildnet/node/api"
)

// Lend changes what the machine's owner leaves to the builds of others.
func (c *Client) Lend(ctx context.Context, r api.LendRequest) (api.Lent, error) {
	return call[api.Lent](ctx, c, http.MethodPost, "/v1/lend", r)
}
