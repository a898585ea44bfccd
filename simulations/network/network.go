package network

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

const (
	// packetBytes is what one datagram carries.
	packetBytes = 1200
	// prompt messages, up to so many bytes, do not queue behind bulk: QUIC and
	// the kernel share a link out fairly among streams, so that a beat waits for
	// a few packets of a large blob and not for the blob.
	prompt = 64 << 10
	// slowest is what a link without a bandwidth, or clogged to nothing, carries
	// in bytes a second, so that times stay finite.
	slowest = 1 << 10
	// leastWait is the least time after which a lost packet of a stream is sent
	// again (RFC 9002, section 6.2: the granularity of timers, and the delay of
	// acknowledgements).
	leastWait = 26 * time.Millisecond
	// mostWait is where its timeout stops doubling. QUIC's doubles while nothing
	// is acknowledged; but a connection of a build carries beats, and their
	// acknowledgement shows what was lost before them (RFC 9002, section 6.1).
	mostWait = 200 * time.Millisecond
	// maxLosses of one packet in a row: a chance below 1 ends, this bounds when.
	maxLosses = 16
)

// Network is links in use. It is not safe for concurrent use.
type Network struct {
	config Config
	chance *rand.Rand
	ways   [][]way // by site
	links  []links
	sides  []side
}

// links are the two directions of one node's link.
type links struct {
	out, in line
	factor  float64 // of the bandwidth that is left
	until   time.Duration
}

// route is one direction of what lies between two sites.
type route struct {
	path Path
	line line
}

// line carries bytes one after the other: prompt messages before bulk.
type line struct{ prompt, bulk time.Duration }

// New returns the network of a valid Config. chance decides what is lost,
// doubled, and late.
func New(c Config, chance *rand.Rand) (*Network, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	n := &Network{config: c, chance: chance, links: make([]links, len(c.Site))}
	n.ways = make([][]way, len(c.Sites))
	for i := range n.ways {
		n.ways[i] = make([]way, len(c.Sites))
		near := &c.Sites[i].Local
		n.ways[i][i] = way{true, near.Latency, near.Jitter, near.Loss, near.Duplication, near.Reordering, nil}
	}
	for i := range c.Routes {
		r := &c.Routes[i]
		n.ways[r.A][r.B] = between(&c.Sites[r.A].Local, &c.Sites[r.B].Local, &r.Path)
		n.ways[r.B][r.A] = between(&c.Sites[r.B].Local, &c.Sites[r.A].Local, &r.Path)
	}
	for i := range n.links {
		n.links[i].factor = 1
	}
	return n, nil
}

// Validate says what is wrong with a Config.
func (c *Config) Validate() error {
	for node, site := range c.Site {
		if site < 0 || site >= len(c.Sites) {
			return fmt.Errorf("network: node %d is at site %d of %d", node, site, len(c.Sites))
		}
	}
	seen := map[[2]int]bool{}
	for i, r := range c.Routes {
		if r.A == r.B || min(r.A, r.B) < 0 || max(r.A, r.B) >= len(c.Sites) {
			return fmt.Errorf("network: route %d is from site %d to site %d of %d", i, r.A, r.B, len(c.Sites))
		}
		pair := [2]int{min(r.A, r.B), max(r.A, r.B)}
		if seen[pair] {
			return fmt.Errorf("network: two routes join the sites %d and %d", pair[0], pair[1])
		}
		seen[pair] = true
		if err := r.check(); err != nil {
			return fmt.Errorf("network: route %d: %w", i, err)
		}
	}
	for i := range c.Sites {
		if err := c.Sites[i].Local.check(); err != nil {
			return fmt.Errorf("network: site %q: %w", c.Sites[i].Name, err)
		}
	}
	return nil
}

func (p *Path) check() error {
	for _, chance := range []float64{p.Loss, p.Duplication, p.Reordering} {
		if !(chance >= 0 && chance < 1) {
			return fmt.Errorf("a chance of %v; it is at least 0 and below 1", chance)
		}
	}
	if p.Latency < 0 || p.Jitter < 0 {
		return fmt.Errorf("latency %v, jitter %v; neither is negative", p.Latency, p.Jitter)
	}
	if !(p.Bandwidth >= 0) || math.IsInf(p.Bandwidth, 0) {
		return fmt.Errorf("bandwidth %v; it is in bytes a second", p.Bandwidth)
	}
	return nil
}

// way is what lies between two nodes.
type way struct {
	open                          bool
	latency, jitter               time.Duration
	loss, duplication, reordering float64
	route                         *route // nil within a site
}

// between is the way over a route. A node's own link is half of the way within
// its site.
func between(near, far, p *Path) way {
	return way{
		open:        true,
		latency:     near.Latency/2 + p.Latency + far.Latency/2,
		jitter:      near.Jitter/2 + p.Jitter + far.Jitter/2,
		loss:        either(near.Loss, p.Loss, far.Loss),
		duplication: either(near.Duplication, p.Duplication, far.Duplication),
		reordering:  either(near.Reordering, p.Reordering, far.Reordering),
		route:       &route{path: *p},
	}
}

func (n *Network) way(from, to int) *way {
	return &n.ways[n.config.Site[from]][n.config.Site[to]]
}

