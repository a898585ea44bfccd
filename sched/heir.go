package sched

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/steal"
)

const (
	// maxBringing results are brought to an heir at once: the build's own
	// traffic goes first.
	maxBringing = 2
	// maxCustodies are builds that a node is the heir of at once.
	maxCustodies = 16
	// keepAgain is the pause before an heir tries again what it could not get.
	keepAgain = time.Second
	// aliveTime is how long the initiator of a build has to say that it lives.
	aliveTime = time.Second
)

// ErrYielded says that an heir gave a build back, whose initiator lives.
var ErrYielded = errors.New("the build's initiator lives and goes on with it")

// Heirs keeps on this node what the builds of others need to be gone on with
// here. All methods may be called concurrently.
type Heirs interface {
	// Custody begins to keep for a build.
	Custody(b steal.BuildID, initiator peer.ID, p *steal.Plan) Custody
	// Alive asks the initiator of a build whether it has it, or ended it itself.
	Alive(ctx context.Context, b steal.BuildID, initiator peer.ID) bool
}

// Custody is what an heir has of one build. All methods may be called
// concurrently.
type Custody interface {
	// Sources brings here all that the plan begins with: what its steps read,
	// and the outputs of those whose results are given.
	Sources(ctx context.Context) error
	// Secure is as an Observer's.
	Secure(ctx context.Context, step steal.Step, d *steal.Done) error
	// Inherit returns who is told of the rest of the build, which has another
	// name from here on, and what is to be called with what became of it.
	Inherit(as steal.BuildID) (o Observer, ended func(error))
	// Close lets go of all of it.
	Close()
}

// Family is what a build and those that its heirs make of it have in common,
// and how many of those came before.
func Family(b steal.BuildID) (first steal.BuildID, generation int) {
	name, number, ok := strings.Cut(string(b), ".")
	n, err := strconv.Atoi(number)
	if !ok || err != nil || n < 2 {
		return b, 1
	}
	return steal.BuildID(name), n
}

// heirOf names the build that an heir goes on with b as.
func heirOf(b steal.BuildID) steal.BuildID {
	first, generation := Family(b)
	return steal.BuildID(fmt.Sprintf("%s.%d", first, generation+1))
}

// custody drives a Custody beside its party. It is owned by the party.
type custody struct {
	keeps    Custody // nil until the plan is here
	plan     *steal.Plan
	queue    []steal.Securing
	bringing int
	ctx      context.Context
	cancel   context.CancelFunc
}

func (p *party) doHeir(out steal.KeeperOutput) {
	if out.Drop {
		p.disown()
	}
	if out.Keep != nil {
		p.keep(out.Keep)
	}
	if c := p.custody; c != nil {
		c.queue = append(c.queue, out.Brings...)
		p.bring(c)
	}
	if out.Inherit != nil {
		p.bequeath(out.Inherit)
	}
	if out.Over {
		p.disown()
	}
}

// keep begins to bring here what the build would need. It may be named the heir
// again before it has heard that it was none meanwhile.
func (p *party) keep(k *steal.Custody) {
	s := p.s
	p.disown()
	if s.opts.Heirs == nil || s.opts.OwnBuildsOnly || s.draining() || !s.takeCustody() {
		return
	}
	c := &custody{}
	c.ctx, c.cancel = context.WithCancel(p.ctx)
	p.custody = c
	p.work.Go(func() {
		defer s.leaveCustody()
		defer c.cancel()
		if p.fetchSources(c, k) {
			p.box.post(func() {
				if p.custody == c && p.keeper != nil {
					p.doKeeper(p.keeper.Kept(time.Now()))
				}
			})
			<-c.ctx.Done()
		}
	})
}

// fetchSources brings the plan, then what it begins with. It tries until it has
// all of it, or the custody ends.
func (p *party) fetchSources(c *custody, k *steal.Custody) bool {
	var keeps Custody
	for {
		plan, err := p.s.loadPlan(c.ctx, k.Plan, []peer.ID{k.Initiator})
		if err == nil && keeps == nil {
			keeps = p.s.opts.Heirs.Custody(p.build, k.Initiator, plan)
			if !p.box.post(func() { p.keeping(c, keeps, plan) }) {
				keeps.Close()
				return false
			}
		}
		if err == nil {
			err = keeps.Sources(c.ctx)
		}
		if err == nil {
			return true
		}
		p.s.opts.Log.Debug("build is not kept yet", "build", p.build, "error", err)
		select {
		case <-c.ctx.Done():
			return false
		case <-time.After(keepAgain):
		}
	}
}

