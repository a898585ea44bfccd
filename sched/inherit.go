package sched

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/steal"
)

// inheritance is a build that this node goes on with.
type inheritance struct {
	of        steal.BuildID // the one before
	initiator peer.ID       // of the one before, who is lost
	plan      *steal.Plan
	yield     context.CancelCauseFunc
	asks      map[rival]bool // whether they live
}

// rival is a build that may go on in the place of an inherited one.
type rival struct {
	build     steal.BuildID
	initiator peer.ID
}

// inherit goes on with a build, unless its initiator lives, or another heir of
// it has begun to.
func (s *Service) inherit(build steal.BuildID, i *steal.Inherit, c *custody) {
	defer c.keeps.Close()
	as := heirOf(build)
	if s.asksInitiator(rival{build, i.Initiator}) || s.takesPart(as) {
		return
	}
	ctx, cancel := context.WithCancelCause(s.life)
	defer cancel(nil)
	mine := &inheritance{of: build, initiator: i.Initiator, plan: c.plan, yield: cancel, asks: map[rival]bool{}}
	s.mu.Lock()
	s.inherited[mine] = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.inherited, mine)
	}()
	s.opts.Log.Info("going on with a build", "build", build, "as", as, "peer", i.Initiator)
	o, ended := c.keeps.Inherit(as)
	err := s.Build(ctx, Build{ID: as, Plan: c.plan, Log: i.Log, Lost: i.Initiator, foreign: true}, o)
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, ErrYielded) {
		err = cause
	}
	ended(err)
}

func (s *Service) takesPart(build steal.BuildID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.parties[build] != nil
}

func (s *Service) asksInitiator(r rival) bool {
	ctx, cancel := context.WithTimeout(s.life, aliveTime)
	defer cancel()
	return s.opts.Heirs.Alive(ctx, r.build, r.initiator)
}

// askAgain is the pause before the initiator of a rival is asked again, which may
// have been out of reach.
const askAgain = 2 * time.Second

// reconcile gives up what goes on here with a build that is led elsewhere as
// well, if that one comes first and its initiator says that it lives.
func (s *Service) reconcile(r rival) {
	mine := s.inheritedOf(r)
	defer s.asksNoMore(mine, r)
	for s.goOn(mine) {
		switch {
		case s.asksInitiator(r):
			for _, i := range mine {
				i.yield(ErrYielded)
			}
			return
		case !s.takesPart(r.build):
			return
		}
		select {
		case <-s.life.Done():
			return
		case <-time.After(askAgain):
		}
	}
}

// goOn reports whether one of them does still.
func (s *Service) goOn(mine []*inheritance) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(mine, func(i *inheritance) bool { return s.inherited[i] })
}

func (s *Service) asksNoMore(mine []*inheritance, r rival) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range mine {
		delete(i.asks, r)
	}
}

// inheritedOf returns what is given up here if a rival lives, unless that is
// being asked.
func (s *Service) inheritedOf(r rival) (mine []*inheritance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.inherited { // in any order: all are asked for at once
		if !i.asks[r] && i.yieldsTo(s.opts.Self, r) {
			i.asks[r] = true
			mine = append(mine, i)
		}
	}
	return mine
}

// occupied returns what this node serves of what an heir goes on with as build,
// if it has a leader: an heir that has met its crew again would have it do what
// that build has done.
func (s *Service) occupied(build steal.BuildID, heir peer.ID) (by rival, ok bool) {
	if _, generation := Family(build); generation == 1 || heir == s.opts.Self {
		return rival{}, false
	}
	for _, p := range s.before(build) {
		led := make(chan rival, 1)
		posted := p.box.post(func() {
			if p.led() {
				led <- rival{p.build, p.initiator}
			}
			close(led)
		})
		if !posted {
			continue
		}
		if by, ok = <-led; ok {
			return by, true
		}
	}
	return rival{}, false
}

// before are this node's parts in what a build goes on with, the first one first.
func (s *Service) before(build steal.BuildID) []*party {
	first, generation := Family(build)
	var before []*party
	s.mu.Lock()
	defer s.mu.Unlock()
	for of, p := range s.parties {
		if f, g := Family(of); f == first && g < generation {
			before = append(before, p)
		}
	}
	slices.SortFunc(before, func(a, b *party) int {
		_, x := Family(a.build)
		_, y := Family(b.build)
		return cmp.Compare(x, y)
	})
	return before
}

// led reports whether the build goes on, as far as is known here.
func (p *party) led() bool { return p.origin != nil || p.keeper != nil && p.keeper.Led(time.Now()) }

// yieldsTo reports whether what self goes on with is given up for a rival: for
// one that fewer heirs made, or as many, and the last of those comes first.
// Anybody may take the name of a first build: whoever goes on with that believes
// only its initiator.
func (i *inheritance) yieldsTo(self peer.ID, r rival) bool {
	first, generation := Family(r.build)
	family, before := Family(i.of)
	switch {
	case first != family:
		return false
	case generation == 1 && before == 1:
		return r.initiator == i.initiator
	case generation == before+1:
		return i.plan.Earlier(r.initiator, self)
	default:
		return generation <= before
	}
}
