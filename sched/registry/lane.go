package registry

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/mesh/wire"
	"github.com/buildnet/buildnet/sched/claim"
	"github.com/buildnet/buildnet/sched/pace"
	"github.com/buildnet/buildnet/sched/schedpb"
)

const (
	// openTime bounds how long a stream to an owner may take to open.
	openTime = 2 * time.Second
	// beatEvery is how often an owner that owes an answer is asked for a sign
	// of life; patience is how long it may give none.
	beatEvery = 500 * time.Millisecond
	patience  = 2 * time.Second
	// coolOff is how long an owner that did not answer is passed over: until
	// membership knows of its death, questions need not wait for it.
	coolOff = 2 * time.Second
	// idleTime closes a stream that carries nothing.
	idleTime = time.Minute
	// maxOwed answers of one peer are waited for at once.
	maxOwed = 1 << 14
)

var (
	errSilent = errors.New("it gives no sign of life")
	errBusy   = errors.New("too many questions are open")
	errCold   = errors.New("it did not answer a moment ago")
)

// lanes are the streams to owners, one for each, opened when it is needed.
type lanes struct {
	net  peer.Network
	life context.Context
	end  context.CancelFunc

	mu      sync.Mutex
	closed  bool
	peers   map[peer.ID]*lane
	cold    map[peer.ID]time.Time // until when
	running sync.WaitGroup
	held    map[heldKey]*lane // where the claims of this node are
}

func newLanes(n peer.Network) *lanes {
	life, end := context.WithCancel(context.Background())
	return &lanes{net: n, life: life, end: end, peers: map[peer.ID]*lane{}, cold: map[peer.ID]time.Time{}, held: map[heldKey]*lane{}}
}

// close breaks every lane and waits for it.
func (l *lanes) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.end()
	l.running.Wait()
}

// to returns the lane to a peer.
func (l *lanes) to(id peer.ID) (*lane, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errClosed
	}
	if until, ok := l.cold[id]; ok {
		if time.Now().Before(until) {
			return nil, errCold
		}
		delete(l.cold, id)
	}
	c, ok := l.peers[id]
	if !ok || c.over() {
		c = &lane{to: id, box: newOutbox[*schedpb.Question](), fail: make(chan error, 1), owed: map[uint64]*inquiry{}}
		l.peers[id] = c
		l.running.Go(func() {
			l.forget(c, c.run(l.life, l.net))
		})
	}
	return c, nil
}

func (l *lanes) forget(c *lane, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if errors.Is(why, errSilent) || errors.Is(why, peer.ErrUnreachable) || errors.Is(why, context.DeadlineExceeded) {
		l.cold[c.to] = time.Now().Add(coolOff)
	}
	if l.peers[c.to] == c {
		delete(l.peers, c.to)
	}
	for k, at := range l.held {
		if at == c {
			delete(l.held, k)
		}
	}
}

// call asks a peer and waits for its answer.
func (l *lanes) call(ctx context.Context, id peer.ID, q *schedpb.Question, h haste) (*schedpb.Answer, error) {
	i := newInquiry()
	if _, err := l.ask(id, q, h, i); err != nil {
		return nil, fmt.Errorf("ask %s: %w", id, err)
	}
	switch got := i.all(ctx); {
	case len(got) == 0:
		return nil, fmt.Errorf("ask %s: %w", id, ctx.Err())
	case got[0].err != nil:
		return nil, fmt.Errorf("ask %s: %w", id, got[0].err)
	default:
		return got[0].answer, nil
	}
}

// lane is one stream to an owner. Its answers come in any order.
type lane struct {
	to   peer.ID
	box  *outbox[*schedpb.Question]
	fail chan error // why it is given up, at most once

	mu     sync.Mutex
	number uint64
	owed   map[uint64]*inquiry
	claims int // that are to be renewed
	heard  time.Time
	broken error
}

// ask queues a question. Whoever it is for gets its result once, unless it is
// dropped; of one that is for nobody the answer is passed over.
func (c *lane) ask(q *schedpb.Question, h haste, i *inquiry) (asked, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		return asked{}, c.broken
	}
	if i != nil && len(c.owed) >= maxOwed {
		return asked{}, errBusy
	}
	if len(c.owed) == 0 {
		c.heard = time.Now() // it has had nothing to answer
	}
	c.number++
	q.Number = c.number
	if !c.box.put(q, h) {
		return asked{}, errBusy
	}
	a := asked{c, q.Number}
	if i != nil {
		i.add(a)
		c.owed[q.Number] = i
	}
	return a, nil
}

