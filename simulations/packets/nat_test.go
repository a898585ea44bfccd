package packets

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/buildnet/buildnet/simulations/network"
)

// Hosts of these tests: 0 and 1 are public, 2 and 3 behind the NAT.
func behind(kind Kind) Options {
	o := one(4, network.Path{Latency: time.Millisecond})
	o.NATs = []NAT{{Kind: kind, Hosts: []int{2, 3}}}
	return o
}

// TestNATsBehaveAsTheirKind names what RFC 4787 calls mapping behaviour
// (section 4.1) and filtering behaviour (section 5).
func TestNATsBehaveAsTheirKind(t *testing.T) {
	for _, c := range []struct {
		kind                Kind
		sameMapping         bool // endpoint-independent mapping
		stranger, otherPort bool // who gets in
	}{
		{FullCone, true, true, true},
		{Restricted, true, false, true},
		{PortRestricted, true, false, false},
		{Symmetric, false, false, false},
	} {
		t.Run(c.kind.String(), func(t *testing.T) {
			bubble(t, behind(c.kind), func(t *testing.T, n *Net) {
				in := listen(t, n.Host(2), 5000)
				server, other, stranger := listen(t, n.Host(0), 1), listen(t, n.Host(0), 2), listen(t, n.Host(1), 1)
				say(t, in, "first", at(n.Host(0), 1))
				_, from := hear(t, server, time.Second)
				if len(from) != 1 || from[0].(*net.UDPAddr).IP.String() == n.Host(2).Addr().String() {
					t.Fatalf("came from %v", from)
				}
				mapped := from[0]
				if kept := mapped.(*net.UDPAddr).Port == 5000; kept != c.sameMapping {
					t.Errorf("mapped to %s", mapped)
				}
				for _, x := range []struct {
					name string
					conn net.PacketConn
					want bool
				}{{"server", server, true}, {"its other port", other, c.otherPort}, {"stranger", stranger, c.stranger}} {
					say(t, x.conn, x.name, mapped)
					if got, _ := hear(t, in, time.Second); (len(got) == 1) != x.want {
						t.Errorf("%s got in: %v, want %v", x.name, len(got) == 1, x.want)
					}
				}
				say(t, in, "second", at(n.Host(1), 1))
				_, from = hear(t, stranger, time.Second)
				if same := fmt.Sprint(from[0]) == fmt.Sprint(mapped); same != c.sameMapping {
					t.Errorf("another destination sees %s, the first saw %s", from[0], mapped)
				}
				say(t, stranger, "by the first's mapping", mapped)
				if got, _ := hear(t, in, time.Second); (len(got) == 1) != c.sameMapping {
					t.Errorf("once sent to, got in by the first mapping: %v", len(got) == 1)
				}
			})
		})
	}
}

func TestMappingsEndWithoutPacketsOut(t *testing.T) {
	for kind := FullCone; kind <= Symmetric; kind++ {
		bubble(t, behind(kind), func(t *testing.T, n *Net) {
			in, server := listen(t, n.Host(2), 5000), listen(t, n.Host(0), 1)
			gotIn := func() bool {
				_, from := hear(t, server, time.Second)
				for wait := natTimeout / 2; ; wait *= 2 {
					pass(wait)
					say(t, server, "answer", from[len(from)-1])
					if got, _ := hear(t, in, time.Second); wait > natTimeout || len(got) == 0 {
						return len(got) == 1
					}
				}
			}
			say(t, in, "open", at(n.Host(0), 1))
			if gotIn() {
				t.Errorf("%s: answers of the server kept the mapping", kind)
			}
			for range 3 {
				say(t, in, "keep", at(n.Host(0), 1))
				pass(natTimeout - time.Second)
			}
			_, from := hear(t, server, time.Second)
			for _, f := range from {
				if f.String() != from[0].String() {
					t.Errorf("%s: packets out did not keep the mapping: %v", kind, from)
				}
			}
		})
	}
}

func TestHostsBehindOneNAT(t *testing.T) {
	for _, hairpin := range []bool{false, true} {
		o := behind(FullCone)
		o.NATs[0].Hairpin = hairpin
		bubble(t, o, func(t *testing.T, n *Net) {
			a, b, server := listen(t, n.Host(2), 5000), listen(t, n.Host(3), 5000), listen(t, n.Host(0), 1)
			say(t, a, "a", at(n.Host(0), 1))
			say(t, b, "b", at(n.Host(0), 1))
			_, from := hear(t, server, time.Second)
			if len(from) != 2 || from[0].String() == from[1].String() {
				t.Fatalf("seen as %v", from)
			}
			say(t, a, "direct", at(n.Host(3), 5000))
			if got, by := hear(t, b, time.Second); len(got) != 1 || by[0].String() != at(n.Host(2), 5000).String() {
				t.Errorf("by the private address: %v of %v", got, by)
			}
			say(t, a, "around", from[1])
			if got, by := hear(t, b, time.Second); (len(got) == 1) != hairpin || hairpin && by[0].String() != from[0].String() {
				t.Errorf("by the outer address, hairpin %v: %v of %v", hairpin, got, by)
			}
			stranger := listen(t, n.Host(1), 1)
			say(t, stranger, "private", at(n.Host(2), 5000))
			if got, _ := hear(t, a, time.Second); len(got) != 0 {
				t.Errorf("a private address is reached from outside")
			}
		})
	}
}

func TestOnlySoundNetworksAreMade(t *testing.T) {
	for what, change := range map[string]func(*Options){
		"a host of no site":   func(o *Options) { o.Site[0] = 1 },
		"a NAT of nobody":     func(o *Options) { o.NATs[0].Hosts = nil },
		"a NAT of no kind":    func(o *Options) { o.NATs[0].Kind = 0 },
		"a host that is not":  func(o *Options) { o.NATs[0].Hosts = []int{4} },
		"two NATs for a host": func(o *Options) { o.NATs = append(o.NATs, o.NATs[0]) },
		"a NAT of two sites": func(o *Options) {
			o.Sites, o.Site[3] = append(o.Sites, network.Site{Name: "b"}), 1
		},
	} {
		o := behind(FullCone)
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}
