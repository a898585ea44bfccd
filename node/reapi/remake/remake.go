// Package remake makes blobs again that are lost in the whole mesh: it has the actions
// executed that made them, and those that made what these read, at any depth. In
// which order is decided by plan, which is pure; Remaker drives it. Start reading at
// Remaker.Remake.
package remake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/makers"
)

// maxGoing actions of one Remake are executed at once: the mesh has a queue, and this
// many fill the slots of a large one for as long as the next take to be asked for.
const maxGoing = 128

// Missing is an error of an action that cannot be executed because blobs that it
// reads are nowhere.
type Missing interface {
	error
	// Missing are those blobs.
	Missing() []digest.Digest
}

// Options are all required but Log.
type Options struct {
	// Makers returns those who made a blob, the best first; none if nobody is known.
	Makers func(digest.Digest) ([]makers.Maker, error)
	// Has says for each blob whether it is in the mesh.
	Has func(ctx context.Context, ds []digest.Digest) ([]bool, error)
	// Execute executes an action, whatever is known of it, so that what it makes is
	// here. It returns a Missing if what the action reads is not there, and another
	// error if the action failed or could not be executed.
	Execute func(ctx context.Context, m makers.Maker) error
	Log     *slog.Logger
}

// Stats counts since New.
type Stats struct {
	// Remade are blobs that came to be again, Lost those that were asked for and did
	// not.
	Remade, Lost int64
}

// Remaker makes lost blobs again. All methods may be called concurrently.
type Remaker struct {
	opts         Options
	remade, lost atomic.Int64

	// life ends with Run, and every execution with it.
	life context.Context
	end  context.CancelFunc

	mu      sync.Mutex
	closed  bool
	flights map[makers.Maker]*flight
	flying  sync.WaitGroup
}

// flight is an execution that goes on, for all who ask for it meanwhile. It goes on
// without them: a client that has lost its patience asks again.
type flight struct {
	landed chan struct{}
	err    error // set before landed is closed
}

// New returns a Remaker that works at once, until Run ends.
func New(opts Options) *Remaker {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	r := &Remaker{opts: opts, flights: map[makers.Maker]*flight{}}
	r.life, r.end = context.WithCancel(context.Background())
	return r
}

// Run keeps executions going until ctx ends. When it returns none goes on.
func (r *Remaker) Run(ctx context.Context) error {
	<-ctx.Done()
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.end()
	r.flying.Wait()
	return nil
}

// Stats returns the counts.
func (r *Remaker) Stats() Stats { return Stats{r.remade.Load(), r.lost.Load()} }

// landing is the end of a flight that a Remake has waited for.
type landing struct {
	m   makers.Maker
	err error
}

// Remake makes those of ds again that somebody is known to have made, and returns
// which of them are here then. It costs a look into a table where nobody is. None of
// ds may be here.
func (r *Remaker) Remake(ctx context.Context, ds []digest.Digest) (remade []digest.Digest, err error) {
	var known []digest.Digest
	for _, d := range ds {
		ms, err := r.opts.Makers(d)
		if err != nil {
			return nil, err
		}
		if len(ms) > 0 {
			known = append(known, d)
		}
	}
	if len(known) == 0 {
		return nil, nil
	}
	r.opts.Log.Info("lost blobs are made again", "blobs", len(known))
	p := newPlan(r.makers)
	for _, d := range known {
		p.want(d)
	}
	err = r.follow(ctx, p)
	for _, d := range known {
		if p.isHere(d) {
			remade = append(remade, d)
		}
	}
	r.lost.Add(int64(len(known) - len(remade)))
	if err != nil {
		return remade, fmt.Errorf("make %d blobs again: %w", len(known)-len(remade), err)
	}
	if lost := len(known) - len(remade); lost > 0 {
		r.opts.Log.Warn("lost blobs cannot be made again", "blobs", lost)
	}
	return remade, nil
}

// makers are none where the table cannot be read.
func (r *Remaker) makers(d digest.Digest) []makers.Maker {
	ms, err := r.opts.Makers(d)
	if err != nil {
		r.opts.Log.Warn("makers of a lost blob cannot be read", "digest", d, "error", err)
		return nil
	}
	return ms
}

// follow executes a plan. When ctx ends it waits for nothing, and what goes on goes
// on.
func (r *Remaker) follow(ctx context.Context, p *plan) error {
	landed := make(chan landing)
	ctx, leave := context.WithCancel(ctx)
	var waiting sync.WaitGroup
	defer waiting.Wait()
	defer leave()
	for going := 0; ; {
		for going < maxGoing {
			m, ok := p.take()
			if !ok {
				break
			}
			going++
			f := r.fly(ctx, m)
			waiting.Go(func() {
				select {
				case <-f.landed:
				case <-ctx.Done():
					return
				}
				select {
				case landed <- landing{m, f.err}:
				case <-ctx.Done():
				}
			})
		}
		if going == 0 {
			if !p.settle() {
				return nil
			}
			continue
		}
		select {
		case l := <-landed:
			going--
			if err := r.land(ctx, p, l); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// land tells the plan what came of an execution.
func (r *Remaker) land(ctx context.Context, p *plan, l landing) error {
	if l.err == nil {
		return r.look(ctx, p, l.m)
	}
	var missing Missing
	if errors.As(l.err, &missing) {
		p.lacks(l.m, missing.Missing())
	} else {
		r.opts.Log.Info("an action that made a lost blob cannot be executed again", "action", l.m.Action, "error", l.err)
		p.broke(l.m)
	}
	return nil
}

// look tells the plan what of what is wanted an execution has brought.
func (r *Remaker) look(ctx context.Context, p *plan, m makers.Maker) error {
	wanted := p.wantedOf(m)
	has, err := r.opts.Has(ctx, wanted)
	if err != nil {
		return err
	}
	here := make([]digest.Digest, 0, len(wanted))
	for i, d := range wanted {
		if has[i] {
			here = append(here, d)
		}
	}
	r.remade.Add(int64(len(here)))
	p.made(m, here)
	return nil
}

// errClosed says that the node stops.
var errClosed = errors.New("this node stops")

// fly has an action executed, or joins an execution that goes on. Of ctx only the
// values reach it.
func (r *Remaker) fly(ctx context.Context, m makers.Maker) *flight {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f, ok := r.flights[m]; ok {
		return f
	}
	f := &flight{landed: make(chan struct{})}
	if r.closed {
		f.err = errClosed
		close(f.landed)
		return f
	}
	r.flights[m] = f
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(r.life, cancel)
	r.flying.Go(func() {
		defer stop()
		defer cancel()
		f.err = r.opts.Execute(life, m)
		r.mu.Lock()
		delete(r.flights, m)
		r.mu.Unlock()
		close(f.landed)
	})
	return f
}
