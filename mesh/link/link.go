// Package link is the one UDP socket of a node: libp2p's QUIC, SWIM packets,
// sealed hellos and STUN share it. It starts goroutines and does I/O; what a
// hello means is decided in package join. Start reading at Link.
package link

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/buildnet/buildnet/mesh/join"
	"github.com/buildnet/buildnet/mesh/peer"
	golibp2p "github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/gologshim"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/quic-go/quic-go"
)

const (
	// The first byte of a packet, below 0x40 because QUIC's begin there, and
	// above 0x03 because STUN's end there.
	swimPrefix  = 0x20
	helloPrefix = 0x21

	// maxPacket is what quic-go passes on of a packet that is not QUIC's.
	maxPacket = 1452
	// packetQueue is how many packets wait for SWIM. More are dropped: SWIM
	// bears loss, and the reader must never wait.
	packetQueue = 1024
	// maxStreamsPerPeer bounds a peer's streams. libp2p's own limit is 151 a
	// protocol, which one busy worker exceeds.
	maxStreamsPerPeer = 4096
	maxStreams        = 65536
	// maxLogged is how many refused addresses are remembered, so that each is
	// logged once and a flood cannot fill the memory.
	maxLogged = 4096
)

// Counters count what was refused or dropped since the start.
type Counters struct {
	Garbage      uint64 // packets of no known kind
	HelloRefused uint64 // hellos that did not open, or were replayed
	DialRefused  uint64 // QUIC connections of strangers
	Dropped      uint64 // SWIM packets for which there was no room
}

// Options is what a Link needs.
type Options struct {
	Key    ed25519.PrivateKey
	Keys   Keys
	Admit  Admit          // called by the reader of packets: it must not block
	Listen netip.AddrPort // port 0 takes a free one
	// Sockets is where the socket comes from; nil: this machine.
	Sockets Sockets
	Log     *slog.Logger
}

// Link is the socket. Its methods may be called concurrently.
type Link struct {
	host    host.Host
	self    peer.ID
	shared  *quicreuse.ConnManager // holds the socket
	packets net.PacketConn
	release func() error // packets, once
	closed  func() error // all, once
	gate    *gate
	key     ed25519.PrivateKey
	admit   Admit
	addr    netip.AddrPort
	source  func(to netip.Addr) (netip.Addr, bool)
	log     *slog.Logger
	swim    chan packet
	keys    atomic.Pointer[Keys]

	responder *join.Responder // owned by Run

	garbage, helloRefused, dialRefused, dropped atomic.Uint64

	mu      sync.Mutex
	waiting map[join.Nonce]chan answer
	binding map[[12]byte]chan netip.AddrPort
	logged  map[netip.Addr]bool
}

type packet struct {
	data []byte
	from netip.AddrPort
}

type answer struct {
	frame join.Frame
	from  netip.AddrPort
}

// New binds the socket. Until Run it answers no packet, and it admits nobody
// before a hello. Close it, whether Run was called or not.
func New(o Options) (*Link, error) {
	quiet()
	l := &Link{
		key: o.Key, admit: o.Admit, source: o.source(), log: o.Log,
		swim:      make(chan packet, packetQueue),
		responder: join.NewResponder(o.Key),
		waiting:   map[join.Nonce]chan answer{},
		binding:   map[[12]byte]chan netip.AddrPort{},
		logged:    map[netip.Addr]bool{},
	}
	l.SetKeys(o.Keys)
	l.gate = &gate{refused: l.refuseDial}
	h, err := newHost(o, l.gate, &l.shared)
	if err != nil {
		if l.shared != nil {
			err = errors.Join(err, l.shared.Close())
		}
		return nil, fmt.Errorf("listen on %s: %w; choose another address with --listen", o.Listen, err)
	}
	l.host, l.self = h, peer.ID(h.ID().String())
	if err := l.share(l.shared); err != nil {
		return nil, errors.Join(err, h.Close(), l.shared.Close())
	}
	l.release = sync.OnceValue(l.packets.Close)
	l.closed = sync.OnceValue(l.close)
	return l, nil
}

// quiet silences libp2p, which writes errors to standard error that are also
// returned. It has one log for the process.
var quiet = sync.OnceFunc(func() { gologshim.SetDefaultHandler(slog.DiscardHandler) })

