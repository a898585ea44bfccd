package steal

import (
	"container/heap"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

// judge is what a world needs of *testing.T and *rapid.T.
type judge interface {
	Helper()
	Fatalf(format string, args ...any)
}

// world is a mesh in memory in which one build runs: everything that the
// drivers of package sched do, with a clock of its own. What it does follows
// from its seed.
type world struct {
	t     judge
	rng   *rand.Rand
	now   time.Time
	start time.Time
	queue events
	seq   int

	spec  spec
	plan  *Plan
	steps []action.Step // all, those that are added included
	nodes map[peer.ID]*node
	ids   []peer.ID
	init  *node

	mesh   map[digest.Digest]action.Entry // published
	inputs map[digest.Digest][]digest.Digest

	ledger ledger
	apart  map[peer.ID]bool // one side of a partition
	trace  []string
}

type event struct {
	at  time.Time
	seq int
	do  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// spec is the build and the mesh of a world.
type spec struct {
	seed  uint64
	peers int // the first one is the initiator
	slots int
	modes Modes
	// deps of each step, on earlier ones.
	deps [][]int
	// Steps that fail, that kill their worker, and that come out otherwise each
	// time.
	fails, kills, careless map[int]bool
	// loses are steps whose outputs are lost when they are made first.
	loses map[int]bool
	// Steps for the initiator only, and steps that need a toolchain that only
	// the last peer has.
	here, special map[int]bool
	// looks is how long that peer looks at its toolchains.
	looks time.Duration
	// home says that all others had better run on the initiator.
	home bool
	// candidates are the places of the peers, best first; nil is by number.
	candidates []int
	// flaky is how many of a hundred preparations, resolves and securings fail.
	flaky int
	// workless peers have no slots.
	workless map[int]bool
	run      time.Duration // at most
	// comes are when the steps of an open build are added, one after the other; nil
	// is a closed one. drops are steps that nobody needs any more, at a time. It is
	// shut at shut, if that is after all have come.
	comes []time.Duration
	drops map[int]time.Duration
	shut  time.Duration
}

type node struct {
	w     *world
	id    peer.ID
	alive bool
	life  int
	blobs map[digest.Digest]bool

	hand    *Hand
	keeper  *Keeper
	origin  *Origin
	heard   Epoch // the highest, while any of these is there
	leading []*leading
	streams map[Epoch]*stream // of leaders
	jobs    map[string]*work
	since   time.Time
}

type leading struct {
	on      *node
	leader  *Leader
	epoch   Epoch
	streams map[peer.ID]*stream
	dials   map[peer.ID]int
	over    bool
	turns   bool // it takes what comes together
	inbox   []func() Output
}

// stream is one that a leader opened.
type stream struct {
	of       *leading
	to       *node
	life     int
	dead     bool
	down, up lane
}

type work struct {
	cancelled bool
	runs      bool
}

func newWorld(t judge, s spec) *world {
	t.Helper()
	w := &world{
		t: t, rng: rand.New(rand.NewPCG(s.seed, 1)), spec: s, start: time.Unix(1_000_000, 0),
		nodes: map[peer.ID]*node{}, mesh: map[digest.Digest]action.Entry{}, inputs: map[digest.Digest][]digest.Digest{},
		apart: map[peer.ID]bool{},
	}
	w.now = w.start
	if w.spec.run == 0 {
		w.spec.run = 400 * time.Millisecond
	}
	for i := range s.peers {
		id := peer.ID(fmt.Sprintf("peer%d", i))
		w.ids = append(w.ids, id)
		w.nodes[id] = &node{w: w, id: id, alive: true, blobs: map[digest.Digest]bool{}}
		w.nodes[id].reset()
	}
	w.init = w.nodes[w.ids[0]]
	w.plan = w.makePlan()
	w.ledger.init(w)
	w.init.origin = NewOrigin(OriginOptions{Self: w.init.id, Plan: w.plan, PlanDigest: digestOf("plan")})
	for _, id := range w.ids {
		w.ticks(w.nodes[id])
	}
	w.schedule()
	return w
}

// schedule adds the steps of an open build in their time.
func (w *world) schedule() {
	for i, at := range w.spec.comes {
		w.after(at, func() { w.add(i, 1) })
	}
	for i, at := range w.spec.drops {
		w.after(at, func() { w.asks(func(o *Origin) OriginOutput { return o.Drop(w.now, Step(i)) }) })
	}
	if w.spec.shut > 0 {
		w.after(w.spec.shut, w.shut)
	}
}

// asks has the initiator do something, while the build goes on.
func (w *world) asks(f func(o *Origin) OriginOutput) {
	if w.init.alive && w.init.origin != nil {
		w.init.doOrigin(f(w.init.origin))
	}
}

func (w *world) add(first, n int) {
	w.asks(func(o *Origin) OriginOutput {
		at, out, err := o.Add(w.now, slices.Clone(w.steps[first:first+n]))
		if (err != nil || at != Step(first)) && !errors.Is(err, ErrShut) { // it may have been cancelled
			w.fatalf("step %d is added as %d: %v", first, at, err)
		}
		return out
	})
}

func (w *world) shut() { w.asks(func(o *Origin) OriginOutput { return o.Shut(w.now) }) }

func (w *world) makePlan() *Plan {
	steps := make([]action.Step, len(w.spec.deps))
	for i, deps := range w.spec.deps {
		s := action.Step{
			ID: stepID(i), Argv: []string{"make"}, Inputs: digestOf("sources", i), Timeout: time.Hour,
			Outputs: []string{fmt.Sprintf("out%04d", i)}, Reach: action.Anywhere, Sharing: action.Shared,
		}
		if w.spec.home {
			s.Reach = action.InitiatorFirst
		}
		if w.spec.here[i] {
			s.Reach, s.Sharing = action.InitiatorOnly, action.Unshared
		}
		if w.spec.special[i] {
			s.Platform = []action.Property{{Name: action.PropertyToolchain, Value: "special"}}
		}
		for _, on := range deps {
			s.Deps = append(s.Deps, action.Dep{Step: stepID(on)})
		}
		steps[i] = s
	}
	w.steps = steps
	if w.spec.comes != nil || w.spec.shut > 0 {
		steps = nil
	}
	g, err := action.NewGraph(steps)
	if err != nil {
		w.t.Fatalf("graph: %v", err)
	}
	p := &Plan{Graph: g, Modes: w.spec.modes, Open: steps == nil}
	if w.spec.candidates == nil {
		p.Candidates = w.ids
	}
	for _, i := range w.spec.candidates {
		p.Candidates = append(p.Candidates, w.ids[i])
	}
	return p
}

func (w *world) slots(n *node) int {
	if w.spec.workless[slices.Index(w.ids, n.id)] {
		return 0
	}
	return w.spec.slots
}

func stepID(i int) action.StepID { return action.StepID(fmt.Sprintf("step%04d", i)) }

func digestOf(parts ...any) digest.Digest {
	return digest.Of(digest.BLAKE3, []byte(fmt.Sprintln(parts...)))
}

func (w *world) after(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.queue, event{at: w.now.Add(d), seq: w.seq, do: do})
}

func (w *world) between(least, most time.Duration) time.Duration {
	return least + time.Duration(w.rng.Int64N(int64(most-least)+1))
}

func (w *world) delay() time.Duration { return w.between(100*time.Microsecond, 15*time.Millisecond) }

func (w *world) flaky() bool { return w.rng.IntN(100) < w.spec.flaky }

func (w *world) log(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf("%7.3f ", w.now.Sub(w.start).Seconds())+fmt.Sprintf(format, args...))
}

