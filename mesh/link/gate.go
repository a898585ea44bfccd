package link

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	libp2p "github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/quic-go/quic-go"
)

// maxAdmitted bounds the peers, and the addresses, that passed a hello: six
// times the largest mesh intended. The oldest admission makes room; its peer
// says hello again when it next dials.
const maxAdmitted = 65536

// gate lets those alone connect who passed a hello: by address before a
// handshake, which would show this node's identity, and by identity after it.
type gate struct {
	refused func(from netip.AddrPort)

	mu    sync.Mutex
	peers bounded[libp2p.ID]
	addrs bounded[netip.Addr]
}

// bounded is a set that forgets what it has had longest.
type bounded[T comparable] struct {
	has   map[T]bool
	order []T // oldest first; each key of has once
}

func (b *bounded[T]) add(x T) {
	if b.has[x] {
		return
	}
	if b.has == nil {
		b.has = map[T]bool{}
	}
	if len(b.order) == maxAdmitted {
		b.remove(b.order[0])
	}
	b.has[x] = true
	b.order = append(b.order, x)
}

func (b *bounded[T]) remove(x T) {
	delete(b.has, x)
	if i := slices.Index(b.order, x); i >= 0 {
		b.order = slices.Delete(b.order, i, i+1)
	}
}

func (g *gate) admit(id libp2p.ID, from netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.peers.add(id)
	g.addrs.add(from)
}

// expel leaves the address: others may share it.
func (g *gate) expel(id libp2p.ID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.peers.remove(id)
}

// incoming decides before the handshake.
func (g *gate) incoming(ctx context.Context, client *quic.ClientInfo) (context.Context, error) {
	from, ok := client.RemoteAddr.(*net.UDPAddr)
	if !ok {
		return nil, errStranger
	}
	at := unmap(from.AddrPort())
	g.mu.Lock()
	known := g.addrs.has[at.Addr()]
	g.mu.Unlock()
	if !known {
		g.refused(at)
		return nil, errStranger
	}
	return ctx, nil
}

var errStranger = errors.New("no hello came from there")

func (g *gate) has(id libp2p.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.peers.has[id]
}

// InterceptPeerDial allows dials to the admitted.
func (g *gate) InterceptPeerDial(id libp2p.ID) bool { return g.has(id) }

// InterceptAddrDial allows every address of an admitted peer.
func (g *gate) InterceptAddrDial(id libp2p.ID, _ multiaddr.Multiaddr) bool { return g.has(id) }

// InterceptAccept allows: the identity is known only after the handshake.
func (g *gate) InterceptAccept(network.ConnMultiaddrs) bool { return true }

// InterceptSecured refuses peers that passed no hello.
func (g *gate) InterceptSecured(_ network.Direction, id libp2p.ID, at network.ConnMultiaddrs) bool {
	if g.has(id) {
		return true
	}
	if remote, err := manet.ToNetAddr(firstUDP(at.RemoteMultiaddr())); err == nil {
		g.refused(unmap(remote.(*net.UDPAddr).AddrPort()))
	}
	return false
}

// InterceptUpgraded allows: InterceptSecured has decided.
func (g *gate) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
