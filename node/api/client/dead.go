package client

import (
	"context"
	"net/http"

	"github.com/buildnet/buildnet/node/api"
)

// DeadLetters returns the steps that were given up though their commands did not
// fail, the newest first.
func (c *Client) DeadLetters(ctx context.Context) ([]api.DeadLetter, error) {
	return call[[]api.DeadLetter](ctx, c, http.MethodGet, "/v1/queue/dead", nil)
}