// report says where the build stands.
func (w *world) report() {
	l := w.leader()
	if l == nil {
		w.log("nobody leads")
		return
	}
	w.log("%s: log %d commit %d following %v hearing %v stopping %v unsecured %d ended %v", l.on.id, len(l.leader.log),
		l.leader.commit, l.leader.following, !l.leader.hearUntil.IsZero(), l.leader.stopping, l.leader.unsecured, l.leader.record.Ended)
	for _, m := range l.leader.order {
		w.log("  %s link %d joined %v wants %+v given %d sent %d acked %d", m.id, m.link, m.join != nil, m.wanted, m.given, m.logSent, m.logAcked)
	}
	for i := range l.leader.tasks {
		t := &l.leader.tasks[i]
		w.log("  step %d of %v: %v on %s missing %d avoid %v lacking %v, held by %q", i, l.leader.deps.below[i], t.phase, t.worker, t.missing, t.avoid, t.lacking, t.heldBy)
	}
}

func (w *world) fatalf(format string, args ...any) {
	w.t.Helper()
	told := strings.Join(w.trace[max(0, len(w.trace)-400):], "\n")
	w.t.Fatalf("%s\n%7.3f "+format, append([]any{told, w.now.Sub(w.start).Seconds()}, args...)...)
}

// until runs the world until the condition holds.
func (w *world) until(limit time.Duration, holds func() bool) {
	w.t.Helper()
	for end := w.now.Add(limit); !holds(); {
		if len(w.queue) == 0 || w.queue[0].at.After(end) {
			w.report()
			w.fatalf("it did not happen within %v", limit)
		}
		w.step()
	}
}

