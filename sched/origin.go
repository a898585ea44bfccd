package sched

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/elect"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store/digest"
)

// maxSecuring results are brought here at once: small ones wait for round
// trips, and large ones share the line anyway.
const maxSecuring = 64

// ErrEnded says that a build was ended before its log was.
var ErrEnded = errors.New("the build was ended early")

// Build is one build to do. Plan's Candidates are filled in if there are none.
type Build struct {
	ID   steal.BuildID
	Plan *steal.Plan
	// Log is a Bequest to go on with, and Lost who asked for it before; nil for a
	// new build.
	Log  []steal.Op
	Lost peer.ID
	// foreign builds were asked for on another node: nothing of them has the
	// rights of this one's user.
	foreign bool
}

// Observer is told what becomes of a build: in order, one call at a time,
// apart from Secure.
type Observer interface {
	// Elected says who leads; it comes again when that, or the standbys, change.
	Elected(leader peer.ID, standbys []peer.ID, epoch uint64)
	// Started says that by began to run step. It may come again.
	Started(step steal.Step, by peer.ID)
	// Secure brings a result's outputs into the own store. It is called
	// concurrently. An error makes the leader run the step again.
	Secure(ctx context.Context, step steal.Step, d *steal.Done) error
	// Finished is final: step has its result, good or bad.
	Finished(step steal.Step, d *steal.Done)
	// Failed is final: step has no result, and its command is not the reason.
	Failed(step steal.Step, why string)
	// Note is worth knowing.
	Note(text string)
	// Weakened says how the build goes on after losses, and who is lost.
	Weakened(mode steal.Mode, lost []peer.ID)
	// Watched is what is for those who watch: of the kinds Placed, Advanced, Made,
	// Undone and Stated. It does not keep e.
	Watched(e *steal.Event)
}

// Build does a build as its initiator. It returns nil when everything that can
// be done is done, whether steps failed or not, and ctx's error when ctx has
// ended: the build's jobs end everywhere then.
func (s *Service) Build(ctx context.Context, b Build, o Observer) error {
	x, err := s.begin(ctx, b, o)
	if err != nil {
		return err
	}
	return x.Run()
}

// plan ranks the candidates and keeps the plan as a blob.
func (s *Service) plan(ctx context.Context, b Build) (Build, action.Blob, error) {
	plan := *b.Plan
	switch {
	case plan.Modes.Local:
		plan.Candidates = []peer.ID{s.opts.Self}
	case len(plan.Candidates) == 0:
		plan.Candidates = elect.Rank(elect.Candidacy{
			ID: string(b.ID), Initiator: s.opts.Self, Now: time.Now(), Work: plan.Typical(),
		}, s.alive(), s.opts.Estimate)
	}
	encoded, err := encodePlan(&plan)
	if err != nil {
		return Build{}, action.Blob{}, err
	}
	blob := action.Blob{Digest: digest.Of(digest.BLAKE3, encoded), Content: encoded}
	if err := s.opts.Blobs.Put(ctx, blob); err != nil {
		return Build{}, action.Blob{}, fmt.Errorf("keep plan: %w", err)
	}
	return Build{ID: b.ID, Plan: &plan}, blob, nil
}

// origin is what a party has where the build was asked for.
type origin struct {
	machine  *steal.Origin
	observer Observer
	alone    bool // no other member is asked for anything
	foreign  bool // it was asked for on another node
	securing *semaphore.Weighted
	ctx      context.Context // of securing
	cancel   context.CancelFunc
	work     sync.WaitGroup

	wake chan struct{} // holds one token while there is something to tell

	mu     sync.Mutex
	events []steal.Event
	over   bool
	err    error
}

func newOrigin(o Observer, plan *steal.Plan) *origin {
	g := &origin{observer: o, alone: plan.Modes.Local, wake: make(chan struct{}, 1), securing: semaphore.NewWeighted(maxSecuring)}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	return g
}

// step returns the step that a leader assigns, as this node asked for it; nil
// if it did not.
func (g *origin) step(a steal.Assign) *action.Step {
	if g == nil || g.foreign {
		return nil
	}
	if s := g.machine.Step(a.Step); s != nil && s.ID == a.Name {
		return s
	}
	return nil
}

// end is the last that is told.
func (g *origin) end(err error) {
	g.mu.Lock()
	g.over, g.err = true, err
	g.mu.Unlock()
	g.signal()
}

