package simulations

import (
	"fmt"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/claim"
	"github.com/buildnet/buildnet/sched/elect"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
	"github.com/buildnet/buildnet/simulations/workload"
	"github.com/buildnet/buildnet/store/digest"
)

// build is what the world knows of a build.
type build struct {
	w     *World
	place int
	id    steal.BuildID
	spec  *setting.Build
	graph *action.Graph
	// paths are the outputs of the steps; planBlob is the plan as a blob.
	paths    []string
	plan     *steal.Plan
	planBlob *blob

	// forebear is the build that this one goes on with; nil for others. asked is
	// the life of the initiator in which it was asked for.
	forebear *build
	asked    int
	// yields says that its initiator, who inherited it, gave it up.
	yields bool

	begun, over bool
	settled     int // steps that are announced or given up
	secured     []bool
	// follows is the epoch that the initiator follows, index where its log says
	// what a step came to.
	follows steal.Epoch
	index   []uint64
	// made is who ran the step that ended last, and what it made.
	made   *blob
	maker  int
	leader *leading // of the highest epoch
	// standbys are those of whom the initiator heard last, the first one first.
	standbys []int
	client   *client // adds the steps of an open build; nil of others
}

// planned is a graph that several builds share.
type planned struct {
	graph *action.Graph
	paths []string
}

// planBytes of a step on the wire, about.
const planBytes = 400

// plan makes a build ready to begin.
func (w *World) plan(place int) error {
	spec := &w.setting.Builds[place]
	b := &build{
		w: w, place: place, id: steal.BuildID(fmt.Sprintf("build%d-%x", place, w.setting.Seed)), spec: spec,
		secured: make([]bool, len(spec.Graph.Steps)), index: make([]uint64, len(spec.Graph.Steps)), maker: trace.None,
	}
	graph, err := w.planOf(spec.Graph)
	if err != nil {
		return err
	}
	b.graph, b.paths = graph.graph, graph.paths
	w.builds = append(w.builds, b)
	w.nodes[spec.Initiator].asked = append(w.nodes[spec.Initiator].asked, b)
	w.at(spec.At, b.begin)
	return nil
}

func (w *World) planOf(g *workload.Graph) (*planned, error) {
	if p, ok := w.plans[g]; ok {
		return p, nil
	}
	graph, err := g.Actions()
	if err != nil {
		return nil, err
	}
	p := &planned{graph: graph, paths: make([]string, graph.Len())}
	for i := range graph.Steps() {
		p.paths[i] = graph.Steps()[i].Outputs[0]
	}
	w.plans[g] = p
	return p, nil
}

// begin asks for the build at its initiator, where its sources are.
func (b *build) begin() {
	n := b.w.nodes[b.spec.Initiator]
	b.begun, b.asked = true, n.life
	e := b.of(trace.Began, n)
	e.Value = int64(len(b.spec.Graph.Steps))
	b.w.tell(e)
	if !n.alive {
		b.end(0, "initiator lost")
		return
	}
	for i := range b.spec.Graph.Steps {
		if s := &b.spec.Graph.Steps[i]; s.InputBytes > 0 {
			b.w.blob(s.Sources()).add(n)
		}
	}
	n.later(n.span(b.w.setting.Overheads.Plan), func() { b.elect(n) })
}

// elect ranks the candidates, keeps the plan as a blob, and begins.
func (b *build) elect(n *node) {
	if b.over {
		return
	}
	plan := &steal.Plan{Graph: b.graph, Modes: b.spec.Modes}
	b.opens(n, plan)
	plan.Candidates = append(plan.Candidates, n.id)
	if !plan.Modes.Local {
		estimate := func(x, y peer.ID) time.Duration { return b.w.net.RTT(placeOf(x), placeOf(y)) }
		plan.Candidates = elect.Rank(elect.Candidacy{
			ID: string(b.id), Initiator: n.id, Now: n.clock(), Work: plan.Typical(),
		}, n.members(), estimate)
	}
	b.plan = plan
	b.planBlob = b.w.blob(b.w.named("plan", int64(planBytes*plan.Graph.Len()), string(b.id)))
	b.planBlob.add(n)
	n.originate(b, steal.OriginOptions{})
	if b.client != nil {
		b.client.next()
	}
}

// end is the last of a build, said once.
func (b *build) end(how steal.Reason, text string) {
	if b.over {
		return
	}
	b.over = true
	b.w.over++
	b.w.overAt = b.w.clock.now
	e := b.of(trace.Over, b.w.nodes[b.spec.Initiator])
	e.Value, e.Text = int64(how), text
	b.w.tell(e)
}

// claimant names the build where it claims.
func (b *build) claimant() claim.Build { return claim.Build(b.id) }

// step returns what the workload says of a step.
func (b *build) step(s steal.Step) *workload.Step { return &b.spec.Graph.Steps[s] }

// counted notes a step that is settled, which some faults wait for.
func (b *build) counted() {
	b.settled++
	b.w.shareReached(b)
}

// named makes the digest of a blob that is none of a step's.
func (w *World) named(kind string, size int64, of string) digest.Digest {
	hash := digest.Of(digest.BLAKE3, []byte(kind+"\x00"+of)).Hash()
	d, err := digest.New(digest.BLAKE3, hash[:], size)
	if err != nil {
		panic("simulations: a hash of the right length and a size: " + err.Error())
	}
	return d
}