func (w *world) pass(d time.Duration) {
	end := w.now.Add(d)
	for len(w.queue) > 0 && !w.queue[0].at.After(end) {
		w.step()
	}
	w.now = end
}

func (w *world) step() {
	e := heap.Pop(&w.queue).(event)
	w.now = e.at
	e.do()
}

func (w *world) reaches(a, b *node) bool {
	return a != nil && b != nil && a.alive && b.alive && w.apart[a.id] == w.apart[b.id]
}

func (w *world) ticks(n *node) {
	life := n.life
	w.after(w.between(20*time.Millisecond, 90*time.Millisecond), func() {
		if !n.alive || n.life != life {
			return
		}
		n.tick()
		w.ticks(n)
	})
}

// members is what membership believes; it is told after a while.
func (w *world) members(on *node) []peer.Member {
	var ms []peer.Member
	for _, id := range w.ids {
		if n := w.nodes[id]; w.reaches(on, n) {
			ms = append(ms, peer.Member{ID: id, State: peer.Alive, RTT: time.Millisecond, Since: n.since})
		}
	}
	return ms
}

func (w *world) membershipChanged() {
	w.after(w.between(time.Second, 3*time.Second), func() {
		for _, id := range w.ids {
			n := w.nodes[id]
			for _, l := range slices.Clone(n.leading) {
				if n.alive && !l.over {
					l.takeTurn()
					l.do(l.leader.Meet(w.now, w.members(n)))
				}
			}
		}
	})
}

// kill ends a node without a word to anybody.
func (w *world) kill(n *node) {
	if !n.alive {
		return
	}
	w.log("KILL %s", n.id)
	n.alive = false
	n.life++
	for _, l := range n.leading {
		l.over = true
	}
	w.ledger.dead(n.id)
	n.reset()
	w.membershipChanged()
}

func (w *world) restart(n *node) {
	if n.alive || n == w.init {
		return
	}
	w.log("RESTART %s", n.id)
	n.alive, n.since = true, w.now
	w.ticks(n)
	w.membershipChanged()
}

// split cuts some nodes off from the rest: streams fall silent.
func (w *world) split(ids ...peer.ID) {
	w.log("SPLIT %v", ids)
	for _, id := range ids {
		w.apart[id] = true
	}
	w.membershipChanged()
}

func (w *world) heal() {
	w.log("HEAL")
	clear(w.apart)
	w.membershipChanged()
}

// leader is the one that leads in the highest epoch.
func (w *world) leader() *leading {
	var best *leading
	for _, id := range w.ids {
		for _, l := range w.nodes[id].leading {
			if !l.over && w.nodes[id].alive && (best == nil || l.epoch.Compare(best.epoch) > 0) {
				best = l
			}
		}
	}
	return best
}
