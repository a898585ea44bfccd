package mesh

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/hashicorp/serf/serf"
)

// settleTime is how long Vivaldi coordinates need to mean something.
const settleTime = 6 * time.Second

// Members returns everybody known, this node included, by ID.
func (m *Mesh) Members() []peer.Member {
	m.mu.Lock()
	s := m.serf
	m.mu.Unlock()
	if s == nil {
		return nil
	}
	latest := map[peer.ID]serf.Member{}
	for _, x := range s.Members() {
		id, _ := splitName(x.Name)
		if m.hidden(x) {
			continue
		}
		if other, ok := latest[id]; !ok || supersedes(x, other) {
			latest[id] = x
		}
	}
	var all []peer.Member
	for _, id := range slices.Sorted(maps.Keys(latest)) {
		all = append(all, m.member(s, latest[id]))
	}
	return all
}

// hidden are other runs of this very node, and the revoked.
func (m *Mesh) hidden(x serf.Member) bool {
	id, life := splitName(x.Name)
	return id == m.Self() && life != m.life || m.banned(id)
}

// supersedes says whether x rather than other is what an ID is now: who is
// alive, then the later run.
func supersedes(x, other serf.Member) bool {
	a, b := x.Status == serf.StatusAlive, other.Status == serf.StatusAlive
	if a != b {
		return a
	}
	return x.Name > other.Name
}

func (m *Mesh) find(id peer.ID) (peer.Member, bool) {
	all := m.Members()
	i, ok := slices.BinarySearchFunc(all, id, func(x peer.Member, id peer.ID) int { return x.ID.Compare(id) })
	if !ok {
		return peer.Member{}, false
	}
	return all[i], true
}

func (m *Mesh) member(s *serf.Serf, x serf.Member) peer.Member {
	id, _ := splitName(x.Name)
	out := peer.Member{
		ID: id, Name: x.Tags[tagHost], Addr: addrOf(x),
		State: state(x.Status), Self: id == m.Self(), Caps: decodeTags(x.Tags),
	}
	if !out.Self {
		out.RTT = distance(s, serfName(m.Self(), m.life), x.Name)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	out.Since = m.since[x.Name]
	if hello, ok := m.rtt[id]; ok && (out.RTT == 0 || time.Since(out.Since) < settleTime) {
		out.RTT = hello
	}
	return out
}

func addrOf(x serf.Member) netip.AddrPort {
	ip, _ := netip.AddrFromSlice(x.Addr)
	return netip.AddrPortFrom(ip.Unmap(), x.Port)
}

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
	names := map[peer.ID]string{}
	for _, x := range s.Members() {
		if id, _ := splitName(x.Name); (id == a || id == b) && !m.hidden(x) && x.Name > names[id] {
			names[id] = x.Name
		}
	}
	return distance(s, names[a], names[b])
}

func distance(s *serf.Serf, a, b string) time.Duration {
	at, ok := s.GetCachedCoordinate(a)
	to, ok2 := s.GetCachedCoordinate(b)
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

// follow takes events until serf has ended: serf waits for whoever takes them.
func (m *Mesh) follow(ctx context.Context, s *serf.Serf, events <-chan serf.Event) {
	for {
		select {
		case <-s.ShutdownCh():
			return
		case e := <-events:
			if changed, ok := e.(serf.MemberEvent); ok {
				m.changed(ctx, changed)
			}
		}
	}
}

func (m *Mesh) changed(ctx context.Context, e serf.MemberEvent) {
	for _, x := range e.Members {
		id, _ := splitName(x.Name)
		m.mu.Lock()
		switch e.Type {
		case serf.EventMemberJoin:
			m.since[x.Name] = time.Now()
		case serf.EventMemberReap:
			delete(m.since, x.Name)
		}
		m.mu.Unlock()
		switch {
		case id == m.Self():
			m.otherRun(ctx, x, e.Type)
		case e.Type == serf.EventMemberJoin && !m.banned(id):
			m.note(id, addrOf(x))
			m.background(ctx, func() { m.acquaint(ctx, x) })
		}
		m.publish(id)
	}
}

// publish tells what an ID is now: of an old run's failure nobody hears when
// a new one lives.
func (m *Mesh) publish(id peer.ID) {
	member, ok := m.find(id)
	if !ok {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for c := range m.subs {
		publish(c, Event{member})
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
