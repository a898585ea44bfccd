package link

import (
	"net"
	"net/netip"

	golibp2p "github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Sockets is a network other than this machine's, as simulations have. Its
// methods may be called concurrently.
type Sockets interface {
	// Listen is net.ListenUDP. The Link closes what it returns.
	Listen(network string, at *net.UDPAddr) (net.PacketConn, error)
	// Source is the address that packets to another one leave from.
	Source(to netip.Addr) (netip.Addr, bool)
}

// reuse is what libp2p has to know of Sockets. Without them it listens on a
// real UDP socket, which quic-go hands many packets at once: no wrapper may
// stand between.
func (o Options) reuse() []quicreuse.Option {
	if o.Sockets == nil {
		return nil
	}
	return []quicreuse.Option{
		quicreuse.OverrideListenUDP(o.Sockets.Listen),
		quicreuse.OverrideSourceIPSelector(func() (quicreuse.SourceIPSelector, error) { return selector{o.Sockets}, nil }),
	}
}

// foreign keeps libp2p from what it would learn of this machine: the addresses
// of its interfaces.
func (o Options) foreign() []golibp2p.Option {
	if o.Sockets == nil {
		return nil
	}
	return []golibp2p.Option{golibp2p.AddrsFactory(o.ownAddrs)}
}

// ownAddrs replaces an unspecified address by the one that packets leave from.
func (o Options) ownAddrs(all []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	ip, ok := o.Sockets.Source(netip.IPv4Unspecified())
	if !ok || len(all) == 0 {
		return nil
	}
	host, err := manet.FromIP(ip.AsSlice())
	if err != nil {
		return nil
	}
	_, rest := multiaddr.SplitFirst(all[0])
	return []multiaddr.Multiaddr{multiaddr.Join(host, rest)}
}

type selector struct{ sockets Sockets }

// PreferredSourceIPForDestination lets libp2p choose among its sockets.
func (s selector) PreferredSourceIPForDestination(to *net.UDPAddr) (net.IP, error) {
	ip, ok := s.sockets.Source(to.AddrPort().Addr().Unmap())
	if !ok {
		return nil, net.UnknownNetworkError("no way to " + to.String())
	}
	return ip.AsSlice(), nil
}

// documentation is an address of RFC 5737: nobody's, but routed like any.
var documentation = netip.AddrFrom4([4]byte{192, 0, 2, 1})

// Outward is the address that packets to the world leave from.
func (l *Link) Outward() (netip.Addr, bool) { return l.source(documentation) }

func (o Options) source() func(netip.Addr) (netip.Addr, bool) {
	if o.Sockets != nil {
		return o.Sockets.Source
	}
	return source
}

// source asks the routing table; connecting a UDP socket sends nothing.
func source(to netip.Addr) (netip.Addr, bool) {
	c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, 9)))
	if err != nil {
		return netip.Addr{}, false
	}
	defer func() { _ = c.Close() }()
	udp, ok := c.LocalAddr().(*net.UDPAddr)
	if !ok {
		return netip.Addr{}, false
	}
	ip := udp.AddrPort().Addr().Unmap()
	return ip, ip.IsGlobalUnicast()
}
