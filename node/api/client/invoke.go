package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

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

// FailCommand says how a command failed that the caller was to run.
func (c *Client) FailCommand(ctx context.Context, id string, f api.CommandFailure) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, invocationPath(id, "failed"), f)
	return err
}

func invocationPath(id, what string) string {
	return "/v1/invocations/" + url.PathEscape(id) + "/" + what
}

// releaseTime bounds how long a node may take to see what a command has changed.
const releaseTime = 10 * time.Second

// RunCommand runs one command of an invocation. Where the result has Local, the
// caller runs the command and then calls Release: when that returns, the node
// knows what the command may have changed. When ctx ends before there is a
// result, nobody needs it any more.
func (c *Client) RunCommand(ctx context.Context, id string, command api.Command) (api.CommandResult, error) {
	body, err := command.Encode()
	if err != nil {
		return api.CommandResult{}, err
	}
	conn, err := c.dial(ctx)
	if err != nil {
		return api.CommandResult{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	res, err := runCommand(conn, id, body)
	if !stop() {
		err = ctx.Err()
	}
	if err != nil || len(res.Local) == 0 {
		_ = conn.Close()
		return res, err
	}
	res.Release = sync.OnceFunc(func() { giveBack(conn) })
	return res, nil
}

// Made tells what a command made that this process has run to its good end, and
// returns when that may be used.
func (c *Client) Made(ctx context.Context, id, ticket string, m api.Made) (kept api.Kept, err error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return kept, err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	path := invocationPath(id, "made/"+url.PathEscape(ticket)) + fmt.Sprintf("?cpu_us=%d&rss=%d", m.CPU.Microseconds(), m.MaxRSS)
	req, err := http.NewRequest(http.MethodPost, "http://node"+path, bytes.NewReader(m.Output)) //nolint:noctx // the connection ends with it
	if err != nil {
		return kept, fmt.Errorf("tell what a command made: %w", err)
	}
	req.Header.Set("Content-Type", api.CommandType)
	if err := req.Write(conn); err != nil {
		return kept, fmt.Errorf("%w: %w", ErrUnanswered, err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		return kept, fmt.Errorf("%w: %w", ErrUnanswered, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return kept, refusal(resp)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxKept)).Decode(&kept); err != nil {
		return kept, fmt.Errorf("read what became of what a command made: %w", err)
	}
	return kept, nil
}

// maxKept bounds what is told of what a command made, in bytes.
const maxKept = 64 << 10

// giveBack ends the connection of a slot, and waits until the node has done so as
// well.
func giveBack(conn net.Conn) {
	if half, ok := conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_ = conn.SetReadDeadline(time.Now().Add(releaseTime))
		_, _ = io.Copy(io.Discard, conn) // nothing comes but its end
	}
	_ = conn.Close()
}

// runCommand speaks HTTP itself, as exchange does.
func runCommand(conn net.Conn, id string, body []byte) (api.CommandResult, error) {
	var res api.CommandResult
	req, err := http.NewRequest(http.MethodPost, "http://node"+invocationPath(id, "run"), bytes.NewReader(body)) //nolint:noctx // the connection ends with it
	if err != nil {
		return res, fmt.Errorf("run a command: %w", err)
	}
	req.Header.Set("Content-Type", api.CommandType)
	if err := req.Write(conn); err != nil {
		return res, fmt.Errorf("%w: %w", ErrUnanswered, err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		return res, fmt.Errorf("%w: %w", ErrUnanswered, err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return res, refusal(resp)
	}
	// Not closed where the command is to run here: that would wait for the end.
	from := bufio.NewReader(resp.Body)
	if err = res.ReadOutcome(from); err == nil && len(res.Local) > 0 {
		res.Ticket = resp.Header.Get(api.TicketHeader)
		res.Step, err = url.PathUnescape(resp.Header.Get(api.StepHeader))
		return res, err
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