func (p *party) keeping(c *custody, keeps Custody, plan *steal.Plan) {
	if p.custody != c {
		go keeps.Close()
		return
	}
	c.keeps, c.plan = keeps, plan
	p.bring(c)
}

// bring fetches outputs of results, a few at a time.
func (p *party) bring(c *custody) {
	for c.keeps != nil && c.bringing < maxBringing && len(c.queue) > 0 {
		next := c.queue[0]
		c.queue = c.queue[1:]
		c.bringing++
		p.work.Go(func() {
			err := c.keeps.Secure(c.ctx, next.Step, next.Done)
			p.box.post(func() {
				c.bringing--
				if p.custody != c || p.keeper == nil {
					return
				}
				if err == nil {
					p.doKeeper(p.keeper.Held(time.Now(), next.Step, next.Done))
				}
				p.bring(c)
			})
		})
	}
}

// disown ends a custody.
func (p *party) disown() {
	c := p.custody
	if c == nil {
		return
	}
	p.custody = nil
	c.cancel()
	if c.keeps != nil {
		c.keeps.Close()
	}
}

// bequeath goes on with the build under another name, beside the party, which
// ends.
func (p *party) bequeath(i *steal.Inherit) {
	c := p.custody
	if c == nil || c.keeps == nil {
		return
	}
	p.custody = nil
	c.cancel()
	s := p.s
	if !s.spawn(func() { s.inherit(p.build, i, c) }) {
		c.keeps.Close()
	}
}

// inherit goes on with a build, unless its initiator lives.
func (s *Service) inherit(build steal.BuildID, i *steal.Inherit, c *custody) {
	defer c.keeps.Close()
	if s.asksInitiator(build, i.Initiator) {
		return
	}
	ctx, cancel := context.WithCancelCause(s.life)
	defer cancel(nil)
	s.mu.Lock()
	s.inherited[build] = &inheritance{initiator: i.Initiator, yield: cancel}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.inherited, build)
	}()
	as := heirOf(build)
	s.opts.Log.Info("going on with a build", "build", build, "as", as, "peer", i.Initiator)
	o, ended := c.keeps.Inherit(as)
	err := s.Build(ctx, Build{ID: as, Plan: c.plan, Log: i.Log, Lost: i.Initiator, foreign: true}, o)
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, ErrYielded) {
		err = cause
	}
	ended(err)
}

func (s *Service) asksInitiator(build steal.BuildID, initiator peer.ID) bool {
	ctx, cancel := context.WithTimeout(s.life, aliveTime)
	defer cancel()
	return s.opts.Heirs.Alive(ctx, build, initiator)
}

// inheritance is a build that this node goes on with.
type inheritance struct {
	initiator peer.ID // of the one before, who is lost
	yield     context.CancelCauseFunc
	asks      bool // whether that one lives
}

// reconcile gives a build back that is led for its initiator, if that says that
// it lives.
func (s *Service) reconcile(build steal.BuildID, initiator peer.ID) {
	mine := s.inheritedOf(build, initiator)
	if len(mine) == 0 {
		return
	}
	lives := s.asksInitiator(build, initiator)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range mine {
		if i.asks = false; lives {
			i.yield(ErrYielded)
		}
	}
}

// inheritedOf returns what goes on here with a build of that initiator, or with
// what others went on with it as, unless it is being asked for.
func (s *Service) inheritedOf(build steal.BuildID, initiator peer.ID) (mine []*inheritance) {
	first, generation := Family(build)
	s.mu.Lock()
	defer s.mu.Unlock()
	for of, i := range s.inherited { // in any order: all are asked for at once
		f, g := Family(of)
		if f == first && !i.asks && (g > generation || g == generation && i.initiator == initiator) {
			i.asks = true
			mine = append(mine, i)
		}
	}
	return mine
}

func (s *Service) takeCustody() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.custodies >= maxCustodies {
		return false
	}
	s.custodies++
	return true
}

func (s *Service) leaveCustody() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.custodies--
}
