package dht

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/buildnet/buildnet/dht/dhtpb"
	"github.com/buildnet/buildnet/mesh/peer"
)

const (
	// maxLanes long-lived streams go to a peer for questions and small blobs.
	maxLanes = 4
	// maxCalls of one peer wait for their answers at once, on all lanes.
	maxCalls = 8 * maxLanes
)

var errClosed = errors.New("this node stops")

// lanes are the long-lived streams on which requests follow one another
// without waiting for answers.
type lanes struct {
	net   peer.Network
	ended func(peer.ID, error) // sees how each call ended, also abandoned ones
	calls sync.WaitGroup       // guarded by mu against Add after close
	// life ends with close, so that no stream is opened for nobody.
	life context.Context
	end  context.CancelFunc

	mu     sync.Mutex
	closed bool
	peers  map[peer.ID]*peerLanes
}

type peerLanes struct {
	slots *semaphore.Weighted
	lanes []*lane // at most maxLanes; guarded by lanes.mu
}

func newLanes(n peer.Network, ended func(peer.ID, error)) *lanes {
	life, end := context.WithCancel(context.Background())
	return &lanes{net: n, ended: ended, life: life, end: end, peers: map[peer.ID]*peerLanes{}}
}

// call sends req to a peer and fills resp. A call whose ctx ends returns, but
// its answer is still read in the background, for the sake of those behind it
// on the lane; only a peer that makes no progress breaks a lane.
func (l *lanes) call(ctx context.Context, id peer.ID, req *dhtpb.Request) (*dhtpb.Response, error) {
	p := l.of(id)
	if err := p.slots.Acquire(ctx, 1); err != nil {
		return nil, fmt.Errorf("ask %s: %w", id, err)
	}
	type answer struct {
		resp *dhtpb.Response
		err  error
	}
	answered := make(chan answer, 1)
	if !l.background(func() {
		defer p.slots.Release(1)
		resp, err := l.retry(id, p, req)
		l.ended(id, err)
		answered <- answer{resp, err}
	}) {
		p.slots.Release(1)
		return nil, fmt.Errorf("ask %s: %w", id, errClosed)
	}
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("ask %s: %w", id, ctx.Err())
	case a := <-answered:
		if a.err != nil {
			return nil, fmt.Errorf("ask %s: %w", id, a.err)
		}
		return a.resp, nil
	}
}

func (l *lanes) background(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.calls.Go(f)
	return true
}

func (l *lanes) of(id peer.ID) *peerLanes {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, ok := l.peers[id]
	if !ok {
		p = &peerLanes{slots: semaphore.NewWeighted(maxCalls)}
		l.peers[id] = p
	}
	return p
}

// retry tries again where a kept stream turned out to be broken: it may have
// been so for long. A new stream that fails, and silence, are answers.
func (l *lanes) retry(id peer.ID, p *peerLanes, req *dhtpb.Request) (*dhtpb.Response, error) {
	for {
		c, err := l.pick(p)
		if err != nil {
			return nil, err
		}
		resp, fresh, err := c.exchange(l.life, l.net, id, req)
		l.leave(p, c, err)
		if err == nil || fresh || errors.Is(err, os.ErrDeadlineExceeded) {
			return resp, err
		}
	}
}

// pick returns the lane with the fewest calls on it, a new one where all are
// busy and there may be more.
func (l *lanes) pick(p *peerLanes) (*lane, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errClosed
	}
	var best *lane
	for _, c := range p.lanes {
		if best == nil || c.users < best.users {
			best = c
		}
	}
	if best == nil || best.users > 0 && len(p.lanes) < maxLanes {
		best = newLane()
		p.lanes = append(p.lanes, best)
	}
	best.users++
	return best, nil
}

func (l *lanes) leave(p *peerLanes, c *lane, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.users--
	if err != nil {
		p.lanes = slices.DeleteFunc(p.lanes, func(other *lane) bool { return other == c })
	}
}

// close breaks every lane and waits for the calls on them.
func (l *lanes) close() {
	l.mu.Lock()
	l.closed = true
	var all []*lane
	for _, p := range l.peers {
		all = append(all, p.lanes...)
	}
	l.mu.Unlock()
	l.end()
	for _, c := range all {
		c.shut()
	}
	l.calls.Wait()
}

// lane is one stream. Calls take turns to write and turns to read, in one
// order: the turn of each begins when the channel that the one before left in
// the tail is closed.
type lane struct {
	users int // guarded by lanes.mu

	mu                  sync.Mutex
	writeTail, readTail chan struct{}
	stream              *paced // nil before the first write
	broken              error
}

func newLane() *lane {
	ready := make(chan struct{})
	close(ready)
	return &lane{writeTail: ready, readTail: ready}
}

// exchange sends req in its turn and reads the answer in its turn. fresh says
// that trying again promises nothing: this call opened the stream, or one
// before it could not. Otherwise those who wait behind that one would each
// spend the time of an open, one after the other.
func (c *lane) exchange(life context.Context, n peer.Network, id peer.ID, req *dhtpb.Request) (_ *dhtpb.Response, fresh bool, err error) {
	c.mu.Lock()
	beforeWrite, beforeRead := c.writeTail, c.readTail
	wrote, read := make(chan struct{}), make(chan struct{})
	c.writeTail, c.readTail = wrote, read
	c.mu.Unlock()
	defer close(read)

	<-beforeWrite
	s, fresh, err := c.open(life, n, id)
	if err == nil {
		err = s.send(req)
	}
	if err != nil {
		c.fail(err)
	}
	close(wrote)
	<-beforeRead
	if err := c.failure(); err != nil {
		return nil, fresh, err
	}
	var resp dhtpb.Response
	if err := s.receive(&resp); err != nil {
		c.fail(err)
		return nil, fresh, err
	}
	return &resp, fresh, nil
}

func (c *lane) open(life context.Context, n peer.Network, id peer.ID) (s *paced, fresh bool, err error) {
	c.mu.Lock()
	s, err = c.stream, c.broken
	c.mu.Unlock()
	if s != nil || err != nil {
		return s, s == nil, err
	}
	s, err = openPaced(life, n, id)
	if err != nil {
		return nil, true, err
	}
	c.mu.Lock()
	c.stream = s
	broken := c.broken
	c.mu.Unlock()
	if broken != nil {
		_ = s.Reset()
	}
	return s, true, broken
}

func (c *lane) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken
}

func (c *lane) fail(err error) {
	c.mu.Lock()
	if c.broken == nil {
		c.broken = err
	}
	s := c.stream
	c.mu.Unlock()
	if s != nil {
		_ = s.Reset()
	}
}

func (c *lane) shut() { c.fail(errClosed) }
