// Package discover finds members of the same mesh on the LAN by multicast DNS.
// A member asks for a name that only members can compute, and those answer
// with their port: there is no peer ID, host name or mesh name in it. It
// starts goroutines and does I/O. Start reading at Discoverer.
package discover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/join"
	"golang.org/x/net/ipv4"
)

const (
	// answerWait spreads the answers of many members, so that most of them
	// hear that others were faster (RFC 6762, section 6, asks for 20-120 ms
	// where records are shared).
	answerWait = 60 * time.Millisecond
	// enoughAnswers silences the others: one member is enough to join.
	enoughAnswers = 3
	// answerEvery bounds what questions can make a member send.
	answerEvery = 200 * time.Millisecond
	// packetQueue bounds packets that wait. mDNS repeats what matters.
	packetQueue = 64
	// foundQueue bounds finds that wait for the reader.
	foundQueue = 16
	maxPacket  = 1500
	// retryListen is how long another program may hold the port of mDNS.
	retryListen = 30 * time.Second
	// hopLimit is as RFC 6762, section 11, says.
	hopLimit = 255
)

var group = &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353}

// Options is what a Discoverer needs.
type Options struct {
	Port uint16 // of the mesh on this machine
	// Tags are those that other members may use now; the first is this
	// node's own.
	Tags func() []join.Tag
	// Use picks interfaces among those that can multicast; nil uses all.
	Use func(net.Interface) bool
	Log *slog.Logger
}

// Discoverer asks and answers.
type Discoverer struct {
	opts  Options
	ask   chan struct{}
	found chan netip.AddrPort

	// Owned by Run.
	conn    *ipv4.PacketConn
	joined  map[int]bool // interfaces by index
	due     *time.Timer
	pending map[join.Tag]int // answers that others have given meanwhile
	last    time.Time
}

// New returns a Discoverer that is silent until Run.
func New(o Options) *Discoverer {
	return &Discoverer{opts: o, ask: make(chan struct{}, 1), found: make(chan netip.AddrPort, foundQueue)}
}

// Ask sends a question as soon as Run gets to it.
func (d *Discoverer) Ask() {
	select {
	case d.ask <- struct{}{}:
	default:
	}
}

// Found delivers where members say they are. Anybody may say so: only a hello
// proves it. This node's own address comes as well.
func (d *Discoverer) Found() <-chan netip.AddrPort { return d.found }

// Run asks and answers until ctx ends. Where mDNS cannot be had it says so and
// tries again.
func (d *Discoverer) Run(ctx context.Context) {
	for told := false; ; told = true {
		err := d.serve(ctx)
		if ctx.Err() != nil {
			return
		}
		if !told {
			d.opts.Log.Warn("no discovery on the LAN: members are found by their known addresses only", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryListen):
		}
	}
}

type packet struct {
	data []byte
	from netip.AddrPort
}

func (d *Discoverer) serve(ctx context.Context) error {
	// Go listens on the wildcard address, shared, for a multicast one.
	raw, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(224, 0, 0, 0), Port: group.Port})
	if err != nil {
		return fmt.Errorf("listen for mDNS: %w", err)
	}
	d.conn, d.joined, d.pending = ipv4.NewPacketConn(raw), map[int]bool{}, map[join.Tag]int{}
	d.due = time.NewTimer(answerWait)
	defer d.due.Stop()
	if err := errors.Join(d.conn.SetMulticastLoopback(true), d.conn.SetMulticastTTL(hopLimit)); err != nil {
		return errors.Join(fmt.Errorf("set up mDNS: %w", err), raw.Close())
	}
	d.join()
	packets, ended := make(chan packet, packetQueue), make(chan error, 1)
	go func() { ended <- read(raw, packets) }()
	for {
		select {
		case <-ctx.Done():
			err := raw.Close()
			<-ended
			return err
		case err := <-ended:
			return errors.Join(err, raw.Close())
		case <-d.ask:
			d.join()
			d.question()
		case <-d.due.C:
			d.answer()
		case p := <-packets:
			d.receive(p)
		}
	}
}

func read(conn *net.UDPConn, to chan<- packet) error {
	buf := make([]byte, maxPacket)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return fmt.Errorf("read mDNS: %w", err)
		}
		select {
		case to <- packet{slices.Clone(buf[:n]), from}:
		default:
		}
	}
}

// interfaces are those with an IPv4 address that can multicast.
func (d *Discoverer) interfaces() []net.Interface {
	all, _ := net.Interfaces() // without any there is nothing to do
	return slices.DeleteFunc(all, func(i net.Interface) bool {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagMulticast == 0 {
			return true
		}
		return !hasIPv4(i) || d.opts.Use != nil && !d.opts.Use(i)
	})
}

func hasIPv4(i net.Interface) bool {
	addrs, _ := i.Addrs()
	return slices.ContainsFunc(addrs, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		return ok && n.IP.To4() != nil
	})
}

// join hears the group on interfaces that are new.
func (d *Discoverer) join() {
	for _, i := range d.interfaces() {
		if d.joined[i.Index] {
			continue
		}
		if err := d.conn.JoinGroup(&i, group); err != nil {
			d.opts.Log.Debug("mDNS on interface", "interface", i.Name, "err", err)
			continue
		}
		d.joined[i.Index] = true
	}
}

func (d *Discoverer) question() {
	if b, err := question(d.opts.Tags()[0]); err == nil {
		d.send(b)
	}
}

func (d *Discoverer) send(b []byte) {
	for _, i := range d.interfaces() {
		if d.conn.SetMulticastInterface(&i) != nil {
			continue
		}
		_, _ = d.conn.WriteTo(b, nil, group) // asked again
	}
}

func (d *Discoverer) receive(p packet) {
	m := parse(p.data)
	if len(m.asked)+len(m.announced) == 0 {
		return
	}
	tags := d.opts.Tags()
	for _, tag := range m.asked {
		if _, again := d.pending[tag]; again || !slices.Contains(tags, tag) {
			continue
		}
		d.pending[tag] = 0
		if len(d.pending) == 1 {
			wait := answerWait/3 + rand.N(answerWait*2/3)
			d.due.Reset(max(wait, answerEvery-time.Since(d.last)))
		}
	}
	for _, a := range m.announced {
		if !slices.Contains(tags, a.tag) {
			continue
		}
		if n, asked := d.pending[a.tag]; asked {
			d.pending[a.tag] = n + 1
		}
		select {
		case d.found <- netip.AddrPortFrom(p.from.Addr().Unmap(), a.port):
		default:
		}
	}
}

func (d *Discoverer) answer() {
	for tag, others := range d.pending {
		if others >= enoughAnswers {
			continue
		}
		if b, err := answer(announcement{tag, d.opts.Port}); err == nil {
			d.send(b)
			d.last = time.Now()
		}
	}
	clear(d.pending)
}
