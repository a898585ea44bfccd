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
	"sync"
	"time"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/event"
)

// EndWithin is how long a build that was interrupted may take to end, with the
// summary of what it had done.
const EndWithin = 2 * time.Second

// Build runs a build and calls each with its events, encoded, as they come.
// When ctx ends, the build is interrupted; its last events still come, or
// Build returns after EndWithin with ctx's error. Build returns nil when the
// build ran to its end, whatever came of it; an *api.Error when there was
// none; and ErrLost. Whatever Build returns, the build has ended or is ending.
func (c *Client) Build(ctx context.Context, r api.BuildRequest, each func(line []byte) error) error {
	return c.stream(ctx, "/v1/build", r, each)
}

// stream makes a request whose answer is events.
func (c *Client) stream(ctx context.Context, path string, r any, each func(line []byte) error) error {
	conn, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	defer interrupt(ctx, conn)()
	err = exchange(conn, path, r, each)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("build: %w", ctx.Err())
	}
	return err
}

// interrupt watches ctx. At its end it closes the writing side, which ends the
// build and lets its last events through, and the other one in the end. The
// function that it returns ends the watch.
func interrupt(ctx context.Context, conn net.Conn) func() {
	var (
		mu  sync.Mutex
		end *time.Timer
	)
	stop := context.AfterFunc(ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		end = time.AfterFunc(EndWithin, func() { _ = conn.Close() })
		if half, ok := conn.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
			_ = conn.Close()
		}
	})
	return func() {
		stop()
		mu.Lock()
		defer mu.Unlock()
		if end != nil {
			end.Stop()
		}
	}
}

// exchange speaks HTTP itself: a transport of package http could not close one
// side of a connection.
func exchange(conn net.Conn, path string, r any, each func(line []byte) error) error {
	body, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	req, err := http.NewRequest(http.MethodPost, "http://node"+path, bytes.NewReader(body)) //nolint:noctx // the connection ends with it
	if err != nil {
		return fmt.Errorf("ask for a build: %w", err)
	}
	if err := req.Write(conn); err != nil {
		return fmt.Errorf("%w: %w", ErrUnanswered, err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnanswered, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refusal(resp)
	}
	return follow(resp.Body, each)
}

// follow reads events until the stream ends.
func follow(stream io.Reader, each func(line []byte) error) error {
	lines := bufio.NewReaderSize(stream, 64<<10)
	ended := false
	for {
		line, err := readLine(lines)
		switch {
		case errors.Is(err, io.EOF) && ended:
			return nil
		case errors.Is(err, errLongLine):
			return fmt.Errorf("read the events of a build: %w", err)
		case err != nil:
			return fmt.Errorf("%w: %w", ErrLost, err)
		}
		kind := kindOf(line)
		if kind == api.ErrorEvent {
			return errorOf(line)
		}
		ended = kind == event.BuildFinished{}.Kind()
		if err := each(line); err != nil {
			return err
		}
	}
}
