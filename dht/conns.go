package dht

import (
	"bufio"
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/dht/dhtpb"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/mesh/wire"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// maxIdle streams a peer are kept for the next request.
	maxIdle = 4
	// stall is how long a peer may send nothing before it counts as hung.
	stall = 2 * time.Second
	// maxBatch digests go in one request: with 43 bytes each, 172 KiB.
	maxBatch = 4096
)

// conn is one long-lived stream, used by one request at a time.
type conn struct {
	peer.Stream
	r *bufio.Reader
}

// Read lets the peer be silent for stall at most.
func (c *conn) Read(b []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(stall)); err != nil {
		return 0, err
	}
	return c.Stream.Read(b)
}

type conns struct {
	net  peer.Network
	mu   sync.Mutex
	idle map[peer.ID][]*conn
}

func newConns(n peer.Network) *conns { return &conns{net: n, idle: map[peer.ID][]*conn{}} }

func (c *conns) take(id peer.ID) *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.idle[id]
	if len(list) == 0 {
		return nil
	}
	last := list[len(list)-1]
	c.idle[id] = list[:len(list)-1]
	return last
}

func (c *conns) put(id peer.ID, s *conn) {
	c.mu.Lock()
	full := len(c.idle[id]) >= maxIdle
	if !full {
		c.idle[id] = append(c.idle[id], s)
	}
	c.mu.Unlock()
	if full {
		_ = s.Close()
	}
}

func (c *conns) closeIdle() {
	c.mu.Lock()
	all := c.idle
	c.idle = map[peer.ID][]*conn{}
	c.mu.Unlock()
	for _, list := range all {
		for _, s := range list {
			_ = s.Close()
		}
	}
}

// ask sends one request, and gives body the answer and the stream behind it.
// A kept stream may have broken meanwhile, so a failure before the answer is
// tried once more on a new one.
func (c *conns) ask(ctx context.Context, id peer.ID, op dhtpb.Request_Op, ds []digest.Digest, body func(*dhtpb.Response, *conn) error) error {
	req := &dhtpb.Request{Op: op}
	for _, d := range ds {
		req.Digests = append(req.Digests, d.Binary())
	}
	kept := c.take(id)
	if kept != nil {
		answered, err := c.exchange(ctx, id, kept, req, body)
		if err == nil || answered || ctx.Err() != nil {
			return err
		}
	}
	openCtx, cancel := context.WithTimeout(ctx, stall)
	defer cancel()
	s, err := c.net.Open(openCtx, id, Protocol)
	if err != nil {
		return fmt.Errorf("ask %s: %w", id, err)
	}
	fresh := &conn{Stream: s}
	fresh.r = bufio.NewReaderSize(fresh, 64<<10)
	_, err = c.exchange(ctx, id, fresh, req, body)
	return err
}

func (c *conns) exchange(ctx context.Context, id peer.ID, s *conn, req proto.Message, body func(*dhtpb.Response, *conn) error) (answered bool, err error) {
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer func() {
		if !stop() || err != nil {
			_ = s.Reset()
			return
		}
		c.put(id, s)
	}()
	if err := s.SetDeadline(time.Now().Add(stall)); err != nil {
		return false, fmt.Errorf("ask %s: %w", id, err)
	}
	if err := wire.Write(s, req); err != nil {
		return false, fmt.Errorf("ask %s: %w", id, err)
	}
	var resp dhtpb.Response
	if err := wire.Read(s.r, &resp, wire.MaxFrame); err != nil {
		return false, fmt.Errorf("ask %s: %w", id, err)
	}
	if err := body(&resp, s); err != nil {
		return true, fmt.Errorf("ask %s: %w", id, err)
	}
	return true, nil
}
