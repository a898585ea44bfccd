package mesh

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/buildnet/buildnet/mesh/join"
	"github.com/buildnet/buildnet/mesh/link"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/hashicorp/serf/serf"
)

const (
	// joinTime is how long a node with seeds looks for a member.
	joinTime = 10 * time.Second
	// lookTime is how long one that may find others looks at its start.
	lookTime = time.Second
	// askEvery repeats the question to the LAN while a node waits for it.
	askEvery = 250 * time.Millisecond
	// A lone node looks again after seekFirst, then twice that, up to
	// seekLast; one in company looks for other parts of the mesh.
	seekFirst   = time.Second
	seekLast    = 8 * time.Second
	seekCompany = 20 * time.Second
	// helloTime bounds a hello in the background, copyTime one to what may be
	// a copy of this node, which delays the start.
	helloTime = 2 * time.Second
	copyTime  = 700 * time.Millisecond
	// tryAgain is how long an address rests before the next hello in the
	// background: the LAN may name it many times at once.
	tryAgain = 800 * time.Millisecond
	// maxTried bounds the addresses that rest.
	maxTried = 1024
	// maxHellos bounds hellos in the background at once.
	maxHellos = 8
	// hellos to a new member; the quickest counts, since a busy machine is
	// slow to answer some.
	hellos = 3
	// joinAgain is how long a member that is itself just starting may take.
	joinAgain = 100 * time.Millisecond
	// entering bounds how often that is tried.
	entering = 20
)

// multicasts says whether a node that listens at addr can be found on the LAN,
// and on which interfaces: nil is all.
func multicasts(d Discovery, addr netip.Addr) (use func(net.Interface) bool, ok bool) {
	switch {
	case d == ByAddress || addr.IsLoopback():
		return nil, false
	case addr.IsUnspecified():
		return nil, true
	case !addr.Unmap().Is4():
		return nil, false
	}
	return func(i net.Interface) bool {
		addrs, _ := i.Addrs()
		return slices.ContainsFunc(addrs, func(a net.Addr) bool {
			n, isNet := a.(*net.IPNet)
			return isNet && n.IP.Equal(addr.AsSlice())
		})
	}, true
}

// tags are those that members may use now. Clocks may differ by an hour, and a
// member that slept through a rotation asks with a former secret.
func (m *Mesh) tags() []join.Tag {
	r, now := m.currentRoll(), time.Now()
	var all []join.Tag
	for _, secret := range append([]join.Secret{r.Secret}, r.Former...) {
		for _, off := range []time.Duration{0, -time.Hour, time.Hour} {
			all = append(all, secret.Tag(r.Mesh, now.Add(off)))
		}
	}
	return all
}

func (m *Mesh) ask() {
	if m.finder != nil {
		m.finder.Ask()
	}
}

func (m *Mesh) found() <-chan netip.AddrPort {
	if m.finder == nil {
		return nil
	}
	return m.finder.Found()
}

// greet says hello to everybody who may be there, at once, and returns the
// first that answers; none if the node may be alone.
func (m *Mesh) greet(ctx context.Context) (link.Met, error) {
	candidates := slices.Concat(m.opts.Seeds, m.opts.Known, m.lastKnown())
	ctx, cancel := context.WithTimeout(ctx, m.looks(len(candidates)))
	defer cancel()
	g := &greeting{mesh: m, begun: map[netip.AddrPort]bool{}, results: make(chan greeted)}
	defer g.hellos.Wait()
	defer cancel()
	for _, addr := range candidates {
		g.hello(ctx, addr)
	}
	again := time.NewTicker(askEvery)
	defer again.Stop()
	m.ask()
	for {
		select {
		case r := <-g.results:
			if r.err == nil {
				return r.met, nil
			}
			if errors.Is(r.err, ErrCopied) {
				return link.Met{}, r.err
			}
		case addr := <-m.found():
			g.hello(ctx, addr)
		case <-again.C:
			m.ask()
		case <-ctx.Done():
			if len(m.opts.Seeds) == 0 {
				return link.Met{}, nil
			}
			return link.Met{}, fmt.Errorf("%w within %s: tried %v; check that one runs there, that UDP passes, and that the token is of this mesh", ErrNoMember, joinTime, m.opts.Seeds)
		}
	}
}

func (m *Mesh) looks(candidates int) time.Duration {
	switch {
	case len(m.opts.Seeds) > 0:
		return joinTime
	case m.opts.Look == 0 && (candidates > 0 || m.finder != nil):
		return lookTime
	default:
		return max(m.opts.Look, 0)
	}
}

type greeted struct {
	met link.Met
	err error
}

type greeting struct {
	mesh    *Mesh
	begun   map[netip.AddrPort]bool
	hellos  sync.WaitGroup
	results chan greeted
}

func (g *greeting) hello(ctx context.Context, addr netip.AddrPort) {
	if g.begun[addr] || len(g.begun) == maxTried {
		return
	}
	g.begun[addr] = true
	g.hellos.Go(func() {
		met, err := g.mesh.link.Hello(ctx, addr)
		select {
		case g.results <- greeted{met, err}:
		case <-ctx.Done():
		}
	})
}

// enterFirst joins through the member that greet has met. It may be starting
// as well, and not serve yet.
func (m *Mesh) enterFirst(ctx context.Context, met link.Met) (err error) {
	if met.ID == "" {
		return nil
	}
	again := time.NewTicker(joinAgain)
	defer again.Stop()
	for range entering {
		if err = m.enter(ctx, met); err == nil || errors.Is(err, ErrCopied) {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil
		}
	}
	if len(m.opts.Seeds) > 0 {
		return err
	}
	m.opts.Log.Warn("could not join; the node goes on alone and keeps trying", "addr", met.Addr, "err", err)
	return nil
}

