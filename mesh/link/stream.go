package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/libp2p/go-libp2p/core/network"
	libp2p "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	multistream "github.com/multiformats/go-multistream"
	"github.com/quic-go/quic-go"
)

const (
	// openTime bounds a hello, a QUIC handshake and the opening of a stream:
	// ten round trips across the world.
	openTime = 5 * time.Second
	// pulseTime is how long a connection may take to show that its other end
	// lives: more than a busy machine needs.
	pulseTime = 3 * time.Second
)

// Open returns a stream to the member at addr. The first one says hello. A
// connection that breaks on it, as those to a restarted member do, is replaced
// once.
func (l *Link) Open(ctx context.Context, to peer.ID, addr netip.AddrPort, proto string) (network.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	id, err := libp2p.Decode(string(to))
	if err != nil {
		return nil, fmt.Errorf("peer ID %q: %w", string(to), err)
	}
	if l.connected(id) {
		if s, err := l.host.NewStream(ctx, id, protocol.ID(proto)); err == nil || l.connected(id) || ctx.Err() != nil {
			return s, err
		}
	}
	if err := l.connect(ctx, to, id, addr); err != nil {
		return nil, err
	}
	return l.host.NewStream(ctx, id, protocol.ID(proto))
}

func (l *Link) connected(id libp2p.ID) bool {
	return l.host.Network().Connectedness(id) == network.Connected
}

// RTT is the shortest round trip that the connections to a peer have seen
// (min_rtt, RFC 9002 section 5.2); 0 without one. Unlike a mean it does not grow
// while an end of them is short of CPU.
func (l *Link) RTT(to peer.ID) (shortest time.Duration) {
	id, err := libp2p.Decode(string(to))
	if err != nil {
		return 0
	}
	for _, c := range l.host.Network().ConnsToPeer(id) {
		var conn *quic.Conn
		if !c.As(&conn) {
			continue
		}
		if rtt := conn.ConnectionStats().MinRTT; rtt > 0 && (shortest == 0 || rtt < shortest) {
			shortest = rtt
		}
	}
	return shortest
}

// connect says hello first: without it the other side refuses the connection,
// as it does after its restart. Dials of both sides at once are fine: each has
// admitted the other, and libp2p uses either connection.
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

// Prune closes those connections to a peer whose other end is gone: after a
// restart the old ones would swallow streams until they time out.
func (l *Link) Prune(ctx context.Context, id peer.ID) error {
	raw, err := libp2p.Decode(string(id))
	if err != nil {
		return fmt.Errorf("peer ID %q: %w", string(id), err)
	}
	ctx, cancel := context.WithTimeout(ctx, pulseTime)
	defer cancel()
	var wg sync.WaitGroup
	for _, c := range l.host.Network().ConnsToPeer(raw) {
		wg.Go(func() {
			if err := pulse(ctx, c); err != nil && !errors.Is(ctx.Err(), context.Canceled) {
				_ = c.Close() // it is dead already
			}
		})
	}
	wg.Wait()
	return nil
}

func pulse(ctx context.Context, c network.Conn) error {
	s, err := c.NewStream(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = s.Reset() }()
	deadline, _ := ctx.Deadline()
	if err := s.SetDeadline(deadline); err != nil {
		return err
	}
	return multistream.SelectProtoOrFail(protocol.ID(ping.ID), s)
}
