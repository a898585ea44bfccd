// Package packets is a network of UDP sockets inside one process: what is
// written to one arrives at another after the latency of the way, as fast as
// the links let it, or not at all. The real stack runs on it, inside a bubble
// of testing/synctest and so in virtual time; every part of a Net belongs to
// the bubble it was made in. What happens to a packet follows from the seed
// and the order of the writes, so it repeats as far as the stack above does.
//
// It starts no goroutine of its own: one timer delivers what is due, and Close
// stops it. Start reading at Options, then at Net.send.
package packets

import (
	"container/heap"
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/buildnet/buildnet/simulations/network"
)

const (
	// headerBytes are those of IPv4 and UDP: they take their time on a link,
	// but count in no figure.
	headerBytes = 28
	// maxPayload is what an Ethernet frame takes.
	maxPayload = 1500 - headerBytes
	// queueTime is how much waits at a link before it drops, by the time that
	// it takes to send: about what home routers hold. queueLeast keeps a burst
	// of a slow link whole.
	queueTime  = 50 * time.Millisecond
	queueLeast = 64 * 1500
)

// Options is a network. Hosts are numbers from 0, in the order of Config.Site.
// A bandwidth of 0 is no limit. A packet between two sites takes the local path
// of both and the route; one within a site the local path once.
type Options struct {
	network.Config
	Seed uint64
	NATs []NAT
	// Watch, if not nil, sees each packet as its host sends it, before any NAT
	// and whether it arrives or not. It must neither block nor write to the
	// network nor keep data.
	Watch func(host int, to netip.AddrPort, data []byte)
}

// Drops count packets that did not arrive, by cause.
type Drops struct {
	Lost    int // by chance
	Queue   int // no room at a link
	Cut     int // a partition, or a host that is off
	NAT     int // no mapping lets it in
	NoRoute int // nobody has the address, or listens on the port
	Socket  int // the reader was too slow
}

// Net is a network. Its methods may be called concurrently.
type Net struct {
	watch func(int, netip.AddrPort, []byte)
	began time.Time
	hosts []*Host
	nats  []*nat
	addrs map[netip.Addr]owner // public ones
	sites []site

	mu     sync.Mutex
	rng    *rand.Rand
	due    flights
	timer  *time.Timer // nil: nothing was ever sent
	armed  time.Duration
	serial uint64
	last   map[course]time.Duration // arrivals so far, so that jitter keeps order
	cut    map[[2]int]bool
	loss   float64
	drops  Drops
	closed bool
}

// owner is who has a public address: one of them is not nil.
type owner struct {
	host *Host
	nat  *nat
}

func (o owner) site() int {
	if o.nat != nil {
		return o.nat.site
	}
	return o.host.site
}

// site is what packets of a site go through.
type site struct {
	local  *network.Path
	routes map[int]*road // by the other site
}

// road is a route in one direction.
type road struct {
	line
	path *network.Path
}

// New returns a network whose hosts have no sockets yet.
func New(o Options) (*Net, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	n := &Net{
		watch: o.Watch, began: time.Now(), addrs: map[netip.Addr]owner{},
		rng:  rand.New(rand.NewPCG(o.Seed, 0)),
		last: map[course]time.Duration{}, cut: map[[2]int]bool{},
	}
	for i := range o.Sites {
		local := o.Sites[i].Local
		n.sites = append(n.sites, site{local: &local, routes: map[int]*road{}})
	}
	for _, r := range o.Routes {
		n.lay(r)
	}
	for i, s := range o.Site {
		n.addHost(i, s)
	}
	for i := range o.NATs {
		if err := n.addNAT(i, o.NATs[i]); err != nil {
			return nil, err
		}
	}
	for _, h := range n.hosts {
		if h.nat == nil {
			n.addrs[h.addr] = owner{host: h}
		}
	}
	return n, nil
}

func (n *Net) lay(r network.Route) {
	path := r.Path
	n.sites[r.A].routes[r.B] = &road{newLine(path.Bandwidth), &path}
	n.sites[r.B].routes[r.A] = &road{newLine(path.Bandwidth), &path}
}

// Host returns one by its number.
func (n *Net) Host(i int) *Host { return n.hosts[i] }

// Cut drops what hosts of from send to hosts of to; the other way stays open.
func (n *Net) Cut(from, to []int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range from {
		for _, b := range to {
			n.cut[[2]int{a, b}] = true
		}
	}
}

// Split cuts both ways.
func (n *Net) Split(a, b []int) {
	n.Cut(a, b)
	n.Cut(b, a)
}

// Heal ends every cut.
func (n *Net) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cut)
}

// Lose drops packets by chance, beside what the paths lose.
func (n *Net) Lose(chance float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loss = chance
}

// Drops returns the counts since New.
func (n *Net) Drops() Drops {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.drops
}

// Close closes every socket and forgets what is on its way.
func (n *Net) Close() error {
	n.mu.Lock()
	n.closed = true
	n.due = nil
	if n.timer != nil {
		n.timer.Stop()
	}
	var open []*Socket
	for _, h := range n.hosts {
		for _, s := range h.sockets {
			open = append(open, s)
		}
	}
	n.mu.Unlock()
	var err error
	for _, s := range open {
		err = errors.Join(err, s.Close())
	}
	return err
}

// flights is a heap by time, then by order of making.
type flights []*flight

func (f flights) Len() int { return len(f) }
func (f flights) Less(i, j int) bool {
	if f[i].at != f[j].at {
		return f[i].at < f[j].at
	}
	return f[i].serial < f[j].serial
}
func (f flights) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *flights) Push(x any)   { *f = append(*f, x.(*flight)) }
func (f *flights) Pop() any {
	old := *f
	x := old[len(old)-1]
	old[len(old)-1] = nil
	*f = old[:len(old)-1]
	return x
}

// later goes on with a flight at its time. The caller holds mu.
func (n *Net) later(f *flight) {
	n.serial++
	f.serial = n.serial
	heap.Push(&n.due, f)
	n.arm(time.Since(n.began))
}

// arm sets the timer to the first that is due. The caller holds mu.
func (n *Net) arm(now time.Duration) {
	if len(n.due) == 0 || n.armed == n.due[0].at {
		return
	}
	n.armed = n.due[0].at
	if n.timer == nil {
		n.timer = time.AfterFunc(n.armed-now, n.deliver)
		return
	}
	n.timer.Reset(n.armed - now)
}

// deliver goes on with all that is due.
func (n *Net) deliver() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.armed = -1
	now := time.Since(n.began)
	for len(n.due) > 0 && n.due[0].at <= now {
		n.advance(heap.Pop(&n.due).(*flight))
	}
	n.arm(now)
}
