package sched

import (
	"context"
	"fmt"
	"time"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
)

// Session is a build that goes on here. All methods may be called concurrently.
type Session struct {
	build steal.BuildID
	ctx   context.Context
	p     *party
	g     *origin
	stop  func() bool // cancelling when ctx ends
}

// Open begins an open build: one to which steps are added while it runs. The steps
// of b's plan, if it has any, come first. It keeps going when steps fail. Run has
// to be called, and tells o what becomes of the build; when ctx ends the build is
// cancelled.
func (s *Service) Open(ctx context.Context, b Build, o Observer) (*Session, error) {
	plan := *b.Plan
	plan.Open, plan.Modes.KeepGoing = true, true
	b.Plan = &plan
	return s.begin(ctx, b, o)
}

// begin makes this node the initiator of a build.
func (s *Service) begin(ctx context.Context, b Build, o Observer) (*Session, error) {
	build, plan, err := s.plan(ctx, b)
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", b.ID, err)
	}
	g := newOrigin(o, build.Plan)
	g.foreign = b.foreign
	g.machine = steal.NewOrigin(steal.OriginOptions{
		Self: s.opts.Self, Plan: build.Plan, PlanDigest: plan.Digest, Log: b.Log, Lost: b.Lost,
	})
	p, err := s.party(b.ID, maxBuilds+maxOwn)
	if err != nil {
		g.cancel()
		return nil, fmt.Errorf("build %s: %w", b.ID, err)
	}
	if !p.box.post(func() { p.originate(g, build, plan) }) {
		g.cancel()
		return nil, fmt.Errorf("build %s: %w", b.ID, ErrClosed)
	}
	x := &Session{build: b.ID, ctx: ctx, p: p, g: g}
	x.stop = context.AfterFunc(ctx, func() {
		x.do(func() steal.OriginOutput { return g.machine.Cancel(time.Now()) })
	})
	return x, nil
}

// do has the initiator's machine do something, while the build goes on.
func (x *Session) do(f func() steal.OriginOutput) {
	x.p.box.post(func() {
		if x.p.origin == x.g {
			x.p.doOrigin(f())
		}
	})
}

// Run tells the observer what becomes of the build until that is over, and returns
// what Build does. It is to be called once.
func (x *Session) Run() error {
	defer x.g.work.Wait()
	defer x.g.cancel()
	defer x.stop()
	if err := x.g.tell(); err != nil {
		if x.ctx.Err() != nil {
			err = x.ctx.Err()
		}
		return fmt.Errorf("build %s: %w", x.build, err)
	}
	return nil
}

// Add adds flat steps (see action.Step.CheckFlat) to an open build, which are not
// to be changed from then on, and returns the place of the first one: the others
// follow, and the observer is told of each by its place. All that they read is in
// the own store, or with members. Of what waits for a step its Rank says how much
// that is. If one cannot be added none is. ErrEnded says that the build is over,
// steal.ErrShut that it is closed.
func (x *Session) Add(steps ...action.Step) (first steal.Step, err error) {
	added := make(chan struct{})
	err = fmt.Errorf("build %s: %w", x.build, ErrEnded)
	if !x.p.box.post(func() {
		defer close(added)
		if x.p.origin != x.g {
			return
		}
		var out steal.OriginOutput
		if first, out, err = x.g.machine.Add(time.Now(), steps); err != nil {
			err = fmt.Errorf("build %s: %w", x.build, err)
			return
		}
		x.p.doOrigin(out)
	}) {
		return 0, err
	}
	<-added
	return first, err
}

// Cancel says that nobody needs a step any more. It fails for that reason, unless
// it has a result by then; the observer is told of either.
func (x *Session) Cancel(step steal.Step) {
	x.do(func() steal.OriginOutput { return x.g.machine.Drop(time.Now(), step) })
}

// Close says that no more steps come: the build is over when all are finished or
// failed. From then on another member goes on with it if this node dies.
func (x *Session) Close() {
	x.do(func() steal.OriginOutput { return x.g.machine.Shut(time.Now()) })
}
