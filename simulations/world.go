// Package simulations is a mesh in memory, in which the machines that decide
// in production (steal, elect, place, claim, swarm, rendezvous) run ten
// thousand nodes on one thread with a clock of their own. What a run does
// follows from its setting alone. What is a machine in production is that
// machine; what is a driver, a network or a library there is a model here:
// docs/simulation.md says which. Start reading at Run, then at World.
package simulations

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path"
	"runtime"
	"strings"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/simulations/check"
	"github.com/buildnet/buildnet/simulations/network"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
	"github.com/buildnet/buildnet/simulations/workload"
	"github.com/buildnet/buildnet/store/digest"
)

// Options are what a run may be given beside its setting.
type Options struct {
	// Rules judge the run; nil runs without any.
	Rules []check.Rule
	// Sinks are told of every event, after the rules.
	Sinks []trace.Sink
	// Progress, if not nil, is called now and then.
	Progress func(Progress)
}

// Progress is how far a run is.
type Progress struct {
	At           time.Duration // in the world
	Events       uint64
	Builds, Over int
	Steps, Done  int
}

// Outcome is what came of a run.
type Outcome struct {
	// Hash is of every event; two runs of one setting have the same.
	Hash   uint64
	Events uint64
	Ended  time.Duration // in the world
	// Violation is the first rule that was broken, with the events before it;
	// nil if none was.
	Violation *check.Violation
	Last      []trace.Event
	// Stopped says that the context ended the run early.
	Stopped bool
	Traffic Traffic
}

// Traffic is what the nodes of a run sent, in bytes, besides what events tell.
type Traffic struct {
	// Gossip, by node.
	Gossip []float64
	// Messages and MessageBytes are what nodes said to one another, by node that
	// sent them: the content of blobs is not in them.
	Messages, MessageBytes []int64
	// Blobs, by node that sent them.
	Blobs []int64
}

// Run runs a setting to its end: every build is over, or a rule is broken, or
// the time of its setting is up, or ctx ends.
func Run(ctx context.Context, s *setting.Setting, o Options) (*Outcome, error) {
	w, err := New(s, o)
	if err != nil {
		return nil, err
	}
	return w.run(ctx), nil
}

const (
	// lastEvents are told with a violation.
	lastEvents = 60
	// checkEvery steps the context and the progress are looked at.
	checkEvery = 1 << 14
	// defaultLimit stands for a Limit of 0.
	defaultLimit = 10 * time.Minute
	// aftermath is how long a world goes on when every build is over, so that
	// what is left of them ends.
	aftermath = 3 * time.Second
)

// began is when worlds begin, by the clocks of their nodes.
var began = time.Unix(1_000_000_000, 0)

// World is a run that somebody else may drive step by step. It is not safe for
// concurrent use.
type World struct {
	setting *setting.Setting
	opts    Options
	chance  *rand.Rand
	clock   clock
	net     *network.Network
	nodes   []*node
	builds  []*build
	cells   []*cell
	steps   uint64

	blobs   map[digest.Digest]*blob
	outputs map[uint64]*blob // by what events say of their digests
	actions map[digest.Digest]*act
	owners  ownersCache
	foreign foreign
	plans   map[*workload.Graph]*planned

	hash      trace.Hash
	recent    *trace.Recent
	violation *check.Violation
	healed    bool
	splits    map[int][]int // groups, by the number of the network
	over      int
	overAt    time.Duration
	traffic   Traffic
}

// New returns the world of a setting before its first event.
func New(s *setting.Setting, o Options) (*World, error) {
	w := &World{
		setting: own(s), opts: o, chance: rand.New(rand.NewPCG(s.Seed, 0x6275696c646e6574)),
		blobs: map[digest.Digest]*blob{}, outputs: map[uint64]*blob{}, actions: map[digest.Digest]*act{},
		plans: map[*workload.Graph]*planned{}, recent: trace.NewRecent(lastEvents), splits: map[int][]int{},
	}
	if err := s.Validate(); err != nil {
		return nil, err
	}
	net, err := network.New(s.Network, w.chance)
	if err != nil {
		return nil, err
	}
	w.net = net
	n := len(s.Nodes)
	w.traffic = Traffic{Gossip: make([]float64, n), Messages: make([]int64, n), MessageBytes: make([]int64, n), Blobs: make([]int64, n)}
	w.populate()
	for i := range w.setting.Builds {
		if err := w.plan(i); err != nil {
			return nil, fmt.Errorf("build %d %q: %w", i, s.Builds[i].Name, err)
		}
	}
	w.command()
	w.plague()
	return w, nil
}

