package link

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/libp2p/go-libp2p/core/network"
	libp2p "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// openTime bounds a hello, a QUIC handshake and the opening of a stream: ten
// round trips across the world.
const openTime = 5 * time.Second

// Open returns a stream to the member at addr. The first one says hello.
func (l *Link) Open(ctx context.Context, to peer.ID, addr netip.AddrPort, proto string) (network.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	id, err := libp2p.Decode(string(to))
	if err != nil {
		return nil, fmt.Errorf("peer ID %q: %w", string(to), err)
	}
	if l.host.Network().Connectedness(id) != network.Connected {
		if err := l.connect(ctx, to, id, addr); err != nil {
			return nil, err
		}
	}
	return l.host.NewStream(ctx, id, protocol.ID(proto))
}

func (l *Link) connect(ctx context.Context, to peer.ID, id libp2p.ID, addr netip.AddrPort) error {
	met, err := l.Hello(ctx, addr)
	if err != nil {
		return err
	}
	if met.ID != to {
		return fmt.Errorf("hello to %s: it is %s, not %s", addr, met.ID, to)
	}
	udp, err := manet.FromIP(net.IP(addr.Addr().AsSlice()))
	if err != nil {
		return fmt.Errorf("address %s: %w", addr, err)
	}
	at := multiaddr.Join(udp, multiaddr.StringCast(fmt.Sprintf("/udp/%d/quic-v1", addr.Port())))
	return l.host.Connect(ctx, libp2p.AddrInfo{ID: id, Addrs: []multiaddr.Multiaddr{at}})
}

// Expel closes the connections of a peer; it may return by a hello.
func (l *Link) Expel(id peer.ID) error {
	raw, err := libp2p.Decode(string(id))
	if err != nil {
		return fmt.Errorf("peer ID %q: %w", string(id), err)
	}
	l.gate.expel(raw)
	return l.host.Network().ClosePeer(raw)
}
