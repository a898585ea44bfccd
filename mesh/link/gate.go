package link

import (
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	libp2p "github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// maxAdmitted bounds the peers that passed a hello: six times the largest mesh
// intended. The oldest admission makes room; its peer says hello again when it
// next dials.
const maxAdmitted = 65536

// gate lets libp2p connect to those alone who passed a hello.
type gate struct {
	refused func(id libp2p.ID, at multiaddr.Multiaddr)

	mu       sync.Mutex
	admitted map[libp2p.ID]bool
	order    []libp2p.ID // oldest first; each key of admitted once
}

func (g *gate) admit(id libp2p.ID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.admitted[id] {
		return
	}
	if len(g.order) == maxAdmitted {
		delete(g.admitted, g.order[0])
		g.order = slices.Delete(g.order, 0, 1)
	}
	g.admitted[id] = true
	g.order = append(g.order, id)
}

func (g *gate) expel(id libp2p.ID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.admitted, id)
	if i := slices.Index(g.order, id); i >= 0 {
		g.order = slices.Delete(g.order, i, i+1)
	}
}

func (g *gate) has(id libp2p.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.admitted[id]
}

// InterceptPeerDial allows dials to the admitted.
func (g *gate) InterceptPeerDial(id libp2p.ID) bool { return g.has(id) }

// InterceptAddrDial allows every address of an admitted peer.
func (g *gate) InterceptAddrDial(id libp2p.ID, _ multiaddr.Multiaddr) bool { return g.has(id) }

// InterceptAccept allows: the identity is known only after the handshake.
func (g *gate) InterceptAccept(network.ConnMultiaddrs) bool { return true }

// InterceptSecured refuses peers that passed no hello.
func (g *gate) InterceptSecured(_ network.Direction, id libp2p.ID, at network.ConnMultiaddrs) bool {
	if g.has(id) {
		return true
	}
	g.refused(id, at.RemoteMultiaddr())
	return false
}

// InterceptUpgraded allows: InterceptSecured has decided.
func (g *gate) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
