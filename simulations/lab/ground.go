//go:build lab && linux

package lab

import (
	"slices"
	"time"
)

// Ground is a mesh of hosts whose nodes serve clients of the Remote Execution API, each
// on its own host. Nodes may be replaced by others.
type Ground struct {
	Hosts []*Host
	Nodes []*Node
	// seen is how many executions were looked at.
	seen map[*Node]int
}

// NewGround returns that of hosts and their nodes.
func NewGround(hosts []*Host, nodes []*Node) *Ground {
	return &Ground{hosts, nodes, map[*Node]int{}}
}

// silence is for how long a node has to log nothing of an execution that ended: its client
// may know sooner.
const silence = 500 * time.Millisecond

// Executed is how many actions each node has executed since it was asked last.
func (g *Ground) Executed() (by []int, sum int) {
	now := g.logged()
	for {
		<-time.After(silence)
		before := now
		if now = g.logged(); slices.Equal(now, before) {
			break
		}
	}
	for i, n := range g.Nodes {
		by, sum = append(by, now[i]-g.seen[n]), sum+now[i]-g.seen[n]
		g.seen[n] = now[i]
	}
	return by, sum
}

// logged is how many actions each node says that it has executed.
func (g *Ground) logged() (all []int) {
	for _, n := range g.Nodes {
		all = append(all, len(n.Executions("")))
	}
	return all
}
