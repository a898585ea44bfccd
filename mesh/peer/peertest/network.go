// Package peertest is a mesh in memory: peers that open streams to one
// another through it, and the faults that a real network has. It uses no
// goroutine of its own but one for each stream that a handler serves, and no
// clock, so it also runs in a testing/synctest bubble. Start reading at
// Network.
package peertest

import (
	"context"
	"fmt"
	"sync"

	"github.com/buildnet/buildnet/mesh/peer"
)

// Network connects peers.
type Network struct {
	mu      sync.Mutex
	nodes   map[peer.ID]*Node
	cut     map[[2]peer.ID]bool
	streams map[*stream]struct{}
}

// NewNetwork returns a network without peers.
func NewNetwork() *Network {
	return &Network{nodes: map[peer.ID]*Node{}, cut: map[[2]peer.ID]bool{}, streams: map[*stream]struct{}{}}
}

// Node is one peer's own view of the network: a peer.Network.
type Node struct {
	id     peer.ID
	net    *Network
	ctx    context.Context
	cancel context.CancelFunc
	served sync.WaitGroup

	mu       sync.Mutex
	handlers map[string]peer.Handler
}

// Join adds a peer. A peer that was killed may join again as a new Node.
func (n *Network) Join(id peer.ID) *Node {
	node := &Node{id: id, net: n, handlers: map[string]peer.Handler{}}
	node.ctx, node.cancel = context.WithCancel(context.Background())
	n.mu.Lock()
	defer n.mu.Unlock()
	n.nodes[id] = node
	return node
}

// Kill takes a peer away as a power failure does: its streams break at once.
// It returns when its handlers have.
func (n *Network) Kill(id peer.ID) {
	n.mu.Lock()
	node, ok := n.nodes[id]
	delete(n.nodes, id)
	n.mu.Unlock()
	if !ok {
		return
	}
	node.cancel()
	n.breakStreams(func(s *stream) bool { return s.owner == id || s.other == id })
	node.served.Wait()
}

// Cut breaks the streams between a and b and refuses new ones until Heal.
func (n *Network) Cut(a, b peer.ID) {
	n.mu.Lock()
	n.cut[pair(a, b)] = true
	n.mu.Unlock()
	n.breakStreams(func(s *stream) bool { return pair(s.owner, s.other) == pair(a, b) })
}

// Heal undoes Cut.
func (n *Network) Heal(a, b peer.ID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.cut, pair(a, b))
}

// Close kills every peer.
func (n *Network) Close() {
	n.mu.Lock()
	ids := make([]peer.ID, 0, len(n.nodes))
	for id := range n.nodes {
		ids = append(ids, id)
	}
	n.mu.Unlock()
	for _, id := range ids {
		n.Kill(id)
	}
}

func (n *Network) breakStreams(which func(*stream) bool) {
	n.mu.Lock()
	var broken []*stream
	for s := range n.streams {
		if which(s) {
			broken = append(broken, s)
		}
	}
	n.mu.Unlock()
	for _, s := range broken {
		_ = s.Reset()
	}
}

func pair(a, b peer.ID) [2]peer.ID {
	if a > b {
		a, b = b, a
	}
	return [2]peer.ID{a, b}
}

// Handle serves a protocol.
func (node *Node) Handle(protocol string, h peer.Handler) {
	node.mu.Lock()
	defer node.mu.Unlock()
	node.handlers[protocol] = h
}

// Open connects to a peer's handler of the protocol.
func (node *Node) Open(ctx context.Context, to peer.ID, protocol string) (peer.Stream, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open %s to %s: %w", protocol, to, err)
	}
	node.net.mu.Lock()
	defer node.net.mu.Unlock()
	target, ok := node.net.nodes[to]
	if !ok || node.net.nodes[node.id] != node || node.net.cut[pair(node.id, to)] {
		return nil, fmt.Errorf("open %s to %s: %w", protocol, to, peer.ErrUnreachable)
	}
	target.mu.Lock()
	h, ok := target.handlers[protocol]
	target.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("open %s to %s: it does not serve that protocol: %w", protocol, to, peer.ErrUnreachable)
	}
	near, far := newStreams(node.net, node.id, to)
	node.net.streams[near], node.net.streams[far] = struct{}{}, struct{}{}
	target.served.Go(func() {
		defer func() { _ = far.Close() }()
		h(target.ctx, node.id, far)
	})
	return near, nil
}
