package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/event"
)

// Invoke runs an invocation as Build does a build: until EndInvocation, or until
// ctx ends. Its first event is event.BuildStarted, with its ID.
func (c *Client) Invoke(ctx context.Context, r api.InvocationRequest, each func(line []byte) error) error {
	return c.stream(ctx, "/v1/invocations", r, each)
}

// EndInvocation says that no more commands come, and what came of it all.
func (c *Client) EndInvocation(ctx context.Context, id string, e api.InvocationEnd) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, invocationPath(id, "end"), e)
	return err
}

func invocationPath(id, what string) string {
	return "/v1/invocations/" + url.PathEscape(id) + "/" + what
}

// RunCommand runs one command of an invocation. Where the result has Local, the
// caller runs the command and then calls Release. When ctx ends before there is a
// result, nobody needs it any more.
func (c *Client) RunCommand(ctx context.Context, id string, command api.Command) (api.CommandResult, error) {
	body, err := command.Encode()
	if err != nil {
		return api.CommandResult{}, err
	}
	// The connection of a slot outlives this call.
	held, release := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, release)
	res, err := c.runCommand(held, id, body)
	if !stop() && err != nil {
		err = ctx.Err()
	}
	if err != nil || len(res.Local) == 0 {
		release()
		return res, err
	}
	closeAnswer := res.Release
	res.Release = func() { closeAnswer(); release() }
	return res, nil
}

func (c *Client) runCommand(ctx context.Context, id string, body []byte) (api.CommandResult, error) {
	var res api.CommandResult
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://node"+invocationPath(id, "run"), bytes.NewReader(body))
	if err != nil {
		return res, fmt.Errorf("run a command: %w", err)
	}
	req.Header.Set("Content-Type", api.CommandType)
	resp, err := c.http.Do(req)
	if err != nil {
		return res, unwrapURL(err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return res, refusal(resp)
	}
	from := bufio.NewReader(resp.Body)
	if err = res.ReadOutcome(from); err == nil && len(res.Local) > 0 {
		res.Release = func() { _ = resp.Body.Close() }
		return res, nil
	}
	defer resp.Body.Close()
	if err == nil {
		err = readRun(resp.Header, from, &res)
	}
	return res, err
}

// readRun reads what is told of a command that was run.
func readRun(h http.Header, from io.Reader, res *api.CommandResult) (err error) {
	res.How, res.Peer, res.Action = event.Status(h.Get(api.HowHeader)), h.Get(api.PeerHeader), h.Get(api.ActionHeader)
	if res.RunMS, err = strconv.ParseInt(h.Get(api.RunMSHeader), 10, 64); err != nil {
		return fmt.Errorf("read how long a command ran: %w", err)
	}
	if res.Output, err = io.ReadAll(io.LimitReader(from, api.MaxCommandOutput+1)); err != nil {
		return fmt.Errorf("read what a command printed: %w", err)
	}
	if len(res.Output) > api.MaxCommandOutput {
		return errors.New("read what a command printed: too much")
	}
	return nil
}
