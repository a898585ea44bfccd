package simulations

import (
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

// cell is one gossip group.
type cell struct{ nodes []*node }

func (w *World) gather() {
	for i := range w.cells {
		w.cells[i] = &cell{}
	}
	for _, n := range w.nodes {
		n.cell = w.cells[n.spec.Cell]
		n.cell.nodes = append(n.cell.nodes, n)
	}
}
func (n *node) eachAlive(f func(*node)) {
	for _, m := range n.cell.nodes {
		f(m)
	}
}
func (n *node) view() uint64            { return 0 }
func (n *node) believes(place int) bool { return true }
func (n *node) appear()                 {}
func (n *node) vanish(bool)             {}
func (n *node) account()                {}
func (w *World) account()               {}
func (w *World) plague()                { w.healed = true }
func (w *World) shareReached(*build)    {}

// members are those whom the node believes alive, as package mesh tells of
// them.
func (n *node) members() []peer.Member {
	members := make([]peer.Member, 0, len(n.cell.nodes))
	n.eachAlive(func(m *node) {
		members = append(members, peer.Member{
			ID: m.id, State: peer.Alive, Self: m == n, RTT: n.w.net.RTT(n.place, m.place),
			Since: n.when(max(n.up, m.up)),
			Caps: peer.Capabilities{
				BPU: m.spec.BPU, Cores: float64(max(m.spec.Slots, 1)), Slots: m.spec.Slots, OS: systemOS, Arch: systemArch,
			},
		})
	})
	return members
}
func (n *node) foreign(a digest.Digest, done func(*known)) { done(nil) }
func (n *node) foreignHolders(b *blob, done func([]int))   { done(nil) }
func (n *node) record(*build, *known)                      {}
func (n *node) advertise(*blob)                            {}
func (n *node) fetchLarge(f *fetching, b *blob) {
	s := &smalls{fetching: f, wants: []*want{{blob: b}}}
	s.add(f.hints)
	s.drain()
}
