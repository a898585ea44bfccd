package mesh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math"
	"strings"
	"time"

	"github.com/buildnet/buildnet/mesh/link"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"
)

const (
	// probeEvery, probeWait and suspicionMult let a killed member of a small
	// mesh fail within about five seconds. Lifeguard stretches them on a
	// machine that is itself slow to answer.
	probeEvery    = 700 * time.Millisecond
	probeWait     = 250 * time.Millisecond
	suspicionMult = 5
	// retransmitMult passes each change on twice as often as serf does on its
	// own: in a mesh of 5 to 9 that starts at once somebody else missed one in
	// ten times, until the next exchange of full states, up to 50 s later.
	retransmitMult = 8
	// packetBytes keeps SWIM packets whole: reads are cut at 1452 bytes.
	packetBytes = 1200
	// reconnectEvery heals a partition; failed and left members are shown for
	// forgetAfter.
	reconnectEvery = 5 * time.Second
	forgetAfter    = 10 * time.Minute
	reapEvery      = 5 * time.Second
	// A departure is told by serf and by memberlist, each for leaveWait at most:
	// two rounds of gossip, in which six members hear of it. With what follows
	// it takes a second in all, and the end of a node waits for no more.
	leaveWait      = 400 * time.Millisecond
	leavePropagate = 200 * time.Millisecond

	tagHost = "h"
	tagCaps = "c"
	// maxTags is what serf takes of tags in all, less their framing.
	maxTags = memberlist.MetaMaxSize - 16
	// maxText bounds each text of the tags.
	maxText = 64
)

// newLife returns the name of this run: later ones sort higher, so that of two
// runs of one ID the present one is known.
func newLife() string { return fmt.Sprintf("%016x", time.Now().UnixNano()) }

// serfName is a member's name in serf. A restart is a new name: it may come
// from another address at once, while the old name is still to fail.
func serfName(id peer.ID, life string) string { return string(id) + "." + life }

func splitName(name string) (id peer.ID, life string) {
	before, after, _ := strings.Cut(name, ".")
	return peer.ID(before), after
}

func (m *Mesh) startSerf(t *link.SWIM, events chan serf.Event) (*serf.Serf, error) {
	m.mu.Lock()
	key := m.roll.Secret.GossipKey(m.roll.Mesh)
	caps := m.caps
	m.mu.Unlock()
	keyring, err := memberlist.NewKeyring(nil, key)
	if err != nil {
		return nil, fmt.Errorf("gossip key: %w", err)
	}
	c := serf.DefaultConfig()
	c.Init()
	c.NodeName = serfName(m.Self(), m.life)
	c.Tags = encodeTags(m.opts.Host, caps)
	c.EventCh = events
	c.EnableNameConflictResolution = false
	c.Logger = log.New(logWriter{m.opts.Log}, "", 0)
	c.ReconnectInterval, c.ReconnectTimeout, c.TombstoneTimeout, c.ReapInterval = reconnectEvery, forgetAfter, forgetAfter, reapEvery
	c.BroadcastTimeout, c.LeavePropagateDelay = leaveWait, leavePropagate
	b := c.MemberlistConfig
	b.Name, b.Transport, b.Logger = c.NodeName, t, c.Logger
	b.Keyring = keyring
	b.Alive = aliveFilter{m}
	b.RequireNodeNames = true
	b.UDPBufferSize = packetBytes
	b.RetransmitMult = retransmitMult
	b.ProbeInterval, b.ProbeTimeout, b.SuspicionMult = probeEvery, probeWait, suspicionMult
	s, err := serf.Create(c)
	if err != nil {
		return nil, fmt.Errorf("start membership: %w", err)
	}
	m.mu.Lock()
	m.serf, m.keyring = s, keyring
	m.mu.Unlock()
	return s, nil
}

// aliveFilter keeps revoked peers and malformed names out of the membership.
type aliveFilter struct{ m *Mesh }

// NotifyAlive refuses a member by an error.
func (f aliveFilter) NotifyAlive(n *memberlist.Node) error {
	id, life := splitName(n.Name)
	if len(life) != len(f.m.life) {
		return errors.New("malformed name")
	}
	if _, err := peer.Parse(string(id)); err != nil {
		return err
	}
	if f.m.banned(id) {
		return errors.New("revoked")
	}
	return nil
}

// logWriter passes on what serf says at debug level: it narrates.
type logWriter struct{ log *slog.Logger }

var _ io.Writer = logWriter{}

func (w logWriter) Write(b []byte) (int, error) {
	w.log.Debug("membership", "serf", strings.TrimSpace(string(b)))
	return len(b), nil
}

// encodeTags leaves out toolchains, from the last, until the rest fits.
func encodeTags(host string, c peer.Capabilities) map[string]string {
	host, c.OS, c.Arch, c.API, c.Version = cut(host), cut(c.OS), cut(c.Arch), cut(c.API), cut(c.Version)
	c.BPU, c.Cores = finite(c.BPU), finite(c.Cores)
	for {
		raw, err := json.Marshal([]any{c.BPU, c.Cores, c.Slots, c.OS, c.Arch, c.Toolchains, c.API, c.Version})
		if err != nil {
			panic(fmt.Sprintf("encode capabilities: %v", err)) // no number in them is infinite
		}
		if len(raw)+len(host) <= maxTags || len(c.Toolchains) == 0 {
			return map[string]string{tagHost: host, tagCaps: string(raw)}
		}
		c.Toolchains = c.Toolchains[:len(c.Toolchains)-1]
	}
}

func cut(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == '"' || r == '\\' || r > '~' {
			return '?' // JSON would write it longer
		}
		return r
	}, s)
	return s[:min(len(s), maxText)]
}

// maxNumber is above every machine's.
const maxNumber = 1e9

func finite(f float64) float64 {
	if math.IsNaN(f) {
		return 0
	}
	return math.Round(min(max(f, 0), maxNumber)*1000) / 1000
}

func decodeTags(tags map[string]string) (c peer.Capabilities) {
	fields := []any{&c.BPU, &c.Cores, &c.Slots, &c.OS, &c.Arch, &c.Toolchains, &c.API, &c.Version}
	if json.Unmarshal([]byte(tags[tagCaps]), &fields) != nil {
		return peer.Capabilities{}
	}
	return c
}

// SetCapabilities tells the mesh what this node can do. It waits until others
// have begun to hear of it, but not long: in a mesh where much happens at once
// that takes its time.
func (m *Mesh) SetCapabilities(c peer.Capabilities) {
	m.mu.Lock()
	m.caps = c
	s := m.serf
	m.mu.Unlock()
	if s == nil {
		return // it starts with them
	}
	if err := s.SetTags(encodeTags(m.opts.Host, c)); err != nil {
		// That others have not heard yet is the one error of tags that fit.
		m.opts.Log.Debug("capabilities are still being told", "error", err)
	}
	m.turned()
}

// Leave tells the mesh that this node goes. Run still has to be ended.
func (m *Mesh) Leave(ctx context.Context) error {
	m.mu.Lock()
	s := m.serf
	m.mu.Unlock()
	if s == nil {
		return nil
	}
	select {
	case m.departure <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("leave the mesh: %w", ctx.Err())
	}
	done := make(chan error, 1)
	go func() {
		defer func() { <-m.departure }()
		done <- s.Leave()
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("leave the mesh: %w", ctx.Err())
	}
}

// end shuts the membership down, after a departure that is being told.
func (m *Mesh) end(s *serf.Serf) {
	m.departure <- struct{}{}
	defer func() { <-m.departure }()
	_ = s.Shutdown()
}
