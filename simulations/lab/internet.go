//go:build lab && linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/simulations/lab/router"
	"github.com/buildnet/buildnet/simulations/network"
)

// NAT is what lies between a site and the others.
type NAT uint8

const (
	// Routed sites are reached by their own addresses.
	Routed NAT = iota
	// Masquerade is Linux's own: the mapping of an address and port is the same
	// for every destination, and keeps the port, unless that is taken; only
	// destinations that were sent to get through. In terms of RFC 4787,
	// sections 4.1 and 5: endpoint-independent mapping, address and
	// port-dependent filtering.
	Masquerade
	// Symmetric is Linux's with fully-random: each destination has a mapping of
	// its own, to a random port. Address and port-dependent mapping and
	// filtering.
	Symmetric
)

// String names a NAT.
func (n NAT) String() string { return [...]string{"routed", "masquerade", "symmetric"}[n] }

// rules are nftables' for a gateway: it translates what leaves, and nobody
// outside begins anything. A packet that is not expected is dropped without an
// answer and a trace: an entry for it would take the port of a later mapping.
const rules = `
table ip site {
	chain translate {
		type nat hook postrouting priority srcnat
		oifname "wan" masquerade %s
	}
	chain forward {
		type filter hook forward priority filter
		iifname "wan" ct state new drop
	}
	chain input {
		type filter hook input priority filter
		iifname "wan" ct state new drop
	}
}`

// Internet is sites that are joined by a router.
type Internet struct {
	t      *testing.T
	router *router.Router
	Sites  []*Lab
}

// NewInternet makes a site behind each NAT, without hosts. The path is the one
// way between any two of them, in both directions; the seed is of what gets
// lost there. All is gone when the test ends.
func NewInternet(t *testing.T, seed uint64, path network.Path, nats ...NAT) *Internet {
	t.Helper()
	w := &Internet{t: t}
	var ports []router.Port
	for i, nat := range nats {
		site := New(t)
		w.Sites = append(w.Sites, site)
		ports = append(ports, site.uplink(i, nat))
	}
	w.router = router.New(seed, ports...)
	for from := range nats {
		for to := range nats {
			w.Shape(from, to, path)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.router.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return w
}

// outside is the gateway's address among the sites; RFC 2544 has reserved the
// network for such tests.
func outside(site int) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, byte(site), 1}) }

// uplink makes the LAN a site: its bridge becomes the gateway, with a device
// towards the router.
func (l *Lab) uplink(site int, nat NAT) router.Port {
	l.t.Helper()
	dev, err := router.OpenTUN(l.netns(lan), "wan")
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		l.t.Skipf("sites need a TUN device, and there is none for this user: %v", err)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	own := outside(site)
	l.gateway = l.subnet + ".254"
	l.ip(lan, "addr", "add", l.gateway+"/24", "dev", "br0")
	l.ip(lan, "addr", "add", own.String()+"/32", "dev", "wan")
	l.ip(lan, "link", "set", "wan", "up")
	l.ip(lan, "route", "add", "default", "dev", "wan")
	l.in(lan, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
	reach := []netip.Prefix{netip.PrefixFrom(own, 32)}
	switch nat {
	case Routed:
		reach = append(reach, netip.MustParsePrefix(l.subnet+".0/24"))
	case Masquerade:
		l.in(lan, "nft", fmt.Sprintf(rules, ""))
	case Symmetric:
		l.in(lan, "nft", fmt.Sprintf(rules, "fully-random"))
	}
	return router.Port{Device: dev, Reach: reach}
}

// Shape sets the path from one site to another, in that direction alone.
func (w *Internet) Shape(from, to int, p network.Path) {
	if from != to {
		w.router.Shape(from, to, p)
	}
}

// Cut drops all that goes from one site to another, in that direction alone.
func (w *Internet) Cut(from, to int) { w.router.Cut(from, to) }

// Heal undoes Cut.
func (w *Internet) Heal(from, to int) { w.router.Heal(from, to) }

// Outside says whether an address, with or without a port, is a site's
// gateway's.
func Outside(addr string, site int) bool {
	host, _, _ := strings.Cut(addr, ":")
	return host == outside(site).String()
}
