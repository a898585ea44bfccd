package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/hashicorp/memberlist"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// swimProtocol carries memberlist's push/pull and fallback probes.
const swimProtocol = "/buildnet/swim/1"

// SWIM is memberlist's view of a Link: packets under their prefix, streams
// over libp2p.
type SWIM struct {
	link      *Link
	advertise netip.AddrPort
	packets   chan *memberlist.Packet
	streams   chan net.Conn
	done      chan struct{}
	stop      sync.Once
}

var _ memberlist.NodeAwareTransport = (*SWIM)(nil)

// NewSWIM carries memberlist over l. Run moves its packets.
func NewSWIM(l *Link, advertise netip.AddrPort) *SWIM {
	return &SWIM{
		link: l, advertise: advertise,
		packets: make(chan *memberlist.Packet, packetQueue),
		streams: make(chan net.Conn),
		done:    make(chan struct{}),
	}
}

// Run hands what arrives to memberlist until Shutdown.
func (s *SWIM) Run() {
	s.link.host.SetStreamHandler(swimProtocol, s.accept)
	defer s.link.host.RemoveStreamHandler(swimProtocol)
	for {
		select {
		case p := <-s.link.swim:
			m := &memberlist.Packet{Buf: p.data, From: net.UDPAddrFromAddrPort(p.from), Timestamp: time.Now()}
			select {
			case s.packets <- m:
			case <-s.done:
				return
			}
		case <-s.done:
			return
		}
	}
}

func (s *SWIM) accept(stream network.Stream) {
	select {
	case s.streams <- newConn(stream):
	case <-s.done:
		_ = stream.Reset()
	}
}

// FinalAdvertiseAddr tells memberlist the address that the mesh chose.
func (s *SWIM) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return s.advertise.Addr().AsSlice(), int(s.advertise.Port()), nil
}

// WriteTo sends a packet.
func (s *SWIM) WriteTo(b []byte, addr string) (time.Time, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return time.Time{}, fmt.Errorf("swim packet to %q: %w", addr, err)
	}
	return time.Now(), s.link.send(swimPrefix, b, unmap(to))
}

// WriteToAddress sends a packet.
func (s *SWIM) WriteToAddress(b []byte, addr memberlist.Address) (time.Time, error) {
	return s.WriteTo(b, addr.Addr)
}

// PacketCh delivers packets.
func (s *SWIM) PacketCh() <-chan *memberlist.Packet { return s.packets }

// StreamCh delivers streams.
func (s *SWIM) StreamCh() <-chan net.Conn { return s.streams }

// DialTimeout refuses: without a name there is nobody to authenticate.
func (s *SWIM) DialTimeout(addr string, _ time.Duration) (net.Conn, error) {
	return nil, fmt.Errorf("dial %s: %w", addr, errors.New("a member is dialled by its name"))
}

// DialAddressTimeout opens a stream to the named member.
func (s *SWIM) DialAddressTimeout(addr memberlist.Address, timeout time.Duration) (net.Conn, error) {
	to, err := netip.ParseAddrPort(addr.Addr)
	if err != nil {
		return nil, fmt.Errorf("swim stream to %q: %w", addr.Addr, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	go func() { // memberlist does not end its dials when it ends
		select {
		case <-s.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	id, _, _ := strings.Cut(addr.Name, ".") // what follows names the run
	stream, err := s.link.Open(ctx, peer.ID(id), unmap(to), swimProtocol)
	if err != nil {
		return nil, fmt.Errorf("swim stream to %s: %w", addr.Addr, err)
	}
	return newConn(stream), nil
}

// Shutdown ends Run.
func (s *SWIM) Shutdown() error {
	s.stop.Do(func() { close(s.done) })
	return nil
}

// maxState is what memberlist may read of one stream: the state of 10,000
// members at 700 bytes each, and some room.
const maxState = 8 << 20

// errTooLong says that a peer sent more state than a mesh can have.
var errTooLong = errors.New("membership state is too long")

// conn is a libp2p stream as memberlist wants it.
type conn struct {
	network.Stream
	local, remote net.Addr
	left          int // bytes that may still be read; used by one reader
}

func newConn(s network.Stream) net.Conn {
	return &conn{s, netAddr(s.Conn().LocalMultiaddr), netAddr(s.Conn().RemoteMultiaddr), maxState}
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// Read ends with an error, and the stream, after maxState bytes.
func (c *conn) Read(b []byte) (int, error) {
	if c.left == 0 && len(b) > 0 {
		return 0, errors.Join(errTooLong, c.Reset())
	}
	n, err := c.Stream.Read(b[:min(len(b), c.left)])
	c.left -= n
	return n, err
}

func netAddr(of func() multiaddr.Multiaddr) net.Addr {
	if a, err := manet.ToNetAddr(firstUDP(of())); err == nil {
		return a
	}
	return &net.UDPAddr{}
}