// run runs the world to its end. A panic of a machine is a broken rule.
func (w *World) run(ctx context.Context) *Outcome {
	stopped := false
	for !w.done() {
		if w.steps%checkEvery == 0 {
			w.progress()
			if stopped = ctx.Err() != nil; stopped {
				break
			}
		}
		w.Step()
	}
	if !stopped {
		w.settle()
	}
	w.progress()
	return w.outcome(stopped)
}

func (w *World) outcome(stopped bool) *Outcome {
	w.account()
	o := &Outcome{
		Hash: w.hash.Sum(), Events: w.hash.Events(), Ended: w.clock.now, Violation: w.violation,
		Stopped: stopped, Traffic: w.traffic,
	}
	if w.violation != nil {
		o.Last = w.recent.Events()
	}
	return o
}

// done reports whether nothing more is to happen.
func (w *World) done() bool {
	switch {
	case w.violation != nil || w.clock.pending() == 0:
		return true
	case w.over == len(w.builds):
		return w.clock.first() > w.overAt+aftermath
	default:
		// Most are long before it: the builds need not be looked at.
		at := w.clock.first()
		return at > w.setting.HealAt+w.limit() && at > w.deadline()
	}
}

// deadline is when the last build that is not over has to be.
func (w *World) deadline() time.Duration {
	end := time.Duration(0)
	for _, b := range w.builds {
		if !b.over {
			end = max(end, b.spec.At)
		}
	}
	return max(end, w.setting.HealAt) + w.limit()
}

func (w *World) limit() time.Duration {
	if w.setting.Limit > 0 {
		return w.setting.Limit
	}
	return defaultLimit
}

// Step does the next event. It does nothing when there is none, or a rule is
// broken.
func (w *World) Step() {
	if w.violation != nil || w.clock.pending() == 0 {
		return
	}
	defer w.recover()
	e := w.clock.pop()
	w.clock.now = e.at
	w.steps++
	if e.on == nil || e.on.takes(&e) {
		e.do()
	}
}

// recover makes a panic a broken rule.
func (w *World) recover() {
	if p := recover(); p != nil {
		w.violate(check.Violation{Rule: "no machine panics", Text: fmt.Sprint(p) + where()})
	}
}

// maxFrames of a panic are told.
const maxFrames = 6

// where names the functions that a panic came through, without addresses or
// lines, which would not be the same in every build.
func where() string {
	var calls [32]uintptr
	frames := runtime.CallersFrames(calls[:runtime.Callers(3, calls[:])])
	var names []string
	for more := true; more && len(names) < maxFrames; {
		var f runtime.Frame
		f, more = frames.Next()
		if !strings.HasPrefix(f.Function, "runtime.") {
			names = append(names, path.Base(f.Function))
		}
	}
	return ", in " + strings.Join(names, " of ")
}

// Until steps until the condition holds, and reports whether it came to that
// within the limit.
func (w *World) Until(holds func() bool, limit time.Duration) bool {
	for end := w.clock.now + limit; !holds(); {
		if w.violation != nil || w.clock.pending() == 0 || w.clock.first() > end {
			return false
		}
		w.Step()
	}
	return true
}

// Now is the time since the world began.
func (w *World) Now() time.Duration { return w.clock.now }

// Violation is the rule that was broken, or nil.
func (w *World) Violation() *check.Violation { return w.violation }

// Setting implements check.World.
func (w *World) Setting() *setting.Setting { return w.setting }

// Connected implements check.World.
func (w *World) Connected(a, b int) bool { return w.net.Open(a, b) && w.net.Open(b, a) }

// Holds implements check.World.
func (w *World) Holds(node int, output uint64) bool {
	b := w.outputs[output]
	return b != nil && b.has(w.nodes[node])
}

// node returns a node by its name in the mesh.
func (w *World) node(id peer.ID) *node { return w.nodes[placeOf(id)] }

func (w *World) progress() {
	if w.opts.Progress == nil {
		return
	}
	p := Progress{At: w.clock.now, Events: w.hash.Events(), Builds: len(w.builds), Over: w.over}
	for _, b := range w.builds {
		p.Steps += len(b.spec.Graph.Steps)
		p.Done += b.settled
	}
	w.opts.Progress(p)
}
