package discover

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/buildnet/buildnet/mesh/join"
	"github.com/miekg/dns"
)

const (
	// service follows the tag in a name. Nobody is listed under it: who does
	// not know the tag cannot ask.
	service = "._buildnet._udp.local."
	// ttl in seconds. Nobody caches this: a member asks again.
	ttl = 10
	// maxRecords is how many records of a packet are looked at.
	maxRecords = 16
)

// announcement says that a member takes part at a port of the sender.
type announcement struct {
	tag  join.Tag
	port uint16
}

// message is what matters in a packet.
type message struct {
	asked     []join.Tag
	announced []announcement
}

func question(tag join.Tag) ([]byte, error) {
	m := new(dns.Msg)
	m.Question = []dns.Question{{Name: name(tag), Qtype: dns.TypeSRV, Qclass: dns.ClassINET}}
	return pack(m)
}

func answer(a announcement) ([]byte, error) {
	m := new(dns.Msg)
	m.Response, m.Authoritative = true, true
	m.Answer = []dns.RR{&dns.SRV{
		Hdr:    dns.RR_Header{Name: name(a.tag), Rrtype: dns.TypeSRV, Class: dns.ClassINET, Ttl: ttl},
		Port:   a.port,
		Target: name(a.tag), // that is, whoever sent this: no host name leaves the machine
	}}
	return pack(m)
}

func pack(m *dns.Msg) ([]byte, error) {
	b, err := m.Pack()
	if err != nil {
		return nil, fmt.Errorf("pack mDNS message: %w", err)
	}
	return b, nil
}

func name(tag join.Tag) string { return hex.EncodeToString(tag[:]) + service }

// parse returns what concerns some mesh; of other mDNS traffic, nothing.
func parse(b []byte) message {
	var m dns.Msg
	if m.Unpack(b) != nil {
		return message{}
	}
	var out message
	if !m.Response {
		for _, q := range m.Question[:min(len(m.Question), maxRecords)] {
			if tag, ok := tagOf(q.Name); ok && q.Qtype == dns.TypeSRV {
				out.asked = append(out.asked, tag)
			}
		}
		return out
	}
	for _, r := range m.Answer[:min(len(m.Answer), maxRecords)] {
		srv, ok := r.(*dns.SRV)
		if !ok || srv.Port == 0 {
			continue
		}
		if tag, ok := tagOf(srv.Hdr.Name); ok {
			out.announced = append(out.announced, announcement{tag, srv.Port})
		}
	}
	return out
}

func tagOf(name string) (tag join.Tag, ok bool) {
	label, ok := strings.CutSuffix(name, service)
	if !ok || len(label) != hex.EncodedLen(len(tag)) {
		return tag, false
	}
	_, err := hex.Decode(tag[:], []byte(label))
	return tag, err == nil
}
