package simulations

import (
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/simulations/membership"
	"github.com/buildnet/buildnet/simulations/trace"
)

// cell is one gossip group.
type cell struct {
	w       *World
	nodes   []*node
	beliefs *membership.Cell
	// mending says that those who lost sight of one another are looked for.
	mending bool
}

// gather puts the nodes into their cells.
func (w *World) gather() {
	for i := range w.cells {
		w.cells[i] = &cell{w: w}
	}
	for _, n := range w.nodes {
		n.cell = w.cells[n.spec.Cell]
		n.member = len(n.cell.nodes)
		n.cell.nodes = append(n.cell.nodes, n)
	}
	for _, c := range w.cells {
		there := make([]bool, len(c.nodes))
		for i, n := range c.nodes {
			if there[i] = n.spec.Late == 0; !there[i] {
				n.seen = blankOf(n)
			}
		}
		c.beliefs = membership.New(there)
	}
}

// believes reports whether the node believes another one alive. Of another
// cell it believes no ill.
func (n *node) believes(place int) bool {
	m := n.w.nodes[place]
	return m.cell != n.cell || n.cell.beliefs.Believes(n.member, m.member)
}

// eachAlive calls f for everybody whom the node believes alive.
func (n *node) eachAlive(f func(*node)) {
	for _, m := range n.cell.nodes {
		if n.cell.beliefs.Believes(n.member, m.member) {
			f(m)
		}
	}
}

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

// view is a hash of whom the node believes alive: equal views are equal.
func (n *node) view() uint64 { return n.seen }

// mix spreads a small number over 64 bits (splitmix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// blankOf is the view of a node that knows nobody.
func blankOf(n *node) uint64 { return mix(uint64(n.place)<<32 | 1) }

// review makes the node's view anew.
func (n *node) review() {
	n.seen = 0
	for _, m := range n.cell.nodes {
		if n.cell.beliefs.Believes(n.member, m.member) != (m.spec.Late == 0) {
			n.seen ^= mix(uint64(m.place))
		}
	}
	if n.cell.beliefs.Blank(n.member) {
		n.seen ^= blankOf(n)
	}
}

// changed notes that the node believes something else of another one.
func (n *node) changed(m *node, good bool) {
	n.seen ^= mix(uint64(m.place))
	e := n.of(trace.Suspected)
	if good {
		e.Kind = trace.Believed
	}
	e.Peer = m.place
	n.w.tell(e)
	n.meet()
}

// meetDelay gathers changes that come together.
const meetDelay = time.Millisecond

// meet tells the node's leaders who is alive now.
func (n *node) meet() {
	if n.meeting || len(n.leads) == 0 {
		return
	}
	n.meeting = true
	n.later(meetDelay, func() {
		n.meeting = false
		members := n.members()
		for _, l := range append([]*leading(nil), n.leads...) {
			if !l.over {
				l.do(l.machine.Meet(n.clock(), members))
			}
		}
	})
}
