package mesh

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/buildnet/buildnet/mesh/link"
)

const (
	// refreshFirst is how soon after its start a node asks how others see it,
	// until one has said; refreshEvery how often from then on.
	refreshFirst = time.Second
	refreshEvery = 2 * time.Minute
	bindTime     = 2 * time.Second
)

// refresh asks a random member, now and then, for this node's address as seen
// there, and compares rolls with it: so the whole mesh comes to the same.
func (m *Mesh) refresh(ctx context.Context) {
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		next.Reset(refreshFirst)
		others := m.others()
		if len(others) == 0 {
			continue
		}
		if err := m.bind(ctx, others[0].Addr); err != nil {
			m.opts.Log.Debug("ask for the observed address", "peer", others[0].ID, "err", err)
			continue
		}
		if err := m.exchange(ctx, others[0].ID, others[0].Addr); err != nil {
			m.opts.Log.Debug("compare rolls", "peer", others[0].ID, "err", err)
			continue
		}
		next.Reset(refreshEvery)
	}
}

func (m *Mesh) bind(ctx context.Context, addr netip.AddrPort) error {
	ctx, cancel := context.WithTimeout(ctx, bindTime)
	defer cancel()
	seen, err := m.link.Bind(ctx, addr)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.observed = seen
	return nil
}

// advertised is the address that other members are told: the one listened on,
// or how a member elsewhere sees this node, or the one that packets to the
// world would leave from, or the first of an interface.
func (m *Mesh) advertised(met link.Met) netip.AddrPort {
	at := m.link.Addr()
	if !at.Addr().IsUnspecified() {
		return at
	}
	if met.Seen.IsValid() && !met.Seen.Addr().IsLoopback() {
		return met.Seen
	}
	if ip, ok := m.link.Outward(); ok {
		return netip.AddrPortFrom(ip, at.Port())
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
