package mesh

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/link"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/hashicorp/serf/serf"
)

const (
	tagHost = "h"
	tagCaps = "c"
)

func encodeTags(host string, c peer.Capabilities) map[string]string {
	raw, err := json.Marshal([]any{c.BPU, c.Cores, c.Slots, c.OS, c.Arch, c.Toolchains, c.API, c.Version})
	if err != nil {
		panic(fmt.Sprintf("encode capabilities: %v", err)) // NaN: a bug of the meter
	}
	return map[string]string{tagHost: host, tagCaps: string(raw)}
}

func decodeTags(tags map[string]string) (c peer.Capabilities) {
	fields := []any{&c.BPU, &c.Cores, &c.Slots, &c.OS, &c.Arch, &c.Toolchains, &c.API, &c.Version}
	if json.Unmarshal([]byte(tags[tagCaps]), &fields) != nil {
		return peer.Capabilities{}
	}
	return c
}

// SetCapabilities tells the mesh what this node can do.
func (m *Mesh) SetCapabilities(c peer.Capabilities) error {
	m.mu.Lock()
	m.caps = c
	s := m.serf
	m.mu.Unlock()
	if s == nil {
		return nil
	}
	if err := s.SetTags(encodeTags(m.opts.Host, c)); err != nil {
		return fmt.Errorf("announce capabilities: %w", err)
	}
	return nil
}

// Members returns everybody known, this node included, by ID.
func (m *Mesh) Members() []peer.Member {
	m.mu.Lock()
	s := m.serf
	m.mu.Unlock()
	if s == nil {
		return nil
	}
	var all []peer.Member
	for _, x := range s.Members() {
		all = append(all, m.member(s, x))
	}
	slices.SortFunc(all, func(a, b peer.Member) int { return a.ID.Compare(b.ID) })
	return all
}

func (m *Mesh) member(s *serf.Serf, x serf.Member) peer.Member {
	id := peer.ID(x.Name)
	ip, _ := netip.AddrFromSlice(x.Addr)
	out := peer.Member{
		ID: id, Name: x.Tags[tagHost], Addr: netip.AddrPortFrom(ip.Unmap(), x.Port),
		State: state(x.Status), Self: id == m.Self(), Caps: decodeTags(x.Tags),
	}
	if !out.Self {
		out.RTT = m.Estimate(m.Self(), id)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if hello, ok := m.rtt[id]; ok && (out.RTT == 0 || time.Since(m.since[id]) < settleTime) {
		out.RTT = hello
	}
	out.Since = m.since[id]
	return out
}

// settleTime is how long Vivaldi coordinates need to mean something.
const settleTime = 6 * time.Second

func state(s serf.MemberStatus) peer.State {
	switch s {
	case serf.StatusAlive:
		return peer.Alive
	case serf.StatusLeaving, serf.StatusLeft:
		return peer.Left
	default:
		return peer.Failed
	}
}

// Estimate is the round trip between two members by serf's coordinates; 0 when
// one has none yet.
func (m *Mesh) Estimate(a, b peer.ID) time.Duration {
	m.mu.Lock()
	s := m.serf
	m.mu.Unlock()
	if s == nil {
		return 0
	}
	at, ok := s.GetCachedCoordinate(string(a))
	to, ok2 := s.GetCachedCoordinate(string(b))
	if !ok || !ok2 {
		return 0
	}
	return at.DistanceTo(to)
}

// Subscribe returns changes from now on. A slow reader loses the oldest ones,
// and asks Members for what is. cancel ends it.
func (m *Mesh) Subscribe() (<-chan Event, func()) {
	c := make(chan Event, eventQueue)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.subs[c] = true
	return c, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.subs, c)
	}
}

func (m *Mesh) follow(ctx context.Context, events <-chan serf.Event) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-events:
			if changed, ok := e.(serf.MemberEvent); ok {
				m.changed(changed)
			}
		}
	}
}

func (m *Mesh) changed(e serf.MemberEvent) {
	for _, x := range e.Members {
		m.mu.Lock()
		if e.Type == serf.EventMemberJoin {
			m.since[peer.ID(x.Name)] = time.Now()
		}
		s := m.serf
		m.mu.Unlock()
		event := Event{m.member(s, x)}
		m.mu.Lock()
		for c := range m.subs {
			publish(c, event)
		}
		m.mu.Unlock()
	}
}

func publish(c chan Event, e Event) {
	for {
		select {
		case c <- e:
			return
		default:
		}
		select {
		case <-c:
		default:
		}
	}
}

// Leave tells the mesh that this node goes. Run still has to be ended.
func (m *Mesh) Leave(ctx context.Context) error {
	m.mu.Lock()
	s := m.serf
	m.mu.Unlock()
	if s == nil {
		return nil
	}
	done := make(chan error, 1)
	go func() { done <- s.Leave() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("leave the mesh: %w", ctx.Err())
	}
}

// advertised is the address that other members are told: the one listened on,
// or how a member sees this node, or the first of an interface.
func (m *Mesh) advertised(met link.Met) netip.AddrPort {
	at := m.link.Addr()
	if !at.Addr().IsUnspecified() {
		return at
	}
	if met.Seen.IsValid() {
		return met.Seen
	}
	addrs, _ := net.InterfaceAddrs() // without any, loopback remains
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		if ip, valid := netip.AddrFromSlice(n.IP); valid && ip.Unmap().Is4() && ip.Unmap().IsGlobalUnicast() {
			return netip.AddrPortFrom(ip.Unmap(), at.Port())
		}
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port())
}
