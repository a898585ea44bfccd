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

// stale is how old what Members returns may be where no event said that
// something changed: round trips change all the time.
const stale = 100 * time.Millisecond

// roster is what Members returned last. Every action of a build asks for it
// some times.
type roster struct {
	all   []peer.Member
	alive []peer.ID // see Alive
	since time.Time
	// turn counts changes: what was looked at before one is not kept after it.
	turn uint64
}

// Members returns everybody known, this node included, by ID. The capabilities
// in it are shared.
func (m *Mesh) Members() []peer.Member {
	m.mu.Lock()
	s, turn := m.serf, m.roster.turn
	all := m.roster.all
	fresh := time.Since(m.roster.since) < stale
	m.mu.Unlock()
	switch {
	case s == nil:
		return nil
	case fresh:
		return slices.Clone(all)
	}
	all = m.look(s)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.roster.turn == turn {
		m.roster.all, m.roster.alive, m.roster.since = slices.Clone(all), m.alive(all), time.Now()
	}
	return all
}

// Alive returns this node and those of Members that live, by ID. It is not to be
// changed.
func (m *Mesh) Alive() []peer.ID {
	m.mu.Lock()
	ids, fresh := m.roster.alive, time.Since(m.roster.since) < stale
	m.mu.Unlock()
	if fresh {
		return ids
	}
	return m.alive(m.Members())
}

func (m *Mesh) alive(all []peer.Member) []peer.ID {
	ids := append(make([]peer.ID, 0, 1+len(all)), m.Self())
	for i := range all {
		if all[i].State == peer.Alive && !all[i].Self {
			ids = append(ids, all[i].ID)
		}
	}
	return ids
}

// turned says that membership is not what it was.
func (m *Mesh) turned() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.roster = roster{turn: m.roster.turn + 1}
}

func (m *Mesh) look(s *serf.Serf) []peer.Member {
	present := m.present(s)
	var all []peer.Member
	for _, id := range slices.Sorted(maps.Keys(present)) {
		all = append(all, m.member(s, present[id]))
	}
	return all
}

// present is what each ID is now.
func (m *Mesh) present(s *serf.Serf) map[peer.ID]serf.Member {
	out := map[peer.ID]serf.Member{}
	for _, x := range s.Members() {
		id, _ := splitName(x.Name)
		if m.hidden(x) {
			continue
		}
		if other, ok := out[id]; !ok || m.supersedes(x, other) {
			out[id] = x
		}
	}
	return out
}

// hidden are other runs of this very node, and the revoked.
func (m *Mesh) hidden(x serf.Member) bool {
	id, life := splitName(x.Name)
	return id == m.Self() && life != m.life || m.banned(id)
}

// supersedes says whether x rather than other is what their ID is now: who is
// alive, and of two the later. But one from elsewhere may be a copy: the
// earlier stays until it is known to be gone.
func (m *Mesh) supersedes(x, other serf.Member) bool {
	a, b := x.Status == serf.StatusAlive, other.Status == serf.StatusAlive
	if a != b {
		return a
	}
	if a && addrOf(x) != addrOf(other) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.gone[x.Name] != m.gone[other.Name] {
			return m.gone[other.Name]
		}
		return x.Name < other.Name
	}
	return x.Name > other.Name
}

// replaced asks the earlier runs of x's ID whether they are gone.
func (m *Mesh) replaced(ctx context.Context, x serf.Member) {
	id, _ := splitName(x.Name)
	m.mu.Lock()
	s := m.serf
	m.mu.Unlock()
	for _, other := range s.Members() {
		if same, _ := splitName(other.Name); same != id || other.Status != serf.StatusAlive || other.Name >= x.Name {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, copyTime)
		met, err := m.link.Hello(ctx, addrOf(other))
		cancel()
		if err == nil && met.ID == id && addrOf(other) != addrOf(x) {
			continue // it lives: x is a copy
		}
		m.mu.Lock()
		m.gone[other.Name] = true
		m.mu.Unlock()
		m.publish(id)
	}
}

// now is Members as membership is at this moment.
func (m *Mesh) now() []peer.Member {
	m.mu.Lock()
	s := m.serf
	m.mu.Unlock()
	if s == nil {
		return nil
	}
	return m.look(s)
}

func (m *Mesh) find(id peer.ID) (peer.Member, bool) {
	all := m.now()
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
	out.RTT = m.shorter(out.RTT, id)
	return out
}

// shorter is the round trip to a peer: the estimate, or what a connection shows it
// to be at most. Coordinates follow probes, which wait for CPU on a busy machine.
func (m *Mesh) shorter(estimate time.Duration, to peer.ID) time.Duration {
	if seen := m.link.RTT(to); seen > 0 && (estimate == 0 || seen < estimate) {
		return seen
	}
	return estimate
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

// Estimate is the round trip between two members by serf's coordinates, and that
// of this node's connections where they show a shorter one; 0 when nothing is known.
func (m *Mesh) Estimate(a, b peer.ID) time.Duration {
	m.mu.Lock()
	s := m.serf
	m.mu.Unlock()
	if s == nil {
		return 0
	}
	present := m.present(s)
	estimate := distance(s, present[a].Name, present[b].Name)
	switch m.Self() {
	case a:
		return m.shorter(estimate, b)
	case b:
		return m.shorter(estimate, a)
	}
	return estimate
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
			delete(m.gone, x.Name)
		}
		m.mu.Unlock()
		switch {
		case id == m.Self():
			m.otherRun(ctx, x, e.Type)
		case e.Type == serf.EventMemberJoin && !m.banned(id):
			m.note(id, addrOf(x))
			m.background(ctx, func() {
				m.replaced(ctx, x)
				m.acquaint(ctx, x)
			})
		}
		m.publish(id)
	}
}

// publish tells what an ID is now: of an old run's failure nobody hears when
// a new one lives.
func (m *Mesh) publish(id peer.ID) {
	m.turned()
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
