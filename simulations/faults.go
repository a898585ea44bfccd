package simulations

import (
	"slices"
	"time"

	"github.com/buildnet/buildnet/simulations/fault"
	"github.com/buildnet/buildnet/simulations/network"
	"github.com/buildnet/buildnet/simulations/trace"
)

// thousand is what events count shares in.
const thousand = 1000

// plague has the faults of the setting strike in their time, and the heal.
func (w *World) plague() {
	for i := range w.setting.Faults {
		if f := &w.setting.Faults[i]; f.Share == 0 {
			w.at(f.At, func() { w.strike(f) })
		}
	}
	w.at(w.setting.HealAt, w.heal)
}

// strike does a fault of the setting, unless the faults are over.
func (w *World) strike(f *fault.Fault) {
	if !w.healed {
		w.Do(*f)
	}
}

// shareReached strikes with the faults that wait for a share of a build.
func (w *World) shareReached(b *build) {
	for i := range w.setting.Faults {
		f := &w.setting.Faults[i]
		if f.Share == 0 || f.Build != b.place {
			continue
		}
		needed := int(f.Share * float64(len(b.spec.Graph.Steps)))
		if b.settled == max(needed, 1) {
			w.after(0, func() { w.strike(f) })
		}
	}
}

// Do does a fault now. One whose target is nobody does nothing.
func (w *World) Do(f fault.Fault) {
	switch f.Kind {
	case fault.Heal:
		w.undoAll()
		return
	case fault.Cancel:
		w.cancel(f.Target.Build)
		return
	case fault.Restart:
		if n := w.target(f.Target); n != nil {
			n.start()
		}
		return
	}
	n := w.target(f.Target)
	if n == nil || !n.alive {
		return
	}
	switch f.Kind {
	case fault.Kill:
		n.stop("")
		w.lasting(f.For, n.start)
	case fault.Leave:
		n.leave()
	case fault.Split:
		w.split(n, &f)
	case fault.Slow:
		w.slow(n, f.Factor)
		w.lastingIn(n, f.For, func() { w.slow(n, 1) })
	case fault.Clog:
		w.clog(n, f.Factor, w.lasts(f.For))
		w.lastingIn(n, f.For, func() { w.clog(n, 1, 0) })
	case fault.Stall:
		w.stall(n, f.For)
	case fault.Break:
		w.breakStream(n, f.Target)
	case fault.Claim:
		w.claim(n, f.Factor)
		w.lastingIn(n, f.For, func() { w.claim(n, 1) })
	case fault.FailDisk:
		w.failDisk(n, f.Factor)
		w.lastingIn(n, f.For, func() { w.failDisk(n, 0) })
	case fault.LoseBlobs:
		w.loseBlobs(n)
	}
}

// lasting undoes a fault after a while; 0 is never.
func (w *World) lasting(d time.Duration, undo func()) {
	if d > 0 {
		w.after(d, undo)
	}
}

// lasts is until when a fault lasts that begins now: what is on its way then
// goes on without it. 0 is for good.
func (w *World) lasts(d time.Duration) time.Duration {
	until := w.setting.HealAt
	if end := w.clock.now + d; d > 0 && (until <= w.clock.now || end < until) {
		until = end
	}
	return max(until, 0)
}

// lastingIn is lasting for a fault that ends with the node's life.
func (w *World) lastingIn(n *node, d time.Duration, undo func()) {
	life := n.life
	w.lasting(d, func() {
		if n.lives(life) {
			undo()
		}
	})
}

// heal ends the faults.
func (w *World) heal() {
	w.undoAll()
	w.healed = true
	w.tell(trace.Event{Kind: trace.Healed, Node: trace.None, Peer: trace.None, Build: trace.None, Step: trace.None})
}