func newHost(o Options, g *gate, shared **quicreuse.ConnManager) (host.Host, error) {
	key, err := crypto.UnmarshalEd25519PrivateKey(o.Key)
	if err != nil {
		return nil, fmt.Errorf("identity key: %w", err)
	}
	streams := rcmgr.ResourceLimits{Streams: maxStreamsPerPeer, StreamsInbound: maxStreamsPerPeer, StreamsOutbound: maxStreamsPerPeer}
	all := rcmgr.ResourceLimits{Streams: maxStreams, StreamsInbound: maxStreams, StreamsOutbound: maxStreams}
	limits := rcmgr.PartialLimitConfig{
		System: all, Transient: all, ProtocolDefault: all,
		PeerDefault: streams, ProtocolPeerDefault: streams,
	}
	manager, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits.Build(rcmgr.DefaultLimits.AutoScale())))
	if err != nil {
		return nil, fmt.Errorf("resource limits: %w", err)
	}
	family := "ip4"
	if o.Listen.Addr().Is6() {
		family = "ip6"
	}
	return golibp2p.New(append(o.foreign(),
		golibp2p.Identity(key),
		golibp2p.ListenAddrStrings(fmt.Sprintf("/%s/%s/udp/%d/quic-v1", family, o.Listen.Addr(), o.Listen.Port())),
		golibp2p.Transport(libp2pquic.NewTransport),
		golibp2p.QUICReuse(func(reset quic.StatelessResetKey, token quic.TokenGeneratorKey) (*quicreuse.ConnManager, error) {
			m, err := quicreuse.NewConnManager(reset, token, append(o.reuse(), quicreuse.ConnContext(g.incoming))...)
			*shared = m
			return m, err
		}),
		golibp2p.ResourceManager(manager),
		golibp2p.ConnectionGater(g),
		golibp2p.DisableRelay(),
		golibp2p.DisableMetrics(),
	)...)
}

func (l *Link) share(m *quicreuse.ConnManager) error {
	listening := l.host.Network().ListenAddresses()
	if len(listening) == 0 {
		return errors.New("libp2p listens on no address; choose another with --listen")
	}
	at, err := manet.ToNetAddr(firstUDP(listening[0]))
	if err != nil {
		return fmt.Errorf("listen address %s: %w", listening[0], err)
	}
	udp := at.(*net.UDPAddr)
	l.addr = unmap(udp.AddrPort())
	l.packets, err = m.SharedNonQUICPacketConn(udp.Network(), udp)
	if err != nil {
		return fmt.Errorf("share %s: %w", udp, err)
	}
	return nil
}

func firstUDP(a multiaddr.Multiaddr) multiaddr.Multiaddr {
	host, _ := multiaddr.SplitFunc(a, func(c multiaddr.Component) bool {
		return c.Protocol().Code == multiaddr.P_QUIC_V1
	})
	return host
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// Addr is where the socket listens; its IP may be unspecified.
func (l *Link) Addr() netip.AddrPort { return l.addr }

// Host is the libp2p host on the socket.
func (l *Link) Host() host.Host { return l.host }

// Self is the identity of this end.
func (l *Link) Self() peer.ID { return l.self }

// Counters returns what was refused so far.
func (l *Link) Counters() Counters {
	return Counters{
		Garbage: l.garbage.Load(), HelloRefused: l.helloRefused.Load(),
		DialRefused: l.dialRefused.Load(), Dropped: l.dropped.Load(),
	}
}

// Close gives the socket back.
func (l *Link) Close() error { return l.closed() }

func (l *Link) close() error {
	return errors.Join(l.release(), l.host.Close(), l.shared.Close())
}

// Run reads packets until ctx ends.
func (l *Link) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = l.release() })
	defer stop()
	buf := make([]byte, maxPacket)
	for {
		n, from, err := l.packets.ReadFrom(buf)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", l.addr, err)
		}
		udp, ok := from.(*net.UDPAddr)
		if !ok || n == 0 {
			continue
		}
		l.receive(buf[:n], unmap(udp.AddrPort()))
	}
}

func (l *Link) receive(b []byte, from netip.AddrPort) {
	switch {
	case b[0] == swimPrefix:
		select {
		case l.swim <- packet{append([]byte{}, b[1:]...), from}:
		default:
			l.dropped.Add(1)
		}
	case b[0] == helloPrefix:
		l.receiveHello(b[1:], from)
	case b[0] <= 0x03:
		l.receiveSTUN(b, from)
	default:
		l.garbage.Add(1)
	}
}

func (l *Link) send(prefix byte, b []byte, to netip.AddrPort) error {
	out := append(make([]byte, 0, 1+len(b)), prefix)
	_, err := l.packets.WriteTo(append(out, b...), net.UDPAddrFromAddrPort(to))
	return err
}

func (l *Link) refuseDial(from netip.AddrPort) {
	l.dialRefused.Add(1)
	l.logOnce("connection of a stranger refused", from)
}

func (l *Link) logOnce(message string, from netip.AddrPort) {
	l.mu.Lock()
	known := l.logged[from.Addr()] || len(l.logged) >= maxLogged
	if !known {
		l.logged[from.Addr()] = true
	}
	l.mu.Unlock()
	if !known {
		l.log.Warn(message, "addr", from)
	}
}