// enter joins the part of the mesh that a met member is in.
func (m *Mesh) enter(ctx context.Context, met link.Met) error {
	m.mu.Lock()
	m.rtt[met.ID], m.observed = met.RTT, met.Seen
	s := m.serf
	m.mu.Unlock()
	if err := m.exchange(ctx, met.ID, met.Addr); err != nil {
		return fmt.Errorf("join through %s: %w", met.Addr, err)
	}
	if x, ok := m.find(met.ID); ok && x.State == peer.Alive && x.Addr == met.Addr {
		return nil
	}
	if _, err := s.Join([]string{string(met.ID) + "/" + met.Addr.String()}, true); err != nil {
		return fmt.Errorf("join through %s: %w", met.Addr, err)
	}
	for _, x := range s.Members() {
		if err := m.isCopy(ctx, x); err != nil {
			return err
		}
	}
	return nil
}

// isCopy returns ErrCopied if x is another node that runs under this identity
// and was there first.
func (m *Mesh) isCopy(ctx context.Context, x serf.Member) error {
	id, life := splitName(x.Name)
	if id != m.Self() || life == m.life || x.Status != serf.StatusAlive {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, copyTime)
	defer cancel()
	_, err := m.link.Hello(ctx, addrOf(x))
	if !errors.Is(err, ErrCopied) {
		return nil // what was this node's last run answers no more
	}
	if life > m.life {
		m.opts.Log.Error("a copy of this node's home runs elsewhere; it should end by itself", "addr", addrOf(x))
		return nil
	}
	return err
}

func (m *Mesh) otherRun(ctx context.Context, x serf.Member, e serf.EventType) {
	if e != serf.EventMemberJoin {
		return
	}
	m.background(ctx, func() {
		err := m.isCopy(ctx, x)
		if err == nil {
			return
		}
		select {
		case m.copied <- err:
		default:
		}
	})
}

// background runs f while there is room for it.
func (m *Mesh) background(ctx context.Context, f func()) {
	if _, ok := m.begin(); !ok {
		return
	}
	go func() {
		defer m.tasks.Done()
		select {
		case m.slots <- struct{}{}:
			defer func() { <-m.slots }()
			f()
		case <-ctx.Done():
		}
	}()
}

// seek finds members that the membership does not know: at once those that
// start later, and again and again what a partition has cut off.
func (m *Mesh) seek(ctx context.Context) {
	wait := seekFirst
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case addr := <-m.found():
			m.approach(ctx, addr)
		case <-next.C:
			m.ask()
			if m.alone() {
				for _, addr := range slices.Concat(m.opts.Seeds, m.opts.Known, m.lastKnown()) {
					m.approach(ctx, addr)
				}
				next.Reset(wait + rand.N(wait/4))
				wait = min(2*wait, seekLast)
				continue
			}
			if lost := m.lastKnown(); len(lost) > 0 {
				m.approach(ctx, lost[rand.N(len(lost))])
			}
			wait = seekFirst
			next.Reset(seekCompany + rand.N(seekCompany/4))
		}
	}
}

func (m *Mesh) alone() bool {
	return !slices.ContainsFunc(m.now(), func(x peer.Member) bool { return !x.Self && x.State == peer.Alive })
}

// approach says hello in the background to an address that no member has.
func (m *Mesh) approach(ctx context.Context, addr netip.AddrPort) {
	if !m.rested(addr) || slices.ContainsFunc(m.now(), func(x peer.Member) bool { return x.State == peer.Alive && x.Addr == addr }) {
		return
	}
	m.background(ctx, func() {
		met, err := m.hello(ctx, addr)
		if err == nil {
			err = m.enter(ctx, met)
		}
		switch {
		case errors.Is(err, ErrCopied):
			m.opts.Log.Warn("a copy of this node's home runs elsewhere", "addr", addr)
		case err != nil:
			m.opts.Log.Debug("no member found", "addr", addr, "err", err)
		}
	})
}

func (m *Mesh) rested(addr netip.AddrPort) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if now.Sub(m.tried[addr]) < tryAgain {
		return false
	}
	if len(m.tried) >= maxTried {
		clear(m.tried)
	}
	m.tried[addr] = now
	return true
}

func (m *Mesh) hello(ctx context.Context, addr netip.AddrPort) (link.Met, error) {
	ctx, cancel := context.WithTimeout(ctx, helloTime)
	defer cancel()
	return m.link.Hello(ctx, addr)
}

// acquaint measures the way to a member that has appeared; both sides admit
// each other by it. Connections to an earlier run of it are dropped.
func (m *Mesh) acquaint(ctx context.Context, x serf.Member) {
	id, _ := splitName(x.Name)
	for range hellos {
		met, err := m.hello(ctx, addrOf(x))
		if err != nil {
			m.opts.Log.Debug("hello to a new member", "peer", id, "err", err)
			continue
		}
		if met.ID != id {
			return
		}
		m.mu.Lock()
		if before, known := m.rtt[id]; !known || met.RTT < before {
			m.rtt[id] = met.RTT
		}
		m.mu.Unlock()
	}
	m.publish(id)
	if err := m.link.Prune(ctx, id); err != nil {
		m.opts.Log.Debug("drop old connections", "peer", id, "err", err)
	}
}
