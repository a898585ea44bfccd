//go:build lab && linux

package lab

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/simulations/network"
)

// insideObserve is half of a server as RFC 5780 has them. To "map" it answers
// with the sender's address; for "port" another port of it speaks to the
// sender, and for "host" the other half does, whose address is its argument.
func insideObserve(t *testing.T, args []string) {
	c, second := listenUDP(t, probePort), listenUDP(t, probePort+1)
	other := &net.UDPAddr{IP: net.ParseIP(args[0]), Port: probePort}
	go func() {
		b := make([]byte, 256)
		for {
			_, from, err := second.ReadFromUDP(b)
			if err != nil {
				return
			}
			_, _ = fmt.Fprint(writer{second, from}, "mapped ", from)
		}
	}()
	b := make([]byte, 256)
	for {
		n, from, err := c.ReadFromUDP(b)
		if err != nil {
			t.Fatal(err)
		}
		question, rest, _ := strings.Cut(string(b[:n]), " ")
		switch question {
		case "map":
			_, _ = fmt.Fprint(writer{c, from}, "mapped ", from)
		case "port":
			_, _ = fmt.Fprint(writer{second, from}, "from another port")
		case "host":
			_, _ = fmt.Fprint(writer{c, other}, "tell ", from)
		case "tell":
			if to, err := net.ResolveUDPAddr("udp4", rest); err == nil {
				_, _ = fmt.Fprint(writer{c, to}, "from another host")
			}
		}
	}
}

// writer sends to one address.
type writer struct {
	*net.UDPConn
	to *net.UDPAddr
}

func (w writer) Write(b []byte) (int, error) { return w.WriteToUDP(b, w.to) }

// insideProbe prints what a NAT does with a socket: how two ports of one
// server and another server see it, and who gets through to it before it has
// sent to them. Its arguments are a local port and both servers.
func insideProbe(t *testing.T, args []string) {
	var port int
	if _, err := fmt.Sscan(args[0], &port); err != nil {
		t.Fatal(err)
	}
	c := listenUDP(t, port)
	first := ask(t, c, args[1], probePort, "map")
	fmt.Printf("filter: %s %s\n",
		passed(ask(t, c, args[1], probePort, "port") == "from another port"),
		passed(ask(t, c, args[1], probePort, "host") == "from another host"))
	fmt.Printf("mapping: %s %s %s\n", first,
		ask(t, c, args[1], probePort+1, "map"), ask(t, c, args[2], probePort, "map"))
}

func passed(ok bool) string { return map[bool]string{true: "passes", false: "dropped"}[ok] }

// ask returns the answer to a question, or "none"; one packet may be lost.
func ask(t *testing.T, c *net.UDPConn, host string, port int, question string) string {
	t.Helper()
	b := make([]byte, 256)
	for range 3 {
		if _, err := fmt.Fprint(writer{c, &net.UDPAddr{IP: net.ParseIP(host), Port: port}}, question); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		if n, _, err := c.ReadFromUDP(b); err == nil {
			return strings.TrimPrefix(string(b[:n]), "mapped ")
		}
	}
	return "none"
}

// natKind is a NAT in terms of RFC 4787: Mapping and Filtering are
// "endpoint-independent", "address-dependent" or "address and port-dependent".
type natKind struct {
	Mapping, Filtering string
	// KeepsPort is true if the port outside is the one inside.
	KeepsPort bool
}

// observed runs a probe from a host behind a site's gateway.
func observed(t *testing.T, h *Host, port int, servers []*Host) natKind {
	t.Helper()
	p := helper(h, fmt.Sprintf("probe %d %s %s", port, servers[0].Addr, servers[1].Addr))
	var fromPort, fromHost, first, otherPort, otherHost string
	said(t, p, "mapping: ", &first, &otherPort, &otherHost)
	said(t, p, "filter: ", &fromPort, &fromHost)
	t.Logf("%s:%d is seen as %s, %s and %s; another port %s, another host %s", h.Addr, port, first, otherPort, otherHost, fromPort, fromHost)
	for _, at := range []string{first, otherPort, otherHost} {
		if !Outside(at, 1) {
			t.Errorf("seen as %s, which is not the gateway", at)
		}
	}
	kind := func(port, host bool) string {
		switch {
		case port && host:
			return "endpoint-independent"
		case port:
			return "address-dependent"
		default:
			return "address and port-dependent"
		}
	}
	return natKind{
		Mapping:   kind(first == otherPort, first == otherHost),
		Filtering: kind(fromPort == "passes", fromHost == "passes"),
		KeepsPort: strings.HasSuffix(first, fmt.Sprint(":", port)),
	}
}

// TestNATs checks that the gateways are what they are called.
func TestNATs(t *testing.T) {
	for nat, want := range map[NAT]natKind{
		Masquerade: {"endpoint-independent", "address and port-dependent", true},
		Symmetric:  {"address and port-dependent", "address and port-dependent", false},
	} {
		t.Run(nat.String(), func(t *testing.T) {
			w := NewInternet(t, 1, network.Path{Latency: 5 * time.Millisecond}, Routed, nat)
			servers := []*Host{w.Sites[0].Host(0.3), w.Sites[0].Host(0.3)}
			helper(servers[0], "observe "+servers[1].Addr)
			helper(servers[1], "observe "+servers[0].Addr)
			if got := observed(t, w.Sites[1].Host(0.3), 7946, servers); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
			// Another host's socket of the same port: its mapping cannot keep it.
			want.KeepsPort = false
			if got := observed(t, w.Sites[1].Host(0.3), 7946, servers); got != want {
				t.Errorf("the second of a port: %+v, want %+v", got, want)
			}
		})
	}
}
