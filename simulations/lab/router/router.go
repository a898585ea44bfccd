// Package router is the wide-area network of the lab: it takes IPv4 packets
// from the sites' devices and passes them on late, in part, or not at all, as
// the path between two sites says. Linux's own netem is not built into every
// kernel, and a proxy of UDP would change the addresses that nodes see. Its
// shape is pure; Router does the I/O. Start reading at Router, then at shape.
package router

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/buildnet/buildnet/simulations/network"
)

// maxPacket is the longest IP packet.
const maxPacket = 1 << 16

// Port is where a site is plugged in.
type Port struct {
	// Device gives and takes whole IP packets, one a call. Its reads end when
	// it is closed.
	Device io.ReadWriteCloser
	// Reach are the addresses that lie behind it. What no port reaches is
	// dropped, as private addresses are on the internet.
	Reach []netip.Prefix
}

// Router joins ports. Its methods may be called while it runs.
type Router struct {
	ports []Port
	ways  [][]*way // from, to; none from a port to itself
}

// New joins ports by paths without delay or loss; Run passes packets. Of equal
// packets, equal seeds lose the same.
func New(seed uint64, ports ...Port) *Router {
	r := &Router{ports: ports, ways: make([][]*way, len(ports))}
	for from := range ports {
		r.ways[from] = make([]*way, len(ports))
		for to := range ports {
			if from == to {
				continue
			}
			chance := rand.New(rand.NewPCG(seed, uint64(from*len(ports)+to)))
			r.ways[from][to] = &way{to: ports[to].Device, wake: make(chan struct{}, 1), shape: shape{chance: chance}}
		}
	}
	return r
}

// Shape sets the path from one port to another, in that direction alone.
func (r *Router) Shape(from, to int, p network.Path) {
	w := r.ways[from][to]
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shape.path = p
}

// Cut drops all that travels or will travel from one port to another, in that
// direction alone.
func (r *Router) Cut(from, to int) { r.ways[from][to].set(true) }

// Heal undoes Cut.
func (r *Router) Heal(from, to int) { r.ways[from][to].set(false) }

func (w *way) set(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	if cut {
		w.held = nil
	}
}

// Run passes packets until ctx ends, and closes the devices.
func (r *Router) Run(ctx context.Context) error {
	var tasks sync.WaitGroup
	failed := make(chan error, len(r.ports))
	ctx, cancel := context.WithCancel(ctx)
	for from, p := range r.ports {
		tasks.Go(func() {
			if err := r.read(from); ctx.Err() == nil {
				failed <- fmt.Errorf("router: port %d: %w", from, err)
			}
			cancel()
		})
		for _, w := range r.ways[from] {
			if w != nil {
				tasks.Go(func() { w.run(ctx) })
			}
		}
		tasks.Go(func() {
			<-ctx.Done()
			_ = p.Device.Close()
		})
	}
	tasks.Wait()
	cancel()
	close(failed)
	return <-failed
}

func (r *Router) read(from int) error {
	buf := make([]byte, maxPacket)
	for {
		n, err := r.ports[from].Device.Read(buf)
		if err != nil {
			return err
		}
		to, err := r.target(buf[:n])
		if err == nil && to != from {
			r.ways[from][to].take(time.Now(), slices.Clone(buf[:n]))
		}
	}
}

var errNoRoute = errors.New("no route")

// target is the port of the longest prefix that a packet's destination is in.
func (r *Router) target(packet []byte) (int, error) {
	to, err := destination(packet)
	if err != nil {
		return 0, err
	}
	best, bits := -1, -1
	for i, p := range r.ports {
		for _, prefix := range p.Reach {
			if prefix.Contains(to) && cmp.Compare(prefix.Bits(), bits) > 0 {
				best, bits = i, prefix.Bits()
			}
		}
	}
	if best < 0 {
		return 0, errNoRoute
	}
	return best, nil
}

// destination reads an IPv4 header (RFC 791, section 3.1).
func destination(packet []byte) (netip.Addr, error) {
	if len(packet) < 20 || packet[0]>>4 != 4 {
		return netip.Addr{}, errNoRoute
	}
	return netip.AddrFrom4([4]byte(packet[16:20])), nil
}
