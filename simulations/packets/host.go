package packets

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
)

// firstFree is where free ports begin (RFC 6335, section 6).
const firstFree = 49152

// Traffic counts what sockets sent or received, without headers.
type Traffic struct{ Packets, Bytes int }

// Host is one machine of a Net. It is where package mesh/link gets its socket
// from. Its methods may be called concurrently.
type Host struct {
	net    *Net
	number int
	site   int
	addr   netip.Addr // private behind a NAT
	nat    *nat       // or nil

	// Guarded by net.mu.
	up, down       line
	sockets        map[uint16]*Socket
	free           uint16
	off            bool
	sent, received Traffic
}

// addHost gives a host an address that libp2p takes for a public one.
func (n *Net) addHost(number, site int) {
	bandwidth := n.sites[site].local.Bandwidth
	n.hosts = append(n.hosts, &Host{
		net: n, number: number, site: site, addr: numbered(11, site, number),
		up: newLine(bandwidth), down: newLine(bandwidth),
		sockets: map[uint16]*Socket{}, free: firstFree,
	})
}

func numbered(first byte, second, number int) netip.Addr {
	return netip.AddrFrom4([4]byte{first, byte(second), byte(number >> 8), byte(number)})
}

// Addr is the host's own address: behind a NAT a private one.
func (h *Host) Addr() netip.Addr { return h.addr }

// Sent counts what the host's sockets sent.
func (h *Host) Sent() Traffic {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	return h.sent
}

// Received counts what reached the host's sockets.
func (h *Host) Received() Traffic {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	return h.received
}

// Off pulls the plug of the network: nothing leaves or reaches the host.
func (h *Host) Off() { h.set(true) }

// On ends Off.
func (h *Host) On() { h.set(false) }

func (h *Host) set(off bool) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	h.off = off
}

// Source is the address that packets leave from.
func (h *Host) Source(netip.Addr) (netip.Addr, bool) { return h.addr, true }

// Listen opens a UDP socket as net.ListenUDP does, for IPv4.
func (h *Host) Listen(network string, at *net.UDPAddr) (net.PacketConn, error) {
	s, err := h.listen(network, at)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: at, Err: err}
	}
	return s, nil
}

func (h *Host) listen(network string, at *net.UDPAddr) (*Socket, error) {
	if network != "udp4" && network != "udp" {
		return nil, fmt.Errorf("network %s: %w", network, errors.ErrUnsupported)
	}
	local := at.AddrPort()
	ip := local.Addr().Unmap()
	if !ip.IsValid() {
		ip = netip.IPv4Unspecified()
	}
	if !ip.IsUnspecified() && ip != h.addr {
		return nil, os.NewSyscallError("bind", syscall.EADDRNOTAVAIL)
	}
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	if h.net.closed {
		return nil, net.ErrClosed
	}
	port := local.Port()
	for ; port == 0 || local.Port() == 0 && h.sockets[port] != nil; port = h.free {
		h.free = max(h.free+1, firstFree)
	}
	if h.sockets[port] != nil {
		return nil, os.NewSyscallError("bind", syscall.EADDRINUSE)
	}
	s := newSocket(h, netip.AddrPortFrom(ip, port))
	h.sockets[port] = s
	return s, nil
}

func (h *Host) remove(s *Socket) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	if h.sockets[s.local.Port()] == s {
		delete(h.sockets, s.local.Port())
	}
}
