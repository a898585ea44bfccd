package link

import (
	"net"
	"net/netip"

	"github.com/pion/stun/v2"
)

func (l *Link) write(b []byte, to netip.AddrPort) error {
	_, err := l.packets.WriteTo(b, net.UDPAddrFromAddrPort(to))
	return err
}

// receiveSTUN answers binding requests. The fingerprint is required, so that a
// request (28 bytes) is not much smaller than its answer (40).
func (l *Link) receiveSTUN(b []byte, from netip.AddrPort) {
	m := &stun.Message{Raw: append([]byte{}, b...)}
	if !stun.IsMessage(b) || m.Decode() != nil || stun.Fingerprint.Check(m) != nil {
		l.garbage.Add(1)
		return
	}
	switch m.Type {
	case stun.BindingRequest:
		mapped := &stun.XORMappedAddress{IP: from.Addr().AsSlice(), Port: int(from.Port())}
		out, err := stun.Build(stun.NewTransactionIDSetter(m.TransactionID), stun.BindingSuccess, mapped, stun.Fingerprint)
		if err == nil {
			_ = l.write(out.Raw, from) // the other side asks again
		}
	case stun.BindingSuccess:
		l.receiveBinding(m)
	default:
		l.garbage.Add(1)
	}
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
