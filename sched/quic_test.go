package sched_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	libp2ppeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched"
	"github.com/buildnet/buildnet/sched/steal"
)

// quic is a peer.Network of plain libp2p streams, so that the code meets real
// ones too: they end in their own way.
type quic struct{ host.Host }

func (q quic) Open(ctx context.Context, to peer.ID, p string) (peer.Stream, error) {
	id, err := libp2ppeer.Decode(string(to))
	if err != nil {
		return nil, err
	}
	s, err := q.NewStream(ctx, id, protocol.ID(p))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", peer.ErrUnreachable, err)
	}
	return quicStream{s}, nil
}

func (q quic) Handle(p string, h peer.Handler) {
	q.SetStreamHandler(protocol.ID(p), func(s network.Stream) {
		h(context.Background(), peer.ID(s.Conn().RemotePeer().String()), quicStream{s})
		_ = s.Close()
	})
}

type quicStream struct{ network.Stream }

// overQUIC joins n nodes whose streams are real, in real time.
func overQUIC(t *testing.T, n int) *world {
	t.Helper()
	w := newWorld(t)
	var hosts []host.Host
	for i := range n {
		id, key := identity(t, byte(i+1))
		private, err := crypto.UnmarshalEd25519PrivateKey(append(key.Seed(), key.Public().(ed25519.PublicKey)...))
		if err != nil {
			t.Fatal(err)
		}
		h, err := libp2p.New(libp2p.Identity(private), libp2p.ListenAddrStrings("/ip4/127.0.0.1/udp/0/quic-v1"), libp2p.DisableRelay())
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range hosts {
			if err := h.Connect(t.Context(), libp2ppeer.AddrInfo{ID: other.ID(), Addrs: other.Addrs()}); err != nil {
				t.Fatal(err)
			}
		}
		hosts = append(hosts, h)
		w.joinOver(id, key, quic{h})
	}
	t.Cleanup(func() {
		for _, m := range w.nodes {
			m.stop()
			m.done.Wait()
		}
		for _, h := range hosts {
			_ = h.Close()
		}
	})
	return w
}

func TestBuildOverQUIC(t *testing.T) {
	w := overQUIC(t, 3)
	w.runTime = 20 * time.Millisecond
	for i := range 2 {
		m := w.at(i)
		g := m.compile(30)
		d := m.diary(g, 0)
		if err := m.Build(t.Context(), sched.Build{ID: steal.BuildID(fmt.Sprint("b", i)), Plan: m.plan(g, steal.Modes{}, w.ids(2, 1, 0)...)}, d); err != nil {
			t.Fatal(err)
		}
		d.complete()
		if d.leader() != w.at(2).id {
			t.Errorf("leader = %s", d.leader())
		}
	}
	for step, times := range w.executions() {
		if times != 1 {
			t.Errorf("%s ran %d times", step, times)
		}
	}
}

func TestCancellationOverQUIC(t *testing.T) {
	w := overQUIC(t, 3)
	w.runTime = time.Hour
	m := w.at(0)
	g := m.compile(30)
	d := m.diary(g, 0)
	ctx, cancel := context.WithCancel(t.Context())
	ended := m.start(ctx, "b", m.plan(g, steal.Modes{}, w.ids(2, 1, 0)...), d)
	await(t, w, 6)
	cancel()
	begun := time.Now()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Build = %v", err)
	}
	await(t, w, 0)
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
}

// await waits until so many actions run.
func await(t *testing.T, w *world, busy int) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-deadline:
			t.Fatalf("%d actions run, want %d", w.busy(), busy)
		case <-look.C:
			if w.busy() == busy {
				return
			}
		}
	}
}
