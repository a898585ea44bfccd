package draw

import (
	"fmt"
	"math"
	"time"

	"github.com/buildnet/buildnet/simulations/network"
)

// Bandwidths in bytes a second.
const (
	megabit = 1e6 / 8
	gigabit = 1e9 / 8
)

// network draws sites, what lies between them, and who is where.
func (d *drawer) network() {
	c := &d.s.Network
	sites := 1
	if !d.one(3) {
		sites = 1 + d.rng.IntN(min(5, len(d.s.Nodes)))
	}
	for i := range sites {
		c.Sites = append(c.Sites, network.Site{Name: fmt.Sprintf("site%d", i), Local: d.local()})
		for other := range i {
			c.Routes = append(c.Routes, network.Route{A: other, B: i, Path: d.route()})
		}
	}
	for range d.s.Nodes {
		c.Site = append(c.Site, d.rng.IntN(sites))
	}
}

// local is the network of a site: good, a wireless one that others use as
// well, or a bad one.
func (d *drawer) local() network.Path {
	switch d.rng.IntN(6) {
	case 0:
		return network.Path{
			Latency: d.between(time.Millisecond, 10*time.Millisecond), Jitter: d.between(20*time.Millisecond, 120*time.Millisecond),
			Bandwidth: 40 * megabit,
		}
	case 1:
		return d.bad(network.Path{
			Latency: d.between(time.Millisecond, 10*time.Millisecond), Jitter: d.between(0, 20*time.Millisecond), Bandwidth: 40 * megabit,
		})
	}
	return network.Path{
		Latency: d.between(50*time.Microsecond, 500*time.Microsecond), Jitter: d.between(0, 200*time.Microsecond),
		Bandwidth: pick(d, 100*megabit, gigabit, 10*gigabit),
	}
}

// route is what lies between two sites: a street, or an ocean. Short ones are
// as likely as long ones, so that some members are much farther than others.
func (d *drawer) route() network.Path {
	latency := time.Duration(math.Exp(d.rng.Float64()*math.Log(400)) * float64(500*time.Microsecond))
	p := network.Path{
		Latency: latency.Truncate(time.Microsecond), Jitter: d.between(0, latency/5),
		Bandwidth: pick(d, 20*megabit, 100*megabit, gigabit),
	}
	if d.one(4) {
		return d.bad(p)
	}
	return p
}

// bad loses, doubles and reorders packets.
func (d *drawer) bad(p network.Path) network.Path {
	p.Loss, p.Duplication, p.Reordering = 0.05*d.rng.Float64(), 0.02*d.rng.Float64(), 0.1*d.rng.Float64()
	return p
}
