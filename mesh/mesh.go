// Package mesh is a node's membership: who is there, how far away, and streams
// to them. It runs serf over the one socket of package link, admits by the
// hello of package join, finds members by package discover, keeps revoked
// ones out by package roll and agrees on what holds for all by package decree. Start reading at Mesh.
package mesh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/buildnet/buildnet/mesh/decree"
	"github.com/buildnet/buildnet/mesh/discover"
	"github.com/buildnet/buildnet/mesh/join"
	"github.com/buildnet/buildnet/mesh/link"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/mesh/roll"
	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// eventQueue is how many changes wait for a reader: a mesh of some hundred
// that appears at once.
const eventQueue = 256

var (
	// ErrNoMember says that none of the seeds answered as a member.
	ErrNoMember = errors.New("no member of the mesh answered")
	// ErrCopied says that another machine runs with this node's identity.
	ErrCopied = link.ErrCopied
	// ErrNoSuchMember says that a peer was never seen in the mesh.
	ErrNoSuchMember = errors.New("no such member")
)

// Discovery says how members are found beside those whose address is known.
type Discovery uint8

const (
	// ByMulticast asks the LAN, unless the node listens on loopback or IPv6
	// alone.
	ByMulticast Discovery = iota
	// ByAddress asks known addresses alone.
	ByAddress
)

// Options is what a Mesh needs. Listen's port 0 takes a free one.
type Options struct {
	Identity     Identity
	Credentials  Credentials
	Listen       netip.AddrPort
	Host         string // for people
	Capabilities peer.Capabilities
	// Seeds are the addresses of an invitation that is used for the first
	// time: Run fails with ErrNoMember when none answers.
	Seeds []netip.AddrPort
	// Known are addresses of former members beside those that Home remembers.
	// They may be silent.
	Known []netip.AddrPort
	// Home is the directory that remembers members and a rotated secret, the
	// one of LoadCredentials. Empty remembers nothing.
	Home      string
	Discovery Discovery
	// Look is how long a node without Seeds looks for members before it is
	// ready alone; it goes on looking. 0 is a second if there are known
	// addresses or the LAN can be asked; negative does not wait.
	Look time.Duration
	// Sockets is where the socket comes from; nil: this machine. With others
	// Discovery should be ByAddress: multicast is always this machine's.
	Sockets link.Sockets
	Log     *slog.Logger // nil discards
}

// Event is a change of one member.
type Event struct{ Member peer.Member }

// Mesh is a node's part in its mesh; it is a peer.Network. Its methods may be
// called concurrently, those that ask for members after Ready.
type Mesh struct {
	opts   Options
	life   string // of this run: the serf names of an ID's runs differ
	link   *link.Link
	finder *discover.Discoverer // nil: no multicast
	ready  chan struct{}
	saves  chan chan error
	copied chan error // ends Run

	// Owned by Run: what it started and waits for.
	tasks sync.WaitGroup
	slots chan struct{} // bounds hellos in the background
	saved *roll.Roll    // owned by keep
	// savedDecree is owned by keep, once it runs.
	savedDecree decree.Decree
	// departure holds a token while serf leaves or is shut down: a Leave that
	// Shutdown overtakes panics.
	departure chan struct{}

	mu      sync.Mutex
	ctx     context.Context // of Run; handlers end with it
	over    bool            // Run waits for its tasks: no more may begin
	serf    *serf.Serf
	keyring *memberlist.Keyring
	roll    *roll.Roll // replaced, never changed
	// rolls counts how often roll was replaced; the link has the keys of the one
	// that was the keyed-th.
	rolls, keyed uint64
	decree       decree.Decree
	caps         peer.Capabilities
	rtt          map[peer.ID]time.Duration // of the hello
	since        map[string]time.Time      // by serf name
	gone         map[string]bool           // runs that a later one has replaced
	known        map[peer.ID]known
	// untold members are told of the roll again later.
	untold   map[peer.ID]bool
	tried    map[netip.AddrPort]time.Time
	observed netip.AddrPort
	subs     map[chan Event]bool
	roster   roster
}

var _ peer.Network = (*Mesh)(nil)

