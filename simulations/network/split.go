package network

import "slices"

// Split cuts some nodes off from all others.
type Split struct {
	// Group is one side, in any order.
	Group []int
	// OneWay loses only what the group sends, Deaf only what is sent to it.
	OneWay, Deaf bool
}

// side is a Split in force.
type side struct {
	id           int
	within       []bool
	oneWay, deaf bool
}

// Cut puts a split in force until Join is called with its number.
func (n *Network) Cut(s Split) (number int) {
	c := side{id: 1, within: make([]bool, len(n.config.Site)), oneWay: s.OneWay, deaf: s.Deaf}
	if len(n.sides) > 0 {
		c.id = n.sides[len(n.sides)-1].id + 1
	}
	for _, node := range s.Group {
		c.within[node] = true
	}
	n.sides = append(n.sides, c)
	return c.id
}

// Join ends a split; one that has ended is no matter.
func (n *Network) Join(number int) {
	n.sides = slices.DeleteFunc(n.sides, func(c side) bool { return c.id == number })
}

// JoinAll ends every split.
func (n *Network) JoinAll() { n.sides = nil }

// Split reports whether any split is in force.
func (n *Network) Split() bool { return len(n.sides) > 0 }

// Open reports whether what one node sends gets to another at all.
func (n *Network) Open(from, to int) bool {
	if !n.way(from, to).open {
		return false
	}
	for i := range n.sides {
		if n.sides[i].cuts(from, to) {
			return false
		}
	}
	return true
}

func (c *side) cuts(from, to int) bool {
	switch {
	case c.within[from] == c.within[to]:
		return false
	case c.oneWay:
		return c.within[from]
	case c.deaf:
		return c.within[to]
	default:
		return true
	}
}

// Part says on which sides a node is: nodes of the same part are cut off from
// the same others. Beyond 64 splits parts may be told apart no more.
func (n *Network) Part(node int) uint64 {
	part := uint64(0)
	for i := range n.sides {
		if n.sides[i].within[node] {
			part |= 1 << (i % 64)
		}
	}
	return part
}
