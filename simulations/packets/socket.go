package packets

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// socketPackets is how many wait for the reader: what a receive buffer of a
// megabyte holds.
const socketPackets = 1024

// Socket is a UDP socket of a Host. Its methods may be called concurrently.
type Socket struct {
	host   *Host
	local  netip.AddrPort
	queue  chan packet
	closed chan struct{}
	close  func()

	mu    sync.Mutex
	timer *time.Timer   // of the deadline; nil: none
	late  chan struct{} // closed when the deadline is over
}

type packet struct {
	data []byte
	from netip.AddrPort
}

var _ net.PacketConn = (*Socket)(nil)

func newSocket(h *Host, local netip.AddrPort) *Socket {
	s := &Socket{
		host: h, local: local,
		queue: make(chan packet, socketPackets), closed: make(chan struct{}), late: make(chan struct{}),
	}
	s.close = sync.OnceFunc(func() { close(s.closed) })
	return s
}

// push is false when there is no room.
func (s *Socket) push(p packet) bool {
	select {
	case s.queue <- p:
		return true
	default:
		return false
	}
}

// ReadFrom returns the next packet, cut to b.
func (s *Socket) ReadFrom(b []byte) (int, net.Addr, error) {
	s.mu.Lock()
	late := s.late
	s.mu.Unlock()
	for _, first := range []struct {
		over <-chan struct{}
		err  error
	}{{s.closed, net.ErrClosed}, {late, os.ErrDeadlineExceeded}} {
		select {
		case <-first.over:
			return 0, nil, s.fault("read", first.err)
		default:
		}
	}
	select {
	case p := <-s.queue:
		return copy(b, p.data), net.UDPAddrFromAddrPort(p.from), nil
	case <-s.closed:
		return 0, nil, s.fault("read", net.ErrClosed)
	case <-late:
		return 0, nil, s.fault("read", os.ErrDeadlineExceeded)
	}
}

// WriteTo sends a packet. Like the kernel's it does not say whether anybody is
// there.
func (s *Socket) WriteTo(b []byte, to net.Addr) (int, error) {
	select {
	case <-s.closed:
		return 0, s.fault("write", net.ErrClosed)
	default:
	}
	udp, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, s.fault("write", net.InvalidAddrError("not of UDP"))
	}
	if len(b) > maxPayload {
		return 0, s.fault("write", os.NewSyscallError("sendto", syscall.EMSGSIZE))
	}
	at := udp.AddrPort()
	from := netip.AddrPortFrom(s.host.addr, s.local.Port())
	s.host.net.send(s.host, from, netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), b)
	return len(b), nil
}

func (s *Socket) fault(op string, err error) error {
	return &net.OpError{Op: op, Net: "udp4", Source: s.LocalAddr(), Err: err}
}

// LocalAddr is what the socket is bound to; its IP may be unspecified.
func (s *Socket) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(s.local) }

// Close ends reads; what waits is lost.
func (s *Socket) Close() error {
	s.close()
	s.host.remove(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
	}
	return nil
}

// SetDeadline bounds reads; writes never wait.
func (s *Socket) SetDeadline(t time.Time) error { return s.SetReadDeadline(t) }

// SetWriteDeadline does nothing: writes never wait.
func (s *Socket) SetWriteDeadline(time.Time) error { return nil }

// SetReadDeadline bounds reads from now on, and those that wait if t is
// earlier than their own.
func (s *Socket) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	over := false
	select {
	case <-s.late:
		over = true
	default:
	}
	left := time.Until(t)
	if !t.IsZero() && left <= 0 {
		if !over {
			close(s.late)
		}
		return nil
	}
	if over {
		s.late = make(chan struct{})
	}
	if !t.IsZero() {
		late := s.late
		s.timer = time.AfterFunc(left, func() { s.expire(late) })
	}
	return nil
}

// expire ends what waits for a deadline that nobody has moved meanwhile.
func (s *Socket) expire(late chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.late != late {
		return
	}
	select {
	case <-late:
	default:
		close(late)
	}
}

// SetReadBuffer does nothing; quic-go warns without it.
func (s *Socket) SetReadBuffer(int) error { return nil }

// SetWriteBuffer does nothing; quic-go warns without it.
func (s *Socket) SetWriteBuffer(int) error { return nil }
