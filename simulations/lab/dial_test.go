//go:build lab && linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
)

// protocols are all that members speak with each other.
var protocols = []protocol.ID{
	"/buildnet/blobs/1", "/buildnet/sched/1", "/buildnet/results/1", "/buildnet/swim/1", "/buildnet/roll/1",
	"/buildnet/lan/kad/1.0.0", "/buildnet/kad/1.0.0", "/ipfs/id/1.0.0", "/ipfs/ping/1.0.0",
}

// plainLibp2p is a libp2p host that knows nothing of meshes.
func plainLibp2p(t *testing.T, listen string) host.Host {
	t.Helper()
	opts := []libp2p.Option{libp2p.NoListenAddrs, libp2p.Transport(quic.NewTransport), libp2p.DisableRelay()}
	if listen != "" {
		opts[0] = libp2p.ListenAddrStrings(listen)
	}
	h, err := libp2p.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

var errSilent = errors.New("the stream opened and carried nothing")

// reach opens a stream and waits for the other side's consent to it.
func reach(h host.Host, at string, p protocol.ID) error {
	info, err := peer.AddrInfoFromString(at)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := h.Connect(ctx, *info); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	s, err := h.NewStream(network.WithNoDial(ctx, "connected"), info.ID, p)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer func() { _ = s.Reset() }()
	_ = s.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := s.Write([]byte("\x03abc")); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if n, err := s.Read(make([]byte, 1)); n == 0 {
		return fmt.Errorf("%w: %w", errSilent, err)
	}
	return nil
}

// TestInsideStranger is what TestPlainDialIsRefused runs in a host.
func TestInsideStranger(t *testing.T) {
	at := os.Getenv("LAB_DIAL")
	if at == "" {
		return // not in a host: another test starts it there
	}
	// What is refused below works with a host that refuses nobody.
	open := plainLibp2p(t, "/ip4/127.0.0.1/udp/0/quic-v1")
	open.SetStreamHandler(protocols[0], func(s network.Stream) { _, _ = s.Write([]byte("x")); _ = s.Close() })
	if err := reach(plainLibp2p(t, ""), fmt.Sprintf("%s/p2p/%s", open.Addrs()[0], open.ID()), protocols[0]); err != nil {
		t.Fatalf("the probe itself fails: %v", err)
	}
	for _, p := range protocols {
		if err := reach(plainLibp2p(t, ""), at, p); err == nil || !strings.HasPrefix(err.Error(), "connect:") {
			t.Errorf("%s: a stranger got as far as %v", p, err)
		} else {
			t.Logf("%s: %v", p, err)
		}
	}
}

// TestPlainDialIsRefused has a machine with a key of its own dial a member,
// whose address and peer ID it knows.
func TestPlainDialIsRefused(t *testing.T) {
	l := New(t)
	hosts, nodes := Mesh(t, l, 2, 0.6)
	stranger := l.Host(0.6)
	s := Sleepy{Tag: "dial", Parts: 4, Step: 10 * time.Millisecond}
	dir := s.In(t, hosts[0])
	_, f := hosts[0].Build(dir)
	ran := len(nodes[0].Executions("")) + len(nodes[1].Executions(""))

	at := fmt.Sprintf("/ip4/%s/udp/7946/quic-v1/p2p/%s", hosts[0].Addr, nodes[0].Peer)
	p := stranger.Spawn("env", "LAB_DIAL="+at, os.Args[0], "-test.run=^TestInsideStranger$", "-test.v")
	if status := p.Wait(); status != 0 {
		t.Errorf("in the stranger: exit status %d: %s", status, p.Output())
	}
	if n := strings.Count(nodes[0].Log(), stranger.Addr); n != 1 {
		t.Errorf("the member logged the stranger's address %d times: %s", n, nodes[0].Log())
	}
	if strings.Contains(p.Output(), nodes[1].Peer) {
		t.Errorf("the stranger learned of another member: %s", p.Output())
	}
	if n := len(nodes[0].Executions("")) + len(nodes[1].Executions("")); n != ran {
		t.Errorf("%d executions after the stranger's visit, %d before: %+v", n, ran, f)
	}
	for _, h := range hosts {
		Await(t, h, 2, time.Second)
	}
}
