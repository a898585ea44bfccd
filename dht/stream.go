package dht

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/buildnet/buildnet/dht/dhtpb"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/mesh/wire"
)

// paced is a stream whose other end must make progress.
type paced struct {
	peer.Stream
	r     *bufio.Reader
	since int // bytes read since the deadline was set
	// patience is what the answer may take on top of stall.
	patience time.Duration
}

const (
	// stall is how long a peer may make no progress before it counts as hung.
	stall = 3 * time.Second
	// progress is how many bytes within stall are progress: a peer that
	// trickles is as good as hung, and 5 KiB/s is below every usable link.
	progress = 16 << 10
)

func openPaced(ctx context.Context, n peer.Network, id peer.ID) (*paced, error) {
	ctx, cancel := context.WithTimeout(ctx, stall)
	defer cancel()
	s, err := n.Open(ctx, id, Protocol)
	if err != nil {
		return nil, err
	}
	p := &paced{Stream: s}
	p.r = bufio.NewReaderSize(p, 64<<10)
	return p, nil
}

// Read sets the deadline anew after each progress.
func (p *paced) Read(b []byte) (int, error) {
	if p.since >= progress || p.since == 0 {
		p.since = 0
		if err := p.SetDeadline(time.Now().Add(stall + p.patience)); err != nil {
			return 0, err
		}
	}
	n, err := p.Stream.Read(b)
	p.since += n
	return n, err
}

func (p *paced) send(req *dhtpb.Request) error {
	if err := p.SetDeadline(time.Now().Add(stall)); err != nil {
		return err
	}
	return wire.Write(p.Stream, req)
}

// receive reads the next answer.
func (p *paced) receive(resp *dhtpb.Response) error {
	p.since = 0
	return wire.Read(p.r, resp, wire.MaxFrame)
}

// maxIdle streams a peer are kept for the next large read.
const maxIdle = 4

// bulk are the streams that carry one large read at a time.
type bulk struct {
	net peer.Network

	mu     sync.Mutex
	closed bool
	idle   map[peer.ID][]*paced
}

func newBulk(n peer.Network) *bulk { return &bulk{net: n, idle: map[peer.ID][]*paced{}} }

func (b *bulk) take(id peer.ID) *paced {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.idle[id]
	if len(list) == 0 {
		return nil
	}
	last := list[len(list)-1]
	b.idle[id] = list[:len(list)-1]
	return last
}

func (b *bulk) put(id peer.ID, s *paced) {
	b.mu.Lock()
	full := b.closed || len(b.idle[id]) >= maxIdle
	if !full {
		b.idle[id] = append(b.idle[id], s)
	}
	b.mu.Unlock()
	if full {
		_ = s.Close()
	}
}

func (b *bulk) close() {
	b.mu.Lock()
	all := b.idle
	b.idle, b.closed = nil, true
	b.mu.Unlock()
	for _, list := range all {
		for _, s := range list {
			_ = s.Close()
		}
	}
}

// errAbsent says that a peer does not hold the blob, or no longer.
var errAbsent = errors.New("it does not hold the blob")

// read is a request whose answer is length bytes without a frame.
type read struct {
	req    *dhtpb.Request
	length int64
	// patience is what the peer may need before it answers.
	patience time.Duration
}

// read asks a peer and gives the bytes to body, which must read all. A kept stream may have broken meanwhile, so a failure
// before the answer is tried again on the next one.
func (b *bulk) read(ctx context.Context, id peer.ID, what read, body func(io.Reader) error) error {
	for {
		s := b.take(id)
		kept := s != nil
		if !kept {
			var err error
			if s, err = openPaced(ctx, b.net, id); err != nil {
				return fmt.Errorf("read from %s: %w", id, err)
			}
		}
		answered, err := b.exchange(ctx, id, s, what, body)
		if err == nil {
			return nil
		}
		if answered || !kept || ctx.Err() != nil {
			return fmt.Errorf("read from %s: %w", id, err)
		}
	}
}

func (b *bulk) exchange(ctx context.Context, id peer.ID, s *paced, what read, body func(io.Reader) error) (answered bool, err error) {
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	whole := false
	defer func() {
		if !stop() || !whole {
			_ = s.Reset()
			return
		}
		b.put(id, s)
	}()
	if err := s.send(what.req); err != nil {
		return false, err
	}
	var resp dhtpb.Response
	s.patience = what.patience
	err = s.receive(&resp)
	s.patience = 0
	if err != nil {
		return false, err
	}
	here, err := present(&resp, 1)
	if err != nil {
		return true, err
	}
	if !here[0] {
		whole = true
		return true, errAbsent
	}
	s.since = 0
	r := &io.LimitedReader{R: s.r, N: what.length}
	if err := body(r); err != nil {
		return true, err
	}
	whole = r.N == 0
	return true, nil
}
