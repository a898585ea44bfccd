package sched

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
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
	// keepTries is how often an heir tries to get what it is to keep. keepAgain is
	// the first pause between two tries, maxKeepAgain the longest.
	keepTries    = 6
	keepAgain    = 500 * time.Millisecond
	maxKeepAgain = 8 * time.Second
	// aliveTime is how long the initiator of a build has to say that it lives.
	aliveTime = time.Second
)

// ErrYielded says that an heir gave a build up, which goes on elsewhere.
var ErrYielded = errors.New("the build's initiator, or another heir of it, lives and goes on with it")

// ErrTooMuch says that a build is more than what a node keeps for others.
var ErrTooMuch = errors.New("it is more than this node keeps for others")

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
	// and the outputs of those whose results are given. It returns ErrTooMuch where
	// that is more than this node keeps.
	Sources(ctx context.Context) error
	// Secure is as an Observer's. It returns ErrTooMuch as Sources does.
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
	keeps     Custody // nil until the plan is here
	plan      *steal.Plan
	initiator peer.ID
	queue     []bringing
	bringing  int
	ctx       context.Context
	cancel    context.CancelFunc
}

// bringing is a result whose outputs are to be brought here, and how often that
// failed.
type bringing struct {
	steal.Securing
	tries int
}

func (p *party) doHeir(out steal.KeeperOutput) {
	if out.Drop {
		p.disown()
	}
	if out.Keep != nil {
		p.keep(out.Keep)
	}
	if c := p.custody; c != nil {
		for _, b := range out.Brings {
			c.queue = append(c.queue, bringing{Securing: b})
		}
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
	if why := s.takeCustody(); why != "" {
		p.doKeeper(p.keeper.Decline(time.Now(), why))
		return
	}
	c := &custody{initiator: k.Initiator}
	c.ctx, c.cancel = context.WithCancel(p.ctx)
	p.custody = c
	p.work.Go(func() {
		defer s.leaveCustody()
		defer c.cancel()
		err := p.fetchSources(c, k)
		kept := p.box.post(func() {
			switch {
			case p.custody != c || p.keeper == nil:
			case err == nil:
				s.opts.Log.Info("ready to go on with a build", "build", p.build, "peer", k.Initiator)
				p.doKeeper(p.keeper.Kept(time.Now()))
			default:
				p.disown()
				p.doKeeper(p.keeper.Decline(time.Now(), err.Error()))
			}
		})
		if kept && err == nil {
			<-c.ctx.Done()
		}
	})
}

// retryPause is the pause before what failed is tried again: it doubles with each
// try, and is up to half as long again by chance.
func retryPause(try int) time.Duration {
	pause := min(keepAgain<<min(try, 10), maxKeepAgain)
	return pause + rand.N(pause/2)
}

// fetchSources brings the plan, then what it begins with.
func (p *party) fetchSources(c *custody, k *steal.Custody) (err error) {
	var keeps Custody
	for try := range keepTries {
		var plan *steal.Plan
		if plan, err = p.s.loadWhole(c.ctx, k); err == nil && keeps == nil {
			keeps = p.s.opts.Heirs.Custody(p.build, k.Initiator, plan)
			if !p.box.post(func() { p.keeping(c, keeps, plan) }) {
				keeps.Close()
				return ErrClosed
			}
		}
		if err == nil {
			err = keeps.Sources(c.ctx)
		}
		if err == nil || errors.Is(err, ErrTooMuch) {
			return err
		}
		p.s.opts.Log.Debug("build is not kept yet", "build", p.build, "error", err)
		select {
		case <-c.ctx.Done():
			return c.ctx.Err()
		case <-time.After(retryPause(try)):
		}
	}
	return fmt.Errorf("what it begins with could not be fetched: %w", err)
}

// loadWhole brings the plan here, with what was added to it.
func (s *Service) loadWhole(ctx context.Context, k *steal.Custody) (*steal.Plan, error) {
	plan, err := s.loadPlan(ctx, k.Plan, []peer.ID{k.Initiator})
	if err != nil || !plan.Open {
		return plan, err
	}
	return plan.With(k.Added)
}

func (p *party) keeping(c *custody, keeps Custody, plan *steal.Plan) {
	if p.custody != c {
		go keeps.Close()
		return
	}
	c.keeps, c.plan = keeps, plan
	p.bring(c)
}

// bring fetches outputs of results, a few at a time: those first that the
// initiator made, which nobody else has.
func (p *party) bring(c *custody) {
	for c.keeps != nil && c.bringing < maxBringing && len(c.queue) > 0 {
		at := max(0, slices.IndexFunc(c.queue, func(b bringing) bool { return b.Done.Peer == c.initiator }))
		next := c.queue[at]
		c.queue = slices.Delete(c.queue, at, at+1)
		c.bringing++
		p.work.Go(func() {
			err := c.keeps.Secure(c.ctx, next.Step, alsoAt(next.Done, c.initiator))
			p.box.post(func() {
				c.bringing--
				if p.custody == c && p.keeper != nil {
					p.brought(c, next, err)
				}
			})
		})
	}
}

func (p *party) brought(c *custody, b bringing, err error) {
	switch {
	case err == nil:
		p.doKeeper(p.keeper.Held(time.Now(), b.Step, b.Done))
	case errors.Is(err, ErrTooMuch):
		p.disown()
		p.doKeeper(p.keeper.Decline(time.Now(), err.Error()))
		return
	case b.tries+1 >= keepTries:
		p.s.opts.Log.Warn("outputs are not kept for others", "build", p.build, "step", b.Step, "error", err)
	default:
		p.work.Go(func() { p.bringLater(c, bringing{b.Securing, b.tries + 1}) })
	}
	p.bring(c)
}

func (p *party) bringLater(c *custody, b bringing) {
	select {
	case <-c.ctx.Done():
	case <-time.After(retryPause(b.tries)):
		p.box.post(func() {
			if p.custody == c && p.keeper != nil {
				c.queue = append(c.queue, b)
				p.bring(c)
			}
		})
	}
}

// alsoAt names the initiator among the holders: it brings all outputs to itself.
func alsoAt(d *steal.Done, initiator peer.ID) *steal.Done {
	if slices.Contains(d.Holders, initiator) {
		return d
	}
	held := *d
	held.Holders = append(slices.Clone(d.Holders), initiator)
	return &held
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

// takeCustody makes room for one more build, or says why not.
func (s *Service) takeCustody() (why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.opts.Heirs == nil:
		return "it keeps no builds of others"
	case s.opts.OwnBuildsOnly:
		return "it works for its own builds alone"
	case s.drains:
		return "it leaves the mesh"
	case s.custodies >= maxCustodies:
		return fmt.Sprintf("it keeps %d builds of others already", s.custodies)
	}
	s.custodies++
	return ""
}

func (s *Service) leaveCustody() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.custodies--
}
