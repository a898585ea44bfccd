package packets

import (
	"net/netip"
	"time"

	"github.com/buildnet/buildnet/simulations/network"
)

// flight is a packet under way.
type flight struct {
	data     []byte
	from, to netip.AddrPort // as the next on the way sees them
	source   *Host
	way      []hop // what is left of it
	gate     *nat  // at the end of the way, before target is known; or nil
	target   *Host

	at     time.Duration // when it goes on, since Net.began
	serial uint64
}

// hop is a line to wait for and a path to take; either may be missing.
type hop struct {
	line *line
	path *network.Path
}

// course is a path as one pair of ends takes it.
type course struct {
	path *network.Path
	from *Host
	to   netip.AddrPort
}

// line sends one packet after the other.
type line struct {
	bandwidth float64 // bytes a second; 0 is no limit
	queue     time.Duration
	free      time.Duration // when all that waits is sent, since Net.began
}

func newLine(bandwidth float64) line {
	l := line{bandwidth: bandwidth, queue: queueTime}
	if bandwidth > 0 {
		l.queue = max(l.queue, l.takes(queueLeast))
	}
	return l
}

func (l *line) takes(bytes int) time.Duration {
	return time.Duration(float64(bytes) / l.bandwidth * float64(time.Second))
}

// send returns when a packet that comes now has left; ok is false when there
// is no room for it.
func (l *line) send(now time.Duration, bytes int) (left time.Duration, ok bool) {
	if l == nil || l.bandwidth <= 0 {
		return now, true
	}
	start := max(now, l.free)
	if start-now > l.queue {
		return 0, false
	}
	l.free = start + l.takes(bytes+headerBytes)
	return l.free, true
}

// send puts a packet of h on its way.
func (n *Net) send(h *Host, from, to netip.AddrPort, data []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return
	}
	h.sent.Packets++
	h.sent.Bytes += len(data)
	if n.watch != nil {
		n.watch(h.number, to, data)
	}
	f := &flight{data: append([]byte{}, data...), from: from, to: to, source: h, at: time.Since(n.began)}
	if n.route(f) {
		n.advance(f)
	}
}

// route finds the way; it counts why there is none.
func (n *Net) route(f *flight) bool {
	h := f.source
	up := hop{&h.up, n.sites[h.site].local}
	if b := n.neighbour(h, f.to.Addr()); b != nil {
		f.way, f.target = []hop{up}, b
		return n.open(h, b)
	}
	if h.nat != nil {
		f.from = h.nat.out(n, f.at, f.from, f.to)
	}
	end, ok := n.addrs[f.to.Addr()]
	if !ok {
		n.drops.NoRoute++
		return false
	}
	f.way, f.target, f.gate = []hop{up}, end.host, end.nat
	there := end.site()
	if there == h.site {
		return true
	}
	road := n.sites[h.site].routes[there]
	if road == nil {
		n.drops.NoRoute++
		return false
	}
	f.way = append(f.way, hop{&road.line, road.path}, hop{nil, n.sites[there].local})
	return true
}

// neighbour is the host with a private address of the same NAT.
func (n *Net) neighbour(h *Host, addr netip.Addr) *Host {
	if h.nat == nil {
		return nil
	}
	return h.nat.inside[addr]
}

// open says whether packets may pass from a to b; it counts those that may
// not.
func (n *Net) open(a, b *Host) bool {
	if a.off || b.off || n.cut[[2]int{a.number, b.number}] {
		n.drops.Cut++
		return false
	}
	return true
}

// advance takes a flight along its way until it has to wait. The caller holds
// mu.
func (n *Net) advance(f *flight) {
	for now := f.at; ; now = f.at {
		if len(f.way) == 0 && f.gate != nil && !n.enter(f) {
			return
		}
		if len(f.way) == 0 {
			n.arrive(f)
			return
		}
		next := f.way[0]
		f.way = f.way[1:]
		if len(f.way) == 0 && f.gate == nil && next.path != nil {
			f.way = []hop{{line: &f.target.down}} // the last
		}
		left, ok := next.line.send(now, len(f.data))
		if !ok {
			n.drops.Queue++
			return
		}
		f.at = left
		if next.path != nil && !n.travel(f, next.path) {
			return
		}
		if f.at > now {
			n.later(f)
			return
		}
	}
}

// enter takes a flight through the NAT at the end of its way.
func (n *Net) enter(f *flight) bool {
	to, h, ok := f.gate.in(f.at, f.from, f.to)
	if !ok {
		n.drops.NAT++
		return false
	}
	f.to, f.target, f.gate = to, h, nil
	f.way = []hop{{line: &h.down}}
	return true
}

// travel moves f.at to the end of the path, if it gets there.
func (n *Net) travel(f *flight, p *network.Path) bool {
	if n.chance(p.Loss) {
		n.drops.Lost++
		return false
	}
	if n.chance(p.Duplication) {
		again := *f
		again.at = n.arrival(f, p)
		n.later(&again)
	}
	f.at = n.arrival(f, p)
	return true
}

// arrival draws the time that a path takes. Packets of one course keep their
// order, but for those that are drawn to be late: these wait once more.
func (n *Net) arrival(f *flight, p *network.Path) time.Duration {
	at := f.at + p.Latency + n.upTo(p.Jitter)
	if n.chance(p.Reordering) {
		return at + max(time.Millisecond, p.Latency/2+p.Jitter)
	}
	if p.Jitter == 0 {
		return at
	}
	c := course{p, f.source, f.to}
	at = max(at, n.last[c])
	n.last[c] = at
	return at
}

func (n *Net) chance(p float64) bool { return p > 0 && n.rng.Float64() < p }

func (n *Net) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(n.rng.Int64N(int64(d)))
}

// arrive hands a packet to the socket it is for.
func (n *Net) arrive(f *flight) {
	if !n.open(f.source, f.target) {
		return
	}
	s := f.target.sockets[f.to.Port()]
	switch {
	case s == nil:
		n.drops.NoRoute++
	case n.chance(n.loss):
		n.drops.Lost++
	case !s.push(packet{f.data, f.from}):
		n.drops.Socket++
	default:
		f.target.received.Packets++
		f.target.received.Bytes += len(f.data)
	}
}
