package dht

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/buildnet/buildnet/dht/dhtpb"
	"github.com/buildnet/buildnet/dht/swarm"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// window chunks of a blob are in memory at most.
	window = 16
	// perHolder chunks are asked of a holder at once: one travels while the
	// other is asked for.
	perHolder = 2
	// firstHedge is when a chunk counts as slow before durations were seen.
	firstHedge = 500 * time.Millisecond
)

// crowd drives the swarm machine of one blob. One goroutine, that of run,
// owns everything but what the channels carry.
type crowd struct {
	j       *job
	key     digest.Digest
	outline []byte
	machine *swarm.Machine
	asking  map[askKey]context.CancelFunc
	ready   map[int][]byte // arrived, waiting for those before them
	next    int            // chunk to be stored

	reports  chan report
	stored   chan int   // how many chunks the store has read
	finished chan error // of the store
	feed     chan []byte
	workers  sync.WaitGroup
}

type askKey struct {
	id    peer.ID
	chunk int
}

type report struct {
	ask     swarm.Ask
	content []byte
	outcome swarm.Outcome
	err     error
}

// swarm brings a blob from several holders by chunks; done is false if all of
// them, and those that s finds meanwhile, were lost.
func (j *job) swarm(ctx context.Context, key digest.Digest, outline []byte, holders []peer.ID, s *search) (done bool, err error) {
	c := &crowd{
		j: j, key: key, outline: outline,
		machine: swarm.New(swarm.Options{Chunks: chunks(key), Window: window, PerHolder: perHolder, FirstHedge: firstHedge}),
		asking:  map[askKey]context.CancelFunc{}, ready: map[int][]byte{},
		reports: make(chan report), stored: make(chan int), finished: make(chan error, 1), feed: make(chan []byte, window),
	}
	return c.run(ctx, holders, s)
}

func (c *crowd) run(ctx context.Context, holders []peer.ID, s *search) (done bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer c.workers.Wait()
	defer cancel()
	pr, pw := io.Pipe()
	c.workers.Go(func() { c.finished <- c.j.d.opts.Blobs.Put(ctx, c.key, pr); _ = pr.Close() })
	c.workers.Go(func() { c.write(ctx, pw) })

	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	out := c.machine.Join(time.Now(), holders...)
	for {
		c.do(ctx, out)
		if c.machine.State() == swarm.Starved {
			found := s.more(ctx)
			if len(found) == 0 {
				return false, nil
			}
			out = c.machine.Join(time.Now(), found...)
			continue
		}
		wake := time.Hour
		if !out.Wake.IsZero() {
			wake = time.Until(out.Wake)
		}
		timer.Reset(wake)
		select {
		case <-ctx.Done():
			return false, nil
		case <-timer.C:
			out = c.machine.Tick(time.Now())
		case n := <-c.stored:
			out = c.machine.Consumed(time.Now(), n)
		case r := <-c.reports:
			out = c.report(r)
		case err := <-c.finished:
			if err != nil && ctx.Err() == nil {
				return false, c.j.refused(c.key, err)
			}
			if err != nil {
				return false, nil
			}
			c.j.arrived(c.key)
			return true, nil
		}
	}
}

// write gives the store the chunks in order.
func (c *crowd) write(ctx context.Context, pw *io.PipeWriter) {
	for n := 1; n <= chunks(c.key); n++ {
		select {
		case <-ctx.Done():
			_ = pw.CloseWithError(ctx.Err())
			return
		case content := <-c.feed:
			// The store may have stopped reading; what it returns tells why.
			_, _ = pw.Write(content)
		}
		select {
		case <-ctx.Done():
			_ = pw.CloseWithError(ctx.Err())
			return
		case c.stored <- n:
		}
	}
	_ = pw.Close()
}

func (c *crowd) do(ctx context.Context, out swarm.Output) {
	for _, a := range out.Cancels {
		k := askKey{a.Peer, a.Chunk}
		if stop, ok := c.asking[k]; ok {
			stop()
			delete(c.asking, k)
		}
	}
	for _, a := range out.Asks {
		askCtx, stop := context.WithCancel(ctx)
		c.asking[askKey{a.Peer, a.Chunk}] = stop
		c.workers.Go(func() {
			defer stop()
			r := c.ask(askCtx, a)
			if askCtx.Err() != nil && r.outcome == swarm.Failed {
				return
			}
			select {
			case c.reports <- r:
			case <-ctx.Done():
			}
		})
	}
}

// ask gets one chunk and checks it.
func (c *crowd) ask(ctx context.Context, a swarm.Ask) report {
	offset, length := span(c.key, a.Chunk)
	req := request(dhtpb.Request_READ, []digest.Digest{c.key})
	req.Offset, req.Length = offset, length
	c.j.d.count(func(s *Stats) {
		s.Requests++
		if a.Hedge {
			s.Hedges++
		}
	})
	content := make([]byte, length)
	err := c.j.d.bulk.read(ctx, a.Peer, read{req: req, length: length}, func(r io.Reader) error {
		_, err := io.ReadFull(r, content)
		return err
	})
	if err != nil {
		return report{ask: a, outcome: swarm.Failed, err: err}
	}
	if !chunkFits(c.key, c.outline, a.Chunk, content) {
		return report{ask: a, outcome: swarm.Corrupt, err: fmt.Errorf("chunk %d of %v: %w", a.Chunk, c.key, errCorrupt)}
	}
	return report{ask: a, content: content, outcome: swarm.Arrived}
}

func (c *crowd) report(r report) swarm.Output {
	delete(c.asking, askKey{r.ask.Peer, r.ask.Chunk})
	switch r.outcome {
	case swarm.Arrived:
		c.j.d.blame.worked(r.ask.Peer)
		if r.ask.Chunk >= c.next && c.ready[r.ask.Chunk] == nil {
			c.ready[r.ask.Chunk] = r.content
		}
		for content, ok := c.ready[c.next]; ok; content, ok = c.ready[c.next] {
			c.feed <- content
			delete(c.ready, c.next)
			c.next++
		}
	case swarm.Corrupt:
		c.j.d.corrupt(r.ask.Peer, c.key)
		c.j.failed(r.ask.Peer, r.err, c.key)
	case swarm.Failed:
		if !errors.Is(r.err, errAbsent) {
			c.j.d.blame.failed(time.Now(), r.ask.Peer)
		}
		c.j.failed(r.ask.Peer, r.err, c.key)
	}
	return c.machine.Report(time.Now(), r.ask, r.outcome)
}
