package sched

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store/digest"
)

// maxEpochs of one build have a stream here at once: a leader, and those who
// have not noticed yet that they are none any more.
const maxEpochs = 4

var errStrange = errors.New("it is not what this build's leader would say")

// party drives what this node is in one build besides its leader: the Hand
// that works, the Keeper that could take over, and the Origin where the build
// was asked for. They share the streams of the build's leaders.
type party struct {
	s     *Service
	build steal.BuildID
	box   mailbox

	// Owned by run.
	hand      *steal.Hand
	keeper    *steal.Keeper
	origin    *origin
	begun     bool
	links     map[steal.Epoch]*link
	highest   steal.Epoch
	initiator peer.ID
	forget    bool // what is made here for the build
	jobs      map[jobKey]*job
	probe     uint64 // number of the last question for toolchains
	looked    time.Time
	plan      *planLoad
	idle      []chan struct{} // closed when there is nothing in hand
	custody   *custody        // nil unless this node is the heir

	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
}

func newParty(s *Service, build steal.BuildID) *party {
	p := &party{s: s, build: build, box: newMailbox(), links: map[steal.Epoch]*link{}, jobs: map[jobKey]*job{}}
	p.ctx, p.cancel = context.WithCancel(s.life)
	return p
}

func (p *party) run() {
	defer p.leave()
	due := time.NewTimer(time.Hour)
	defer due.Stop()
	first := time.NewTimer(openTime) // whoever made the party has this long to say why
	defer first.Stop()
	for {
		select {
		case <-p.s.life.Done():
			return
		case <-due.C:
			p.tick()
		case <-first.C:
			p.begun = true
		case f := <-p.box.in:
			f()
		}
		if p.begun && p.hand == nil && p.keeper == nil && p.origin == nil {
			return
		}
		p.look()
		p.tellIdle()
		p.rearm(due)
	}
}

// rearm sets the timer to when a machine is due.
func (p *party) rearm(timer *time.Timer) {
	var next time.Time
	soonest := func(due time.Time) {
		if !due.IsZero() && (next.IsZero() || due.Before(next)) {
			next = due
		}
	}
	if p.hand != nil {
		soonest(p.hand.Due())
	}
	if p.keeper != nil {
		soonest(p.keeper.Due())
	}
	if p.origin != nil {
		soonest(p.origin.machine.Due())
	}
	if next.IsZero() {
		timer.Stop()
		return
	}
	timer.Reset(time.Until(next))
}

func (p *party) leave() {
	p.s.forget(p)
	close(p.box.done)
	p.cancel()
	p.disown()
	if p.origin != nil { // the node goes: that is no death
		p.reply(p.origin.machine.Cancel(time.Now()).Replies)
	}
	for _, l := range p.links {
		l.finish()
	}
	for _, c := range p.idle {
		close(c)
	}
	if p.origin != nil {
		p.origin.end(ErrClosed)
	}
	p.work.Wait()
}

func (p *party) tick() {
	now := time.Now()
	if p.hand != nil {
		p.doHand(p.hand.Tick(now))
	}
	if p.keeper != nil {
		p.doKeeper(p.keeper.Tick(now))
	}
	if p.origin != nil {
		p.doOrigin(p.origin.machine.Tick(now))
	}
}

// tellIdle tells those who wait for it that nothing is in hand.
func (p *party) tellIdle() {
	if p.hand != nil && !p.hand.Idle() {
		return
	}
	for _, c := range p.idle {
		close(c)
	}
	p.idle = nil
}

// attach takes the stream of a leader, in the place of an earlier one of its
// epoch.
func (p *party) attach(l *link, hello steal.Hello) {
	// A build that was asked for here, and is not any more, is over: its leader
	// has not heard of it, or never was one.
	own := hello.Initiator == p.s.opts.Self
	if own != (p.origin != nil) || p.initiator != "" && p.initiator != hello.Initiator {
		l.reset(fmt.Errorf("%w: %s has no such build", errStrange, hello.Initiator))
		return
	}
	p.begun = true
	if old, ok := p.links[l.epoch]; ok {
		p.detach(old)
		old.reset(ErrClosed)
	}
	p.links[l.epoch] = l
	p.bound()
	p.initiator, p.forget = hello.Initiator, hello.Forget
	p.hears(l.epoch)
	if p.hand == nil {
		p.hand = steal.NewHand(steal.HandOptions{
			Self: p.s.opts.Self, Slots: p.slots(), Most: p.s.opts.Slots, OS: p.s.opts.OS, Arch: p.s.opts.Arch, BPU: p.s.opts.BPU(),
			Memory: p.s.opts.Memory, Absolute: p.s.opts.Absolute, Optional: true, Heard: p.highest, StatusEvery: p.s.opts.StatusEvery,
		})
		if p.s.draining() || p.s.opts.OwnBuildsOnly && hello.Initiator != p.s.opts.Self {
			p.doHand(p.hand.Drain(time.Now()))
		}
	}
	if p.keeper == nil && p.origin == nil {
		p.keeper = steal.NewKeeper(p.s.opts.Self, p.highest)
	}
	p.take(l, hello)
}

