package link

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/pion/stun/v2"
)

// requestPadding makes a binding request as long as its longest answer, an
// IPv6 address: no answer is larger than its request.
const requestPadding = "buildnet mesh member"

// integrity proves the secret of the mesh: strangers get no answer. STUN's own
// HMAC-SHA1 (RFC 8489, section 14.5) is sound for this.
func integrity(k Keys) stun.MessageIntegrity { return stun.MessageIntegrity(k.STUN) }

// Bind asks the member at addr by STUN for this node's address as seen there.
func (l *Link) Bind(ctx context.Context, addr netip.AddrPort) (netip.AddrPort, error) {
	m, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewSoftware(requestPadding), integrity(l.currentKeys()), stun.Fingerprint)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("binding request: %w", err)
	}
	seen := make(chan netip.AddrPort, 1)
	l.mu.Lock()
	l.binding[m.TransactionID] = seen
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.binding, m.TransactionID)
	}()
	again := time.NewTicker(resend)
	defer again.Stop()
	for {
		if err := l.write(m.Raw, addr); err != nil {
			return netip.AddrPort{}, fmt.Errorf("binding request to %s: %w", addr, err)
		}
		select {
		case a := <-seen:
			return a, nil
		case <-again.C:
		case <-ctx.Done():
			return netip.AddrPort{}, fmt.Errorf("binding request to %s: %w", addr, ctx.Err())
		}
	}
}

func (l *Link) write(b []byte, to netip.AddrPort) error {
	_, err := l.packets.WriteTo(b, net.UDPAddrFromAddrPort(to))
	return err
}

// receiveSTUN answers the binding requests of members and takes their answers.
func (l *Link) receiveSTUN(b []byte, from netip.AddrPort) {
	m, ok := parseSTUN(b, l.currentKeys())
	if !ok {
		l.garbage.Add(1)
		return
	}
	switch m.Type {
	case stun.BindingRequest:
		mapped := &stun.XORMappedAddress{IP: from.Addr().AsSlice(), Port: int(from.Port())}
		out, err := stun.Build(stun.NewTransactionIDSetter(m.TransactionID), stun.BindingSuccess, mapped, integrity(l.currentKeys()), stun.Fingerprint)
		if err == nil && len(out.Raw) <= len(b) {
			_ = l.write(out.Raw, from) // the other side asks again
		}
	case stun.BindingSuccess:
		l.receiveBinding(m)
	default:
		l.garbage.Add(1)
	}
}

// parseSTUN reads a message that a member made.
func parseSTUN(b []byte, k Keys) (*stun.Message, bool) {
	m := &stun.Message{Raw: append([]byte{}, b...)}
	ok := stun.IsMessage(b) && m.Decode() == nil && stun.Fingerprint.Check(m) == nil && integrity(k).Check(m) == nil
	return m, ok
}

func (l *Link) receiveBinding(m *stun.Message) {
	var mapped stun.XORMappedAddress
	if mapped.GetFrom(m) != nil {
		l.garbage.Add(1)
		return
	}
	ip, ok := netip.AddrFromSlice(mapped.IP)
	if !ok {
		l.garbage.Add(1)
		return
	}
	l.mu.Lock()
	seen := l.binding[m.TransactionID]
	l.mu.Unlock()
	select {
	case seen <- netip.AddrPortFrom(ip.Unmap(), uint16(mapped.Port)):
	default:
	}
}