func (g *origin) signal() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

func (g *origin) add(events []steal.Event) {
	if len(events) == 0 {
		return
	}
	g.mu.Lock()
	g.events = append(g.events, events...)
	g.mu.Unlock()
	g.signal()
}

// tell tells the observer, on the goroutine of whoever asked for the build,
// until the build is over.
func (g *origin) tell() error {
	for range g.wake {
		g.mu.Lock()
		events, over, err := g.events, g.over, g.err
		g.events = nil
		g.mu.Unlock()
		for i := range events {
			g.tellOne(&events[i])
		}
		if over {
			return err
		}
	}
	return nil
}

func (g *origin) tellOne(e *steal.Event) {
	switch e.Kind {
	case steal.Elected:
		g.observer.Elected(e.Peer, e.Peers, e.Epoch)
	case steal.Began:
		g.observer.Started(e.Step, e.Peer)
	case steal.Announced:
		g.observer.Finished(e.Step, e.Done)
	case steal.GaveUp:
		g.observer.Failed(e.Step, e.Text)
	case steal.Noted:
		g.observer.Note(e.Text)
	case steal.Moded:
		g.observer.Weakened(e.Mode, e.Peers)
	default:
		g.observer.Watched(e)
	}
}

// originate makes this node the initiator of the party's build.
func (p *party) originate(g *origin, b Build, plan action.Blob) {
	if p.origin != nil || p.begun {
		g.end(fmt.Errorf("%w: a build of that name is under way", action.ErrInvalid))
		return
	}
	p.begun, p.origin, p.initiator = true, g, p.s.opts.Self
	p.plan = &planLoad{digest: plan.Digest, done: make(chan struct{}), plan: b.Plan}
	close(p.plan.done)
	p.doOrigin(g.machine.Tick(time.Now()))
}

func (p *party) doOrigin(out steal.OriginOutput) {
	g := p.origin
	p.reply(out.Replies)
	for _, a := range out.Leads {
		p.work.Go(func() {
			if err := p.s.appoint(p.ctx, p.build, a); err != nil {
				p.s.opts.Log.Debug("member does not lead", "build", p.build, "peer", a.Epoch.Leader, "error", err)
				p.box.post(func() {
					if p.origin == g {
						p.doOrigin(g.machine.Unled(time.Now(), a.Epoch))
					}
				})
			}
		})
	}
	if out.TakeOver != nil {
		p.takeOver(out.TakeOver)
	}
	for _, sec := range out.Secures {
		p.secure(g, sec)
	}
	if l, ok := g.observer.(Logger); ok && (out.Anew || len(out.Logged) > 0) {
		l.Logged(out.Logged, out.Anew)
	}
	g.add(out.Events)
	if out.Over {
		p.origin = nil
		g.end(outcome(out.Outcome))
	}
}

func outcome(r steal.Reason) error {
	if r == steal.Completed {
		return nil
	}
	return ErrEnded
}

func (p *party) secure(g *origin, sec steal.Securing) {
	g.work.Go(func() {
		if err := g.securing.Acquire(g.ctx, 1); err != nil {
			return
		}
		err := g.observer.Secure(g.ctx, sec.Step, sec.Done)
		g.securing.Release(1)
		why := ""
		if err != nil {
			why = err.Error()
		}
		p.box.post(func() {
			if p.origin == g {
				p.doOrigin(g.machine.Brought(time.Now(), sec.Step, sec.Attempt, why))
			}
		})
	})
}

// appoint asks a member to lead, and returns when it has begun to.
func (s *Service) appoint(ctx context.Context, build steal.BuildID, a steal.Asking) error {
	l, err := s.dial(ctx, a.Epoch.Leader, envelope{build, a.Epoch, a.Lead})
	if err != nil {
		return err
	}
	defer func() { _ = l.stream.Reset() }() // nothing more is said on it
	defer context.AfterFunc(ctx, func() { _ = l.stream.Reset() })()
	if err := l.stream.SetDeadline(time.Now().Add(steal.LeadTime + openTime)); err != nil {
		return err
	}
	if _, err := l.r.ReadByte(); err != io.EOF {
		return fmt.Errorf("%s does not lead: %w", a.Epoch.Leader, errors.Join(err, errStrange))
	}
	return nil
}
