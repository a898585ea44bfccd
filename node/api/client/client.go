// Package client speaks to a node over its socket. Start reading at New.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/config"
	"github.com/buildnet/buildnet/node/event"
)

const (
	// maxAnswer bounds an answer in bytes; a build's record with all its
	// events is the largest.
	maxAnswer = 256 << 20
	// dialTime is how long a node may take to accept: it does so at once, or
	// it hangs.
	dialTime = 5 * time.Second
)

var (
	// ErrNoNode says that no node serves the socket.
	ErrNoNode = errors.New("no node is running")
	// ErrDenied says that a node is there and this user may not use it.
	ErrDenied = errors.New("no permission to use the node")
	// ErrLost says that the connection ended before the build did.
	ErrLost = errors.New("the connection to the node broke")
	// ErrUnanswered is an ErrLost before the node had answered at all, as when it
	// was about to end.
	ErrUnanswered = fmt.Errorf("%w before it answered", ErrLost)
)

// Client is a client of one node. Its methods may be called concurrently.
// Errors are *api.Error when the node gave them.
type Client struct {
	socket string
	http   *http.Client
}

// New returns the client of the node whose home this is. It connects when it is
// first used.
func New(home string) *Client {
	c := &Client{socket: filepath.Join(home, config.SocketName)}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return c.dial(ctx) },
		DisableKeepAlives:  true, // a command has one or two requests
		DisableCompression: true,
	}}
	return c
}

// Socket returns the path of the node's socket.
func (c *Client) Socket() string { return c.socket }

func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTime}
	conn, err := d.DialContext(ctx, "unix", c.socket)
	switch {
	case err == nil:
		return conn, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EINVAL):
		// EINVAL: the path is longer than that of any socket. Who starts a node
		// there is told.
		return nil, fmt.Errorf("%w at %s", ErrNoNode, c.socket)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%w at %s; join the group %s, or choose another --home", ErrDenied, c.socket, config.SystemGroup)
	default:
		return nil, fmt.Errorf("connect to the node: %w", err)
	}
}

// Probe returns nil if a node serves the socket.
func (c *Client) Probe(ctx context.Context) error {
	conn, err := c.dial(ctx)
	if err != nil {
		return err
	}
	_ = conn.Close()
	return nil
}

// Health returns whether the node takes builds, and how many run.
func (c *Client) Health(ctx context.Context) (api.Health, error) {
	return call[api.Health](ctx, c, http.MethodGet, "/health", nil)
}

// Status returns how the node is.
func (c *Client) Status(ctx context.Context) (api.Status, error) {
	return call[api.Status](ctx, c, http.MethodGet, "/status", nil)
}

// Members returns everybody known in the mesh.
func (c *Client) Members(ctx context.Context) ([]api.Member, error) {
	return call[[]api.Member](ctx, c, http.MethodGet, "/v1/members", nil)
}

// Invite makes a token.
func (c *Client) Invite(ctx context.Context, r api.InviteRequest) (api.Invitation, error) {
	return call[api.Invitation](ctx, c, http.MethodPost, "/v1/mesh/invite", r)
}

// Leave takes the node out of its mesh.
func (c *Client) Leave(ctx context.Context) (api.Left, error) {
	return call[api.Left](ctx, c, http.MethodPost, "/v1/mesh/leave", nil)
}

// Revoke shuts a peer out of the mesh.
func (c *Client) Revoke(ctx context.Context, r api.RevokeRequest) (api.Revoked, error) {
	return call[api.Revoked](ctx, c, http.MethodPost, "/v1/mesh/revoke", r)
}

// Down asks the node to end; it may still run when Down returns.
func (c *Client) Down(ctx context.Context) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, "/v1/down", nil)
	return err
}

// Builds returns the newest records of builds; all if limit is 0.
func (c *Client) Builds(ctx context.Context, limit int) ([]api.BuildRecord, error) {
	return call[[]api.BuildRecord](ctx, c, http.MethodGet, "/v1/builds?limit="+strconv.Itoa(limit), nil)
}

// ShowBuild returns one record with its events.
func (c *Client) ShowBuild(ctx context.Context, id string) (api.BuildRecord, error) {
	return call[api.BuildRecord](ctx, c, http.MethodGet, "/v1/builds/"+url.PathEscape(id), nil)
}

// Recording returns what a simulator needs to replay a build.
func (c *Client) Recording(ctx context.Context, id string) (event.Recording, error) {
	return call[event.Recording](ctx, c, http.MethodGet, "/v1/builds/"+url.PathEscape(id)+"/recording", nil)
}

// Explain returns why a step of a build was run, and where.
func (c *Client) Explain(ctx context.Context, id, step string) (event.Explanation, error) {
	return call[event.Explanation](ctx, c, http.MethodGet, "/v1/builds/"+url.PathEscape(id)+"/explain?step="+url.QueryEscape(step), nil)
}

// CacheStats returns what the node's store holds.
func (c *Client) CacheStats(ctx context.Context) (api.CacheStats, error) {
	return call[api.CacheStats](ctx, c, http.MethodGet, "/v1/cache", nil)
}

// VerifyCache hashes everything that the store holds.
func (c *Client) VerifyCache(ctx context.Context) (api.CacheVerified, error) {
	return call[api.CacheVerified](ctx, c, http.MethodPost, "/v1/cache/verify", nil)
}

// ClearCache empties the store.
func (c *Client) ClearCache(ctx context.Context) (api.CacheCleared, error) {
	return call[api.CacheCleared](ctx, c, http.MethodPost, "/v1/cache/clear", nil)
}

// Stream is a connection that carries a tree's file operations.
type Stream = io.ReadWriteCloser

// OfferTree gives the node a stream over which it asks this process for file
// operations; a build names it by its ID. The caller closes it after the build.
func (c *Client) OfferTree(ctx context.Context) (id string, s Stream, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://node/v1/trees", nil)
	if err != nil {
		return "", nil, fmt.Errorf("offer a tree: %w", err)
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", api.TreeProtocol)
	resp, err := c.http.Do(req)
	if err != nil {
		return "", nil, unwrapURL(err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		defer resp.Body.Close()
		return "", nil, refusal(resp)
	}
	stream, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		_ = resp.Body.Close()
		return "", nil, errors.New("offer a tree: the connection was not upgraded")
	}
	return resp.Header.Get(api.TreeHeader), stream, nil
}

// call makes one request and decodes its answer.
func call[T any](ctx context.Context, c *Client, method, path string, request any) (T, error) {
	var answer T
	resp, err := c.do(ctx, method, path, request)
	if err != nil {
		return answer, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&answer); err != nil {
		return answer, fmt.Errorf("read the node's answer to %s: %w", path, err)
	}
	return answer, nil
}

// do returns a response whose status is 200.
func (c *Client) do(ctx context.Context, method, path string, request any) (*http.Response, error) {
	var body io.Reader
	if request != nil {
		encoded, err := json.Marshal(request)
		if err != nil {
			return nil, fmt.Errorf("encode request %s: %w", path, err)
		}
		body = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://node"+path, body)
	if err != nil {
		return nil, fmt.Errorf("request %s: %w", path, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, unwrapURL(err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, refusal(resp)
	}
	return resp, nil
}
