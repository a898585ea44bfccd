// Package mesh is a node's membership: who is there, how far away, and streams
// to them. It runs serf over the one socket of package link and admits by the
// hello of package join. Start reading at Mesh.
package mesh

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/buildnet/buildnet/mesh/join"
	"github.com/buildnet/buildnet/mesh/link"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/hashicorp/serf/serf"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const (
	// joinTime is how long a node with seeds looks for a member.
	joinTime = 10 * time.Second
	// probeEvery, probeWait and suspicionMult let a killed member of a small
	// mesh fail within about four seconds.
	probeEvery    = 500 * time.Millisecond
	probeWait     = 300 * time.Millisecond
	suspicionMult = 4
	// packetBytes keeps SWIM packets whole: reads are cut at 1452 bytes.
	packetBytes = 1200
	eventQueue  = 256
)

// ErrNoMember says that none of the seeds answered as a member.
var ErrNoMember = errors.New("no member of the mesh answered")

// ErrCopied says that another machine runs with this node's identity.
var ErrCopied = link.ErrCopied

// Options is what a Mesh needs. Listen's port 0 takes a free one.
type Options struct {
	Identity     Identity
	Credentials  Credentials
	Listen       netip.AddrPort
	Host         string // for people
	Capabilities peer.Capabilities
	Seeds        []netip.AddrPort
	Log          *slog.Logger // nil discards
}

// Event is a change of one member.
type Event struct{ Member peer.Member }

// Mesh is a node's part in its mesh; it is a peer.Network. Its methods may be
// called concurrently, those that ask for members after Ready.
type Mesh struct {
	opts  Options
	link  *link.Link
	ready chan struct{}

	mu       sync.Mutex
	ctx      context.Context // of Run; handlers end with it
	serf     *serf.Serf
	caps     peer.Capabilities
	rtt      map[peer.ID]time.Duration // of the hello
	since    map[peer.ID]time.Time
	observed netip.AddrPort
	subs     map[chan Event]bool
}

var _ peer.Network = (*Mesh)(nil)

// New binds the socket and nothing more. Close it if Run is never called.
func New(o Options) (*Mesh, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	l, err := link.New(link.Options{
		Key: o.Identity.key, HelloKey: o.Credentials.Secret.HelloKey(o.Credentials.Mesh),
		Listen: o.Listen, Log: o.Log,
	})
	if err != nil {
		return nil, err
	}
	return &Mesh{
		opts: o, link: l, caps: o.Capabilities, ctx: context.Background(), ready: make(chan struct{}),
		rtt: map[peer.ID]time.Duration{}, since: map[peer.ID]time.Time{}, subs: map[chan Event]bool{},
	}, nil
}

// Run takes part in the mesh until ctx ends. It fails with ErrNoMember when
// there are seeds and none answers, and with ErrCopied.
func (m *Mesh) Run(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	m.mu.Lock()
	m.ctx = ctx
	m.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() { _ = m.link.Run(ctx) })
	defer func() {
		cancel()
		err = errors.Join(err, m.link.Close())
		wg.Wait()
	}()
	met, err := m.greet(ctx)
	if err != nil {
		return err
	}
	transport := link.NewSWIM(m.link, m.advertised(met))
	wg.Go(transport.Run)
	defer func() { _ = transport.Shutdown() }()
	events := make(chan serf.Event, eventQueue)
	s, err := serf.Create(m.serfConfig(transport, events))
	if err != nil {
		return fmt.Errorf("start membership: %w", err)
	}
	defer func() { _ = s.Shutdown() }()
	m.mu.Lock()
	m.serf = s
	m.mu.Unlock()
	if met.ID != "" {
		if _, err := s.Join([]string{string(met.ID) + "/" + met.Addr.String()}, true); err != nil {
			return fmt.Errorf("join through %s: %w", met.Addr, err)
		}
	}
	close(m.ready)
	m.follow(ctx, events)
	return nil
}

// greet says hello to all seeds at once and returns the first that answers.
func (m *Mesh) greet(ctx context.Context) (link.Met, error) {
	if len(m.opts.Seeds) == 0 {
		return link.Met{}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, joinTime)
	defer cancel()
	type result struct {
		met link.Met
		err error
	}
	results := make(chan result, len(m.opts.Seeds))
	for _, seed := range m.opts.Seeds {
		go func() {
			met, err := m.link.Hello(ctx, seed)
			results <- result{met, err}
		}()
	}
	first, tried := link.Met{}, error(nil)
	for range m.opts.Seeds {
		r := <-results
		if r.err == nil && first.ID == "" {
			first = r.met
			cancel()
		}
		tried = errors.Join(tried, r.err)
	}
	if first.ID != "" {
		m.mu.Lock()
		m.rtt[first.ID], m.observed = first.RTT, first.Seen
		m.mu.Unlock()
		return first, nil
	}
	if errors.Is(tried, ErrCopied) {
		return link.Met{}, tried
	}
	return link.Met{}, fmt.Errorf("%w within %s: tried %v; check that one runs there, that UDP passes, and that the token is of this mesh", ErrNoMember, joinTime, m.opts.Seeds)
}

func (m *Mesh) serfConfig(t *link.SWIM, events chan serf.Event) *serf.Config {
	c := serf.DefaultConfig()
	c.Init()
	c.NodeName = string(m.Self())
	c.Tags = encodeTags(m.opts.Host, m.caps)
	c.EventCh = events
	c.EnableNameConflictResolution = false
	c.Logger = log.New(logWriter{m.opts.Log}, "", 0)
	b := c.MemberlistConfig
	b.Name, b.Transport, b.Logger = c.NodeName, t, c.Logger
	b.SecretKey = m.opts.Credentials.Secret.GossipKey(m.opts.Credentials.Mesh)
	b.RequireNodeNames = true
	b.UDPBufferSize = packetBytes
	b.DeadNodeReclaimTime = time.Nanosecond // a restart may come from elsewhere at once
	b.ProbeInterval, b.ProbeTimeout, b.SuspicionMult = probeEvery, probeWait, suspicionMult
	return c
}

// logWriter passes on what serf says at debug level: it narrates.
type logWriter struct{ log *slog.Logger }

func (w logWriter) Write(b []byte) (int, error) {
	w.log.Debug("membership", "serf", string(b))
	return len(b), nil
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
	t := join.Token{Mesh: m.opts.Credentials.Mesh, Secret: m.opts.Credentials.Secret}
	for _, member := range m.Members() {
		if !lan && member.State == peer.Alive {
			t.Addrs = append(t.Addrs, member.Addr)
		}
	}
	return t.String(), nil
}

// Handle serves a protocol.
func (m *Mesh) Handle(proto string, h peer.Handler) {
	m.link.Host().SetStreamHandler(protocol.ID(proto), func(s network.Stream) {
		m.mu.Lock()
		ctx := m.ctx
		m.mu.Unlock()
		defer func() { _ = s.Close() }()
		h(ctx, peer.ID(s.Conn().RemotePeer().String()), s)
	})
}

// Open returns a stream to a member.
func (m *Mesh) Open(ctx context.Context, to peer.ID, proto string) (peer.Stream, error) {
	for _, member := range m.Members() {
		if member.ID != to {
			continue
		}
		s, err := m.link.Open(ctx, to, member.Addr, proto)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", peer.ErrUnreachable, to, err)
		}
		return s, nil
	}
	return nil, fmt.Errorf("%w: %s is no member", peer.ErrUnreachable, to)
}