// New binds the socket and nothing more. Close it if Run is never called.
func New(o Options) (*Mesh, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r := o.Credentials.roll()
	m := &Mesh{
		opts: o, life: newLife(), caps: o.Capabilities, roll: &r, saved: &r,
		ctx: context.Background(), ready: make(chan struct{}), saves: make(chan chan error, 1), copied: make(chan error, 1), departure: make(chan struct{}, 1),
		slots: make(chan struct{}, maxHellos),
		rtt:   map[peer.ID]time.Duration{}, since: map[string]time.Time{}, gone: map[string]bool{}, known: map[peer.ID]known{}, untold: map[peer.ID]bool{},
		tried: map[netip.AddrPort]time.Time{}, subs: map[chan Event]bool{},
	}
	l, err := link.New(link.Options{
		Key: o.Identity.key, Keys: link.KeysOf(m.roll.Mesh, m.roll.Secret, m.roll.Former...),
		Admit: m.admit, Listen: o.Listen, Sockets: o.Sockets, Log: o.Log,
	})
	if err != nil {
		return nil, err
	}
	m.link = l
	if use, ok := multicasts(o.Discovery, o.Listen.Addr()); ok {
		m.finder = discover.New(discover.Options{Port: l.Addr().Port(), Tags: m.tags, Use: use, Log: o.Log})
	}
	return m, nil
}

// Run takes part in the mesh until ctx ends. It fails with ErrNoMember when
// there are seeds and none answers, and with ErrCopied.
func (m *Mesh) Run(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	m.mu.Lock()
	m.ctx = ctx
	m.mu.Unlock()
	m.remember()
	m.recall()
	m.link.Host().SetStreamHandler(rollProtocol, m.serveRoll)
	m.tasks.Go(func() { _ = m.link.Run(ctx) })
	m.tasks.Go(func() { m.keep(ctx) })
	if m.finder != nil {
		m.tasks.Go(func() { m.finder.Run(ctx) })
	}
	defer func() {
		cancel()
		m.mu.Lock()
		m.over = true
		m.mu.Unlock()
		err = errors.Join(err, m.link.Close())
		m.tasks.Wait()
	}()
	met, err := m.greet(ctx)
	if err != nil {
		return err
	}
	transport := link.NewSWIM(m.link, m.advertised(met))
	m.tasks.Go(transport.Run)
	defer func() { _ = transport.Shutdown() }()
	events := make(chan serf.Event, eventQueue)
	s, err := m.startSerf(transport, events)
	if err != nil {
		return err
	}
	defer m.end(s)
	m.tasks.Go(func() { m.follow(ctx, s, events) })
	if err := m.enterFirst(ctx, met); err != nil {
		return err
	}
	close(m.ready)
	m.tasks.Go(func() { m.seek(ctx) })
	m.tasks.Go(func() { m.refresh(ctx) })
	select {
	case <-ctx.Done():
		return nil
	case err := <-m.copied:
		return err
	}
}

// Close gives the socket back. Run does so itself.
func (m *Mesh) Close() error { return m.link.Close() }

// Ready is closed once the node is a member.
func (m *Mesh) Ready() <-chan struct{} { return m.ready }

// Self is this node's ID.
func (m *Mesh) Self() peer.ID { return m.link.Self() }

// Addr is where the socket listens.
func (m *Mesh) Addr() netip.AddrPort { return m.link.Addr() }

// Libp2p is the host that streams run on. Only members get through it.
func (m *Mesh) Libp2p() host.Host { return m.link.Host() }

// Counters count what was refused.
func (m *Mesh) Counters() link.Counters { return m.link.Counters() }

// Observed is this node's address as another member sees it; not valid when
// none has said.
func (m *Mesh) Observed() netip.AddrPort {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.observed
}

// Invite returns a token; lan leaves the addresses out.
func (m *Mesh) Invite(lan bool) (string, error) {
	m.mu.Lock()
	t := join.Token{Mesh: m.roll.Mesh, Secret: m.roll.Secret}
	m.mu.Unlock()
	if lan {
		return t.String(), nil
	}
	for _, member := range m.Members() {
		if member.Self {
			t.Addrs = append([]netip.AddrPort{member.Addr}, t.Addrs...)
		} else if member.State == peer.Alive {
			t.Addrs = append(t.Addrs, member.Addr)
		}
	}
	return t.String(), nil
}

// Handle serves a protocol.
func (m *Mesh) Handle(proto string, h peer.Handler) {
	m.link.Host().SetStreamHandler(protocol.ID(proto), func(s network.Stream) {
		ctx, ok := m.begin()
		if !ok {
			_ = s.Reset()
			return
		}
		defer m.tasks.Done()
		defer func() { _ = s.Close() }()
		h(ctx, peer.ID(s.Conn().RemotePeer().String()), s)
	})
}

// begin counts a task that did not come from Run, unless Run is over.
func (m *Mesh) begin() (context.Context, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.over {
		return nil, false
	}
	m.tasks.Add(1)
	return m.ctx, true
}

// Open returns a stream to a member.
func (m *Mesh) Open(ctx context.Context, to peer.ID, proto string) (peer.Stream, error) {
	member, ok := m.find(to)
	if !ok {
		return nil, fmt.Errorf("%w: %s is no member", peer.ErrUnreachable, to)
	}
	s, err := m.link.Open(ctx, to, member.Addr, proto)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", peer.ErrUnreachable, to, err)
	}
	return s, nil
}