// hears notes an epoch that this node has heard of, or begins.
func (p *party) hears(e steal.Epoch) {
	if e.Compare(p.highest) > 0 {
		p.highest = e
	}
}

// bound gives up the streams of the lowest epochs when there are too many.
func (p *party) bound() {
	for len(p.links) > maxEpochs {
		var lowest *link
		for _, l := range p.links {
			if lowest == nil || l.epoch.Compare(lowest.epoch) < 0 {
				lowest = l
			}
		}
		p.detach(lowest)
		lowest.reset(fmt.Errorf("%w: too many leaders", errStrange))
	}
}

// detach forgets a stream, if it is still the one of its epoch.
func (p *party) detach(l *link) {
	if p.links[l.epoch] != l {
		return
	}
	delete(p.links, l.epoch)
	now := time.Now()
	if p.hand != nil {
		p.doHand(p.hand.Closed(now, l.epoch))
	}
	if p.keeper != nil {
		p.doKeeper(p.keeper.Closed(now, l.epoch))
	}
	if p.origin != nil {
		p.doOrigin(p.origin.machine.Closed(now, l.epoch))
	}
}

// take gives a message of a leader to all machines.
func (p *party) take(l *link, msg steal.Message) {
	if p.links[l.epoch] != l {
		return
	}
	if o, ok := msg.(steal.Occupied); ok {
		if p.origin != nil {
			p.s.spawn(func() { p.s.reconcile(rival{o.Build, o.Initiator}) })
		}
		return
	}
	now := time.Now()
	if p.hand != nil {
		p.doHand(p.hand.Receive(now, l.epoch, msg))
	}
	if p.keeper != nil {
		p.doKeeper(p.keeper.Receive(now, l.epoch, msg))
	}
	if p.origin != nil {
		p.doOrigin(p.origin.machine.Receive(now, l.epoch, msg))
	}
	p.prefetch(l, msg)
}

func (p *party) reply(replies []steal.Reply) {
	for _, r := range replies {
		l, ok := p.links[r.To]
		if !ok {
			continue
		}
		if s, ok := r.Msg.(steal.Status); ok {
			r.Msg = p.stated(s)
		}
		if err := l.send(r.Msg); err != nil {
			p.s.opts.Log.Debug("message not sent", "build", p.build, "peer", l.peer, "error", err)
		}
	}
}

func (p *party) doKeeper(out steal.KeeperOutput) {
	p.reply(out.Replies)
	if out.TakeOver != nil {
		p.takeOver(out.TakeOver)
	}
	p.doHeir(out)
	if out.Over {
		p.keeper = nil
	}
}

// planLoad is the plan of a build as a standby brings it here.
type planLoad struct {
	digest digest.Digest
	done   chan struct{}
	plan   *steal.Plan // when done is closed
	err    error
}

// prefetch brings the plan here when this node becomes a standby, and not only
// when the leader, who may have the last copy, is dead.
func (p *party) prefetch(l *link, msg steal.Message) {
	a, ok := msg.(steal.Append)
	if !ok || p.keeper == nil || l.epoch != p.highest {
		return
	}
	for _, op := range a.Ops {
		if op.Kind == steal.OpStandbys && slices.Contains(op.Peers, p.s.opts.Self) && l.hello.Plan != (digest.Digest{}) {
			p.load(l.hello.Plan, l.peer)
		}
	}
}

func (p *party) load(d digest.Digest, hints ...peer.ID) *planLoad {
	if p.plan != nil && p.plan.digest == d && !p.plan.failed() {
		return p.plan
	}
	load := &planLoad{digest: d, done: make(chan struct{})}
	p.plan = load
	hints = slices.DeleteFunc(append([]peer.ID{p.initiator}, hints...), func(id peer.ID) bool { return id == "" || id == p.s.opts.Self })
	p.work.Go(func() {
		defer close(load.done)
		load.plan, load.err = p.s.loadPlan(p.ctx, d, hints)
	})
	return load
}

func (l *planLoad) failed() bool {
	select {
	case <-l.done:
		return l.err != nil
	default:
		return false
	}
}

func (s *Service) loadPlan(ctx context.Context, d digest.Digest, hints []peer.ID) (*steal.Plan, error) {
	b, err := s.blob(ctx, d, maxPlan, hints)
	if err != nil {
		return nil, fmt.Errorf("load plan: %w", err)
	}
	return decodePlan(b)
}

// takeOver makes this node the leader as soon as the plan is here. If that
// fails the next in line takes over in its turn.
func (p *party) takeOver(t *steal.TakeOver) {
	p.hears(t.Epoch)
	load := p.load(t.Plan, t.Predecessor)
	p.work.Go(func() {
		<-load.done
		err := load.err
		if err == nil {
			err = p.s.reign(p.build, t, load.plan)
		}
		if err != nil {
			p.s.opts.Log.Warn("build not taken over", "build", p.build, "error", err)
		}
	})
}

// drain returns when this node has nothing of the build in its hands.
func (p *party) drain(ctx context.Context) error {
	idle := make(chan struct{})
	if !p.box.post(func() {
		p.idle = append(p.idle, idle)
		if p.hand != nil {
			p.doHand(p.hand.Drain(time.Now()))
		}
	}) {
		return nil
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
