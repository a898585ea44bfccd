// Package membership is what the members of one gossip group believe of one
// another: the model of SWIM (Das, Gupta and Motivala, section 4) as serf runs
// it. A rumour about a member has an incarnation; the newer one wins, and of
// two equal ones the bad one. Who tells whom, and what is lost on the way, is
// the caller's. It is pure: the chance is an argument. Start reading at Cell.
package membership

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/buildnet/buildnet/simulations/setting"
)

// retransmit times the decimal logarithm of the members is how often one of
// them passes a rumour on (memberlist, RetransmitMult).
const retransmit = 8

// Rumour is what is said of a member. Of two the greater one holds.
type Rumour uint32

// Unknown is said of nobody.
const Unknown Rumour = 0

// Alive says that the member lives, in an incarnation from 1.
func Alive(incarnation int) Rumour { return Rumour(2 * incarnation) }

// Dead says that it does not, or has left.
func Dead(incarnation int) Rumour { return Rumour(2*incarnation + 1) }

// Incarnation is the one that the rumour is of.
func (r Rumour) Incarnation() int { return int(r / 2) }

// Good reports whether it says that the member lives.
func (r Rumour) Good() bool { return r != Unknown && r%2 == 0 }

// Cell is the members of one gossip group, numbered from 0, with what each
// believes. It keeps only what differs from the beginning, when everybody that
// was there knew everybody that was there.
type Cell struct {
	first []Rumour
	// news is what each member believes of one about whom there was a rumour
	// since the beginning; nil for the others.
	news [][]Rumour
	// subjects are those with news, ascending.
	subjects []int
	// blank members have come, and know nobody but themselves yet.
	blank []bool
	// incarnations are those of the members themselves.
	incarnations []int
}

// New returns a cell in which those members know one another that are there
// from the beginning.
func New(there []bool) *Cell {
	c := &Cell{
		first: make([]Rumour, len(there)), news: make([][]Rumour, len(there)), blank: make([]bool, len(there)),
		incarnations: make([]int, len(there)),
	}
	for i, is := range there {
		if is {
			c.first[i], c.incarnations[i] = Alive(1), 1
		} else {
			c.blank[i] = true
		}
	}
	return c
}

// Len is the number of members, alive or not.
func (c *Cell) Len() int { return len(c.first) }

// Of is what a member believes of another.
func (c *Cell) Of(member, about int) Rumour {
	switch {
	case member == about:
		return Alive(max(c.incarnations[about], 1))
	case c.news[about] != nil:
		return c.news[about][member]
	case c.blank[member]:
		return Unknown
	default:
		return c.first[about]
	}
}

// Believes reports whether a member believes that another lives.
func (c *Cell) Believes(member, about int) bool { return c.Of(member, about).Good() }

// Hear tells a member a rumour about another. fresh says that it did not know,
// and is to pass it on.
func (c *Cell) Hear(member, about int, r Rumour) (fresh bool) {
	if member == about || r <= c.Of(member, about) {
		return false
	}
	c.open(about)
	c.news[about][member] = r
	return true
}

// open makes room for what is believed of a member.
func (c *Cell) open(about int) {
	if c.news[about] != nil {
		return
	}
	all := make([]Rumour, len(c.first))
	for member := range all {
		all[member] = c.Of(member, about)
	}
	c.news[about] = all
	at, _ := slices.BinarySearch(c.subjects, about)
	c.subjects = slices.Insert(c.subjects, at, about)
}

// Refute returns what a member says of itself that has heard a rumour about
// itself; Unknown if there is nothing to say against.
func (c *Cell) Refute(member int, r Rumour) Rumour {
	if r.Good() || r.Incarnation() < c.incarnations[member] {
		return Unknown
	}
	c.incarnations[member] = r.Incarnation() + 1
	c.open(member)
	return Alive(c.incarnations[member])
}

// Return begins a new life of a member: it knows nobody, and says so much of
// itself.
func (c *Cell) Return(member int) Rumour {
	c.incarnations[member]++
	c.open(member)
	for _, about := range c.subjects {
		c.news[about][member] = Unknown
	}
	c.blank[member] = true
	return Alive(c.incarnations[member])
}

// Meet has a member that knows nobody take over what another one believes.
func (c *Cell) Meet(member, contact int) {
	c.blank[member] = false
	for _, about := range c.subjects {
		c.news[about][member] = c.Of(contact, about)
	}
}

// Blank reports whether a member knows nobody yet.
func (c *Cell) Blank(member int) bool { return c.blank[member] }

// Differ calls f for every member of whom two others believe different things,
// in order.
func (c *Cell) Differ(a, b int, f func(about int, ofA, ofB Rumour)) {
	for _, about := range slices.Clone(c.subjects) {
		if x, y := c.Of(a, about), c.Of(b, about); x != y {
			f(about, x, y)
		}
	}
}

// Subjects are the members about whom there was a rumour since the beginning,
// ascending. The caller must not change it.
func (c *Cell) Subjects() []int { return c.subjects }

// Times is how often a member passes a rumour on.
func (c *Cell) Times() int { return retransmit * int(math.Ceil(math.Log10(float64(c.Len()+1)))) }

// Rounds is in how many rounds of gossip it does.
func (c *Cell) Rounds(m *setting.Membership) int {
	return (c.Times() + m.Fanout - 1) / max(m.Fanout, 1)
}

// Pick draws another member to tell something; -1 if there is none.
func (c *Cell) Pick(member int, chance *rand.Rand) int {
	if c.Len() < 2 {
		return -1
	}
	other := chance.IntN(c.Len() - 1)
	if other >= member {
		other++
	}
	return other
}

// fewMembers is up to how many members full states are exchanged at the
// shortest interval (memberlist, pushPullScaleThreshold).
const fewMembers = 32

// Exchange is how often full states are exchanged in a group of so many.
func Exchange(m *setting.Membership, members int) (seconds float64) {
	scale := 1.0
	if members > fewMembers {
		scale = math.Ceil(math.Log2(float64(members))-math.Log2(fewMembers)) + 1
	}
	return m.PushPull.Seconds() * scale
}

// Bytes is what a member sends a second in a group of so many in which nothing
// changes. Each exchange has two sides, and everybody begins one.
func Bytes(m *setting.Membership, members int) float64 {
	if every := Exchange(m, members); every > 0 {
		return m.IdleBytes + 2*m.StateBytes*float64(members)/every
	}
	return m.IdleBytes
}