func either(chances ...float64) float64 {
	none := 1.0
	for _, c := range chances {
		none *= 1 - c
	}
	return 1 - none
}

// RTT is what two nodes would measure on idle links; 0 where there is no way.
func (n *Network) RTT(a, b int) time.Duration {
	if a == b {
		return 0
	}
	w := n.way(a, b)
	if !w.open {
		return 0
	}
	return 2*w.latency + w.jitter
}

// Stream returns when a message that is sent now on a stream that stands is at
// the other end: loss makes it late. The caller keeps the order within its
// stream. It is for two nodes between which there is a way: see Open.
func (n *Network) Stream(now time.Duration, from, to, bytes int) time.Duration {
	if from == to {
		return now
	}
	w := n.way(from, to)
	if !w.open {
		return now
	}
	carried := bytes
	wait := time.Duration(0)
	if w.loss > 0 {
		carried = int(float64(bytes) / (1 - w.loss))
		wait = n.resent(w, bytes)
	}
	return n.carry(now, from, to, carried, w) + w.latency + n.upTo(w.jitter) + wait
}

// resent is how much later the last byte of a message is for the loss of some.
func (n *Network) resent(w *way, bytes int) time.Duration {
	packets := float64(1 + bytes/packetBytes)
	timeout := max(leastWait, 2*w.latency+4*w.jitter)
	wait := time.Duration(0)
	for range maxLosses {
		if n.chance.Float64() < math.Pow(1-w.loss, packets) {
			return wait
		}
		wait += timeout
		timeout = Backoff(timeout)
		packets = max(1, packets*w.loss)
	}
	return wait
}

// Backoff is the timeout after one in which a packet of a stream was lost again.
func Backoff(timeout time.Duration) time.Duration { return max(timeout, min(2*timeout, mostWait)) }

// Packet returns when the copies of a packet that is sent now arrive: none if
// it is lost, two if it is doubled.
func (n *Network) Packet(now time.Duration, from, to, bytes int) (first, second time.Duration, copies int) {
	w := n.way(from, to)
	if !w.open || !n.Open(from, to) || w.loss > 0 && n.chance.Float64() < w.loss {
		return 0, 0, 0
	}
	first = n.carry(now, from, to, bytes, w) + w.latency + n.upTo(w.jitter)
	if w.reordering > 0 && n.chance.Float64() < w.reordering {
		first += n.upTo(4 * (w.latency + w.jitter))
	}
	if w.duplication > 0 && n.chance.Float64() < w.duplication {
		return first, first + n.upTo(2*(w.latency+w.jitter)), 2
	}
	return first, 0, 1
}

func (n *Network) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(n.chance.Int64N(int64(d) + 1))
}

// carry puts bytes on every line of the way and returns when the last one has
// left the slowest. Bytes go on before the last one has come, so that a line's
// time is not added to that of the one before it.
func (n *Network) carry(now time.Duration, from, to, bytes int, w *way) time.Duration {
	a, b := &n.links[from], &n.links[to]
	begun, done := a.out.put(now, now, bytes, a.rate(n.config.Sites[n.config.Site[from]].Local.Bandwidth))
	if w.route != nil {
		begun, done = w.route.line.follow(now, begun, done, bytes, rate{now: w.route.path.Bandwidth})
	}
	_, done = b.in.follow(now, begun, done, bytes, b.rate(n.config.Sites[n.config.Site[to]].Local.Bandwidth))
	return done
}

// follow puts bytes on a line that come from another one.
func (l *line) follow(now, begun, done time.Duration, bytes int, r rate) (b, d time.Duration) {
	b, d = l.put(now, begun, bytes, r)
	return b, max(d, done)
}

// put returns when the first byte is taken and when the last one has gone, of
// bytes that are there from a time on. Those that come later, because a line
// before this one is slow, take their share of this one and hold up nobody.
func (l *line) put(now, from time.Duration, bytes int, r rate) (begun, done time.Duration) {
	queue := &l.bulk
	if bytes <= prompt {
		l.bulk = max(l.bulk, now)
		l.bulk += r.takes(l.bulk, bytes)
		queue = &l.prompt
	}
	begun = max(from, now, *queue)
	takes := r.takes(begun, bytes)
	*queue = max(*queue, now) + takes
	return begun, begun + takes
}

// rate is the bytes a second of a line: now, and from a time on then.
type rate struct {
	now, then float64
	until     time.Duration // 0 is for ever
}

// takes is how long bytes take of which the first one goes at a time.
func (r rate) takes(begun time.Duration, bytes int) time.Duration {
	if r.until == 0 {
		return seconds(float64(bytes) / max(r.now, slowest))
	}
	left := max(0, r.until-begun)
	if before := left.Seconds() * r.now; before < float64(bytes) {
		return left + seconds((float64(bytes)-before)/max(r.then, slowest))
	}
	return seconds(float64(bytes) / max(r.now, slowest))
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// Clog leaves a node's link a share of its bandwidth until a time, 0 for good;
// a share of 1 is all of it.
func (n *Network) Clog(node int, factor float64, until time.Duration) {
	n.links[node].factor, n.links[node].until = factor, until
}

func (l *links) rate(bandwidth float64) rate {
	if l.factor == 1 {
		return rate{now: bandwidth}
	}
	return rate{now: l.factor * bandwidth, then: bandwidth, until: l.until}
}
