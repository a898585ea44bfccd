package packets

import (
	"fmt"
	"net/netip"
	"time"
)

// Kind is how a NAT maps and filters.
type Kind uint8

// The classic names (RFC 3489, section 5) and what RFC 4787 calls them.
const (
	// FullCone maps and filters independent of the endpoint: who knows the
	// mapping gets in.
	FullCone Kind = iota + 1
	// Restricted maps independent of the endpoint; in gets who was sent to, by
	// address.
	Restricted
	// PortRestricted is that by address and port.
	PortRestricted
	// Symmetric maps each destination to another port, and lets nobody else in
	// by it.
	Symmetric
)

// String names a kind.
func (k Kind) String() string {
	names := [...]string{FullCone: "full cone", Restricted: "restricted cone", PortRestricted: "port-restricted cone", Symmetric: "symmetric"}
	if int(k) >= len(names) || names[k] == "" {
		return fmt.Sprintf("kind %d", k)
	}
	return names[k]
}

// natTimeout is how long a mapping lives without traffic: the least of RFC
// 4787, REQ-5.
const natTimeout = 2 * time.Minute

// NAT stands between some hosts of one site and everybody else. They have
// private addresses and reach one another directly.
type NAT struct {
	Kind  Kind
	Hosts []int
	// Timeout ends a mapping, and each permission to get in, after that time
	// without a packet to the outside; packets from there keep nothing alive.
	// 0 is two minutes.
	Timeout time.Duration
	// Hairpin lets hosts behind the NAT reach each other by its outer address
	// (RFC 4787, REQ-9, demands it; many home routers cannot).
	Hairpin bool
}

// nat is a NAT at work. All but its constants is guarded by Net.mu.
type nat struct {
	NAT
	site   int
	addr   netip.Addr
	inside map[netip.Addr]*Host

	byInside  map[flow]*mapping
	byOutside map[uint16]*mapping
}

// flow is what a mapping is for; to is set where it depends on the endpoint.
type flow struct{ from, to netip.AddrPort }

type mapping struct {
	flow    flow
	port    uint16
	used    time.Duration
	allowed map[netip.AddrPort]time.Duration // last sent to; port 0 where only the address counts
}

func (n *Net) addNAT(number int, o NAT) error {
	if len(o.Hosts) == 0 || o.Kind < FullCone || o.Kind > Symmetric {
		return fmt.Errorf("NAT %d: %s of %d hosts", number, o.Kind, len(o.Hosts))
	}
	if o.Timeout == 0 {
		o.Timeout = natTimeout
	}
	t := &nat{
		NAT: o, addr: numbered(12, 0, number+1), inside: map[netip.Addr]*Host{},
		byInside: map[flow]*mapping{}, byOutside: map[uint16]*mapping{},
	}
	for i, x := range o.Hosts {
		if x < 0 || x >= len(n.hosts) || n.hosts[x].nat != nil {
			return fmt.Errorf("NAT %d: host %d is not there, or behind another", number, x)
		}
		h := n.hosts[x]
		if i > 0 && h.site != t.site {
			return fmt.Errorf("NAT %d: host %d is in another site", number, x)
		}
		t.site, h.nat, h.addr = h.site, t, numbered(10, number, x+1)
		t.inside[h.addr] = h
	}
	n.nats = append(n.nats, t)
	n.addrs[t.addr] = owner{nat: t}
	return nil
}

// out translates the source of a packet that leaves.
func (t *nat) out(n *Net, now time.Duration, from, to netip.AddrPort) netip.AddrPort {
	key := flow{from: from}
	if t.Kind == Symmetric {
		key.to = to
	}
	m := t.byInside[key]
	if m != nil && now-m.used > t.Timeout {
		delete(t.byInside, key)
		delete(t.byOutside, m.port)
		m = nil
	}
	if m == nil {
		m = &mapping{flow: key, port: t.freePort(n, now, from.Port()), allowed: map[netip.AddrPort]time.Duration{}}
		t.byInside[key], t.byOutside[m.port] = m, m
	}
	m.used = now
	m.allowed[t.permit(to)] = now
	return netip.AddrPortFrom(t.addr, m.port)
}

// permit is what a packet to an endpoint lets in.
func (t *nat) permit(to netip.AddrPort) netip.AddrPort {
	if t.Kind == Restricted {
		return netip.AddrPortFrom(to.Addr(), 0)
	}
	return to
}

// freePort keeps the inner port if it can; a symmetric NAT never does.
func (t *nat) freePort(n *Net, now time.Duration, inner uint16) uint16 {
	if t.Kind != Symmetric && t.vacant(now, inner) {
		return inner
	}
	for {
		if port := uint16(firstFree + n.rng.IntN(1<<16-firstFree)); t.vacant(now, port) {
			return port
		}
	}
}

func (t *nat) vacant(now time.Duration, port uint16) bool {
	m := t.byOutside[port]
	if m == nil {
		return true
	}
	if now-m.used <= t.Timeout {
		return false
	}
	delete(t.byInside, m.flow)
	delete(t.byOutside, port)
	return true
}

// in translates the destination of a packet that comes from outside.
func (t *nat) in(now time.Duration, from, to netip.AddrPort) (inner netip.AddrPort, h *Host, ok bool) {
	m := t.byOutside[to.Port()]
	if m == nil || now-m.used > t.Timeout {
		return inner, nil, false
	}
	if from.Addr() == t.addr && !t.Hairpin {
		return inner, nil, false
	}
	if last, sent := m.allowed[t.permit(from)]; t.Kind != FullCone && (!sent || now-last > t.Timeout) {
		return inner, nil, false
	}
	return m.flow.from, t.inside[m.flow.from.Addr()], true
}
