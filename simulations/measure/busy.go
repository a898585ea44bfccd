package measure

import (
	"time"

	"github.com/buildnet/buildnet/simulations/setting"
)

// busy integrates slots over time, in the cells where a build runs.
type busy struct {
	setting *setting.Setting
	alive   []bool
	cells   map[int]*cell
	at      time.Duration
	// slots and runs are of cells where a build runs, now.
	slots, runs int
	// slotTime and runTime are in slot-seconds.
	slotTime, runTime float64
}

// cell is a gossip group.
type cell struct{ builds, slots, runs int }

func (b *busy) init(s *setting.Setting) {
	b.setting, b.alive, b.cells = s, make([]bool, len(s.Nodes)), map[int]*cell{}
	for i := range s.Nodes {
		if b.cells[s.Nodes[i].Cell] == nil {
			b.cells[s.Nodes[i].Cell] = &cell{}
		}
	}
}

func (b *busy) of(node int) *cell { return b.cells[b.setting.Nodes[node].Cell] }

func (b *busy) until(now time.Duration) {
	if now == b.at {
		return
	}
	d := (now - b.at).Seconds()
	b.slotTime += d * float64(b.slots)
	b.runTime += d * float64(b.runs)
	b.at = now
}

// change adds to a cell, and to the sums if a build runs there.
func (b *busy) change(c *cell, slots, runs int) {
	c.slots += slots
	c.runs += runs
	if c.builds > 0 {
		b.slots += slots
		b.runs += runs
	}
}

func (b *busy) up(node int) {
	if !b.alive[node] {
		b.alive[node] = true
		b.change(b.of(node), b.setting.Nodes[node].Slots, 0)
	}
}

func (b *busy) down(node int) {
	if b.alive[node] {
		b.alive[node] = false
		b.change(b.of(node), -b.setting.Nodes[node].Slots, 0)
	}
}

func (b *busy) run(node, by int) { b.change(b.of(node), 0, by) }

func (b *busy) begin(initiator int) {
	c := b.of(initiator)
	if c.builds++; c.builds == 1 {
		b.slots += c.slots
		b.runs += c.runs
	}
}

func (b *busy) end(initiator int) {
	c := b.of(initiator)
	if c.builds--; c.builds == 0 {
		b.slots -= c.slots
		b.runs -= c.runs
	}
}