// undoAll heals what is split, slow, clogged, stalled or failing.
func (w *World) undoAll() {
	for _, id := range sortedKeys(w.splits) {
		w.join(id)
	}
	for _, n := range w.nodes {
		if !n.alive {
			continue
		}
		if n.stalled {
			w.resume(n)
		}
		if n.speed != 1 {
			w.slow(n, 1)
		}
		if n.clogged {
			w.clog(n, 1, 0)
		}
		if n.failing > 0 {
			w.failDisk(n, 0)
		}
		if n.slots.Lends() < n.spec.Slots {
			w.claim(n, 1)
		}
	}
}

func (w *World) split(n *node, f *fault.Fault) {
	group := f.Group
	if len(group) == 0 {
		for i := range w.nodes {
			if i == n.place || i%3 == 0 {
				group = append(group, i)
			}
		}
	}
	number := w.net.Cut(network.Split{Group: group, OneWay: f.OneWay, Deaf: f.Deaf})
	w.splits[number] = group
	w.tellSplit(trace.Split, number, group)
	w.divided()
	w.lasting(f.For, func() { w.join(number) })
}

// join ends a split.
func (w *World) join(number int) {
	group, ok := w.splits[number]
	if !ok {
		return
	}
	delete(w.splits, number)
	w.net.Join(number)
	w.tellSplit(trace.Joined, number, group)
	for _, c := range w.cells {
		c.mend()
	}
}

// tellSplit tells which nodes a split separates from which: each of the group
// is named once, with the first one of the other side and the number of the
// split.
func (w *World) tellSplit(k trace.Kind, number int, group []int) {
	within := make([]bool, len(w.nodes))
	for _, g := range group {
		within[g] = true
	}
	other := slices.Index(within, false)
	for _, g := range slices.Sorted(slices.Values(group)) {
		e := w.nodes[g].of(k)
		e.Peer, e.Value = other, int64(number)
		w.tell(e)
	}
}

// slow sets the pace of a node. One that is stalled runs at it, and says so,
// when it goes on.
func (w *World) slow(n *node, factor float64) {
	n.pace(factor)
	if n.stalled {
		return
	}
	e := n.of(trace.Slowed)
	e.Value = int64(factor * thousand)
	w.tell(e)
}

func (w *World) clog(n *node, factor float64, until time.Duration) {
	n.clogged = factor != 1
	w.net.Clog(n.place, factor, until)
	e := n.of(trace.Clogged)
	e.Value = int64(factor * thousand)
	w.tell(e)
}

func (w *World) failDisk(n *node, share float64) {
	n.failing = share
	e := n.of(trace.DiskFailed)
	e.Value = int64(share * thousand)
	w.tell(e)
}

// stall stops a node for a while: it is slow without end.
func (w *World) stall(n *node, d time.Duration) {
	if n.stalled {
		return
	}
	n.stall()
	e := n.of(trace.Slowed)
	w.tell(e)
	stalls := n.stalls
	w.lastingIn(n, d, func() {
		if n.stalls == stalls {
			w.resume(n)
		}
	})
}

func (w *World) resume(n *node) {
	if !n.stalled {
		return
	}
	e := n.of(trace.Slowed)
	e.Value = int64(n.speed * thousand)
	w.tell(e)
	n.resume()
	n.cell.mend()
}

func (w *World) loseBlobs(n *node) {
	for _, b := range w.blobs {
		b.drop(n)
	}
	w.tell(n.of(trace.LostBlobs))
}

// breakStream cuts the stream of the highest leader to a node.
func (w *World) breakStream(n *node, t fault.Target) {
	for _, b := range w.builds {
		l := b.leader
		if t.Role != fault.Node && b.place != t.Build || l == nil || l.over || !l.n.alive {
			continue
		}
		st := l.links[n.place]
		if st == nil {
			continue
		}
		e := l.of(trace.Broke)
		e.Peer = n.place
		w.tell(e)
		st.broken()
	}
}

// cancel has the initiator of a build want no more of it.
func (w *World) cancel(place int) {
	b := w.builds[place]
	n := w.nodes[b.spec.Initiator]
	for _, p := range n.parties {
		if p.b == b && p.origin != nil && n.alive && !n.stalled {
			p.doOrigin(p.origin.machine.Cancel(n.clock()))
			p.leave()
			return
		}
	}
}
