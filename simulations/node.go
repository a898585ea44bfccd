package simulations

import (
	"slices"
	"strconv"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/claim"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// idDigits of a node's name: names are ordered as the nodes are.
	idDigits = 6
	// settled is how long the nodes that are there from the beginning have been
	// members then.
	settled = time.Hour
)

// node is one machine, with what production has in a Service, a Registry and a
// DHT.
type node struct {
	w     *World
	place int
	id    peer.ID
	spec  *setting.Node
	cell  *cell
	host  *host // nil if nobody else lives there
	// member is its number in the cell, seen a hash of whom it believes alive.
	member int
	seen   uint64

	alive bool
	life  int           // lives that have ended
	up    time.Duration // since when, in this life

	// What a life has in memory.
	memory

	// asked are the builds that it is the initiator of, in this life or another.
	asked []*build

	// What stays on its disk.
	results map[digest.Digest]*known

	// Faults.
	speed   float64 // 1 is as fast as it is
	stalled bool
	clogged bool
	stalls  int      // that have begun
	inbox   []func() // what came while it was stalled
	failing float64  // share of what its disk is asked
}

// memory is what a node loses with its life.
type memory struct {
	parties []*party
	leads   []*leading

	slots   *steal.Slots
	running []*job

	flights  map[*blob]*flight
	large    int // large blobs on their way
	queued   []func()
	slow     map[int]time.Duration // peers that failed, until when they are asked last
	lanes    map[int]*lane
	held     map[heldKey]*lane
	cold     map[int]time.Duration
	visits   map[int]*visit
	claims   *claim.Table
	tickets  claim.Ticket
	sessions claim.Session
	waits    map[claim.Ticket]waiting
	ticking  bool
	meeting  bool
	draining bool
}

func newMemory(spec *setting.Node) memory {
	return memory{claims: claim.NewTable(), slots: steal.NewSlots(spec.Slots)}
}

// idOf names a node in the mesh.
func idOf(place int) peer.ID {
	digits := strconv.Itoa(place)
	for len(digits) < idDigits {
		digits = "0" + digits
	}
	return peer.ID("n" + digits)
}

// placeOf is the inverse of idOf.
func placeOf(id peer.ID) int {
	place := 0
	for _, c := range []byte(id[1:]) {
		place = 10*place + int(c-'0')
	}
	return place
}

// populate makes the nodes, and starts those that do not come later.
func (w *World) populate() {
	cells := 0
	for i := range w.setting.Nodes {
		cells = max(cells, w.setting.Nodes[i].Cell+1)
	}
	w.cells = make([]*cell, cells)
	w.nodes = make([]*node, len(w.setting.Nodes))
	for i := range w.nodes {
		spec := &w.setting.Nodes[i]
		w.nodes[i] = &node{w: w, place: i, id: idOf(i), spec: spec, memory: newMemory(spec), speed: 1}
	}
	w.house()
	w.gather()
	for _, n := range w.nodes {
		if n.spec.Late == 0 {
			n.alive, n.up = true, -settled
			w.tell(w.upEvent(n))
			continue
		}
		w.at(n.spec.Late, n.start)
	}
}

func (w *World) upEvent(n *node) trace.Event {
	e := n.of(trace.Up)
	e.Value = int64(n.life)
	return e
}

// clock is the time by the node's own clock.
func (n *node) clock() time.Time { return n.when(n.w.clock.now) }

func (n *node) when(t time.Duration) time.Time { return began.Add(t + n.spec.Skew) }

// later has the node do something after a while, unless its life ends before.
func (n *node) later(d time.Duration, do func()) {
	n.w.clock.push(event{at: n.w.clock.now + d, on: n, life: n.life, do: do})
}

// takes reports whether the node does what an event says now. What comes while
// it is stalled waits.
func (n *node) takes(e *event) bool {
	if !n.alive || n.life != e.life {
		return false
	}
	if n.stalled {
		n.inbox = append(n.inbox, e.do)
		return false
	}
	return true
}

// lives reports whether the node is in this life of its.
func (n *node) lives(life int) bool { return n.alive && n.life == life }

// span draws how long something takes on the node.
func (n *node) span(s setting.Span) time.Duration {
	return time.Duration(float64(n.w.between(s.Least, s.Most)) / max(n.speed, slowest))
}

// slowest is the least speed of a node that is not stalled.
const slowest = 1e-3

// start begins a life.
func (n *node) start() {
	if n.alive {
		return
	}
	n.alive, n.up = true, n.w.clock.now
	n.w.tell(n.w.upEvent(n))
	n.appear()
}

// stop ends the node's life: without a word, or with one.
func (n *node) stop(word string) {
	if !n.alive {
		return
	}
	w := n.w
	for _, j := range slices.Clone(n.running) {
		j.cut()
	}
	for _, l := range n.leads {
		l.ends()
	}
	for _, p := range n.parties {
		p.gone = true
	}
	n.account()
	n.alive = false
	n.life++
	n.memory = newMemory(n.spec)
	n.forgetHolders()
	n.stalled, n.inbox, n.speed, n.failing = false, nil, 1, 0
	w.net.Clog(n.place, 1, 0)
	e := n.of(trace.Down)
	e.Text = word
	w.tell(e)
	for _, b := range n.asked {
		if b.begun {
			b.end(0, "initiator lost")
		}
	}
	n.vanish(word != "")
}

// stall stops everything on the node until resume.
func (n *node) stall() {
	n.stalled = true
	n.stalls++
	n.repace()
	n.vanish(false)
}

// resume lets a stalled node go on: what came meanwhile is done first.
func (n *node) resume() {
	if !n.stalled {
		return
	}
	n.stalled = false
	inbox, life := n.inbox, n.life
	n.inbox = nil
	n.repace()
	for _, do := range inbox {
		if !n.lives(life) {
			return
		}
		do()
	}
}

// pace sets the node's speed; what runs already goes on at it.
func (n *node) pace(speed float64) {
	n.speed = speed
	n.repace()
}

// fails reports whether the disk fails what it is asked now.
func (n *node) fails() bool { return n.failing > 0 && n.w.chance.Float64() < n.failing }

// flaky reports whether something fails by the setting's chance.
func (n *node) flaky() bool {
	return !n.w.healed && n.w.setting.Flaky > 0 && n.w.chance.Float64() < n.w.setting.Flaky
}