// giveUp ends the lane.
func (c *lane) giveUp(why error) {
	select {
	case c.fail <- why:
	default:
	}
}

func (c *lane) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken != nil
}

func (c *lane) drop(number uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.owed, number)
}

func (c *lane) renews(by int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.claims += by
}

// run carries the lane's questions until it breaks or has been idle for long.
func (c *lane) run(ctx context.Context, n peer.Network) error {
	err := c.carry(ctx, n)
	c.mu.Lock()
	c.broken = err
	owed := c.owed
	c.owed = map[uint64]*inquiry{}
	c.mu.Unlock()
	for number, i := range owed {
		i.answered(result{asked: asked{c, number}, err: err})
	}
	return err
}

func (c *lane) carry(ctx context.Context, n peer.Network) error {
	opening, opened := context.WithTimeout(ctx, openTime)
	defer opened()
	s, err := n.Open(opening, c.to, Protocol)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	read := make(chan error, 1)
	go func() { read <- c.read(s) }()
	written := make(chan error, 1)
	stop := make(chan struct{})
	go func() { written <- c.write(s, stop) }()
	err = c.watch(ctx, read, written)
	close(stop)
	_ = s.Reset()
	for range 2 { // both end; one may have been received already
		select {
		case <-read:
		case <-written:
		}
	}
	return err
}

// watch waits for the end of the lane: its own, or the peer's.
func (c *lane) watch(ctx context.Context, read, written chan error) error {
	t := time.NewTicker(beatEvery)
	defer t.Stop()
	var quiet, renewed time.Duration
	for {
		select {
		case <-ctx.Done():
			return errClosed
		case err := <-c.fail:
			return err
		case err := <-read:
			read <- err
			return fmt.Errorf("its stream ended: %w", err)
		case err := <-written:
			written <- err
			return fmt.Errorf("its stream ended: %w", err)
		case now := <-t.C:
			owed, claims, heard := c.state()
			quiet, renewed = quiet+beatEvery, renewed+beatEvery
			if owed > 0 || claims > 0 {
				quiet = 0
			}
			switch {
			case owed > 0 && now.Sub(heard) >= patience:
				return errSilent
			case quiet >= idleTime && c.retire():
				return errClosed
			case owed > 0 || claims > 0 && renewed >= claim.RenewEvery:
				renewed = 0
				c.box.signal() // an empty frame, if there is nothing to ask
			}
		}
	}
}

func (c *lane) state() (owed, claims int, heard time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.owed), c.claims, c.heard
}

// retire ends the lane unless a question came meanwhile.
func (c *lane) retire() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.owed) > 0 || c.claims > 0 {
		return false
	}
	c.broken = errClosed
	return true
}

func (c *lane) write(s peer.Stream, stop <-chan struct{}) error {
	p := pace.Pace{Every: frameEvery}
	for {
		select {
		case <-stop:
			return errClosed
		case <-c.box.filled:
		}
		if !p.Wait(stop) {
			return errClosed
		}
		if err := wire.Write(s, &schedpb.Questions{Questions: c.box.take()}); err != nil {
			return err
		}
	}
}

func (c *lane) read(s peer.Stream) error {
	r := bufio.NewReader(s)
	for {
		var frame schedpb.Answers
		if err := wire.Read(r, &frame, maxFrame); err != nil {
			return err
		}
		for _, a := range c.settle(&frame) {
			a.of.answered(a.result)
		}
	}
}

type settled struct {
	of     *inquiry
	result result
}

func (c *lane) settle(frame *schedpb.Answers) []settled {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard = time.Now()
	all := make([]settled, 0, len(frame.GetAnswers()))
	for _, a := range frame.GetAnswers() {
		if of, ok := c.owed[a.GetNumber()]; ok {
			delete(c.owed, a.GetNumber())
			all = append(all, settled{of, result{asked: asked{c, a.GetNumber()}, answer: a}})
		}
	}
	return all
}
