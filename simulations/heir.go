package simulations

import (
	"slices"
	"time"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
)

const (
	// maxBringing results are brought to an heir at once, and maxSources blobs
	// (sched/heir.go).
	maxBringing = 2
	maxSources  = 64
	// keepAgain is the pause before an heir tries again what it could not get.
	keepAgain = time.Second
	// askTime is how long the initiator of a build has to say that it lives.
	askTime = time.Second
	// askAgain is the pause before the initiator of a rival is asked again.
	askAgain = 2 * time.Second
)

// custody is what an heir brings to itself: see sched's.
type custody struct {
	p        *party
	added    []action.Step // to an open build
	gone     bool
	bringing int
	queue    []steal.Securing
}

func (p *party) doHeir(out steal.KeeperOutput) {
	if out.Drop && p.custody != nil {
		p.custody.gone, p.custody = true, nil
	}
	if out.Keep != nil {
		p.custody = &custody{p: p, added: out.Keep.Added}
		p.custody.begin()
	}
	if c := p.custody; c != nil {
		c.queue = append(c.queue, out.Brings...)
		c.bring()
	}
	if out.Inherit != nil {
		p.n.inherit(p.b, out.Inherit, p.custody.added)
	}
	if out.Over && p.custody != nil {
		p.custody.gone, p.custody = true, nil
	}
}

// begin brings the plan here, then what its steps read.
func (c *custody) begin() {
	p := c.p
	load := p.load("")
	then := func() {
		if !load.ok {
			p.n.later(keepAgain, c.again)
			return
		}
		var sources []*blob
		for i := range p.b.spec.Graph.Steps {
			if s := &p.b.spec.Graph.Steps[i]; s.InputBytes > 0 {
				sources = append(sources, p.n.w.blob(s.Sources()))
			}
		}
		c.keep(sources)
	}
	if load.done {
		then()
		return
	}
	load.then = append(load.then, then)
}

func (c *custody) again() {
	if !c.gone {
		c.begin()
	}
}

// keep fetches sources, some at a time and half of the time.
func (c *custody) keep(sources []*blob) {
	p := c.p
	if c.gone {
		return
	}

	if len(sources) == 0 {
		p.doKeeper(p.keeper.Kept(p.n.clock()))
		p.leave()
		return
	}
	some := sources[:min(len(sources), maxSources)]
	asked := p.n.w.clock.now
	p.n.fetch(some, []int{p.b.spec.Initiator}, func(why string, _ int64) {
		pause := p.n.w.clock.now - asked

		if why != "" {
			pause = keepAgain
		} else {
			sources = sources[len(some):]
		}
		p.n.later(pause, func() { c.keep(sources) })
	})
}

// bring fetches outputs of results, a few at a time.
func (c *custody) bring() {
	p, w := c.p, c.p.n.w
	for c.bringing < maxBringing && len(c.queue) > 0 {
		s := c.queue[0]
		c.queue = c.queue[1:]
		c.bringing++
		var outputs []*blob
		for i := range s.Done.Entry.Result.Outputs {
			outputs = append(outputs, w.blob(s.Done.Entry.Result.Outputs[i].Digest))
		}
		p.n.fetch(outputs, placesOf(s.Done.Holders), func(why string, _ int64) {
			p.n.later(p.n.span(w.setting.Overheads.Secure), func() { c.brought(s, outputs, why) })
		})
	}
}

func (c *custody) brought(s steal.Securing, outputs []*blob, why string) {
	c.bringing--
	p := c.p
	if c.gone || p.keeper == nil {
		return
	}
	if why == "" && !p.n.fails() {
		if s.Done.Entry.Result.OK() && p.b.graph.Steps()[s.Step].Sharing == action.Shared {
			p.n.keep(s.Done.Entry, nil)
			p.n.provide(outputs)
		}
		p.doKeeper(p.keeper.Held(p.n.clock(), s.Step, s.Done))
	}
	c.bring()
	p.leave()
}

// knows reports whether the node asked for the build in the life that it lives,
// and did not give it up.
func (n *node) knows(b *build) bool {
	return n.place == b.spec.Initiator && n.life == b.asked && !b.yields
}

// asks finds out from the initiator of a build whether it lives still.
func (n *node) asks(b *build, then func(yes bool)) {
	over, yes := false, false
	end := func(bool) {
		if !over {
			over = true
			then(yes)
		}
	}
	n.call(b.spec.Initiator, frameBytes, func(to *node) (int, int64) {
		yes = to.knows(b)
		return frameBytes, 0
	}, end)
	n.later(askTime, func() { yes = false; end(false) })
}

// inherit goes on with a build whose initiator is dead, unless another heir has
// begun to. To an open build steps were added.
func (n *node) inherit(old *build, i *steal.Inherit, added []action.Step) {
	n.asks(old, func(yes bool) {
		if !yes && !n.takesPart(old.id+"'") {
			n.w.succeed(n, old, i, added)
		}
	})
}

// takesPart reports whether the node has a part in a build of that name, of which
// there are several where it has several heirs.
func (n *node) takesPart(id steal.BuildID) bool {
	return slices.ContainsFunc(n.parties, func(p *party) bool { return p.b.id == id })
}

// succeed has a node ask for the rest of a build.
func (w *World) succeed(n *node, old *build, i *steal.Inherit, added []action.Step) {
	spec := *old.spec
	spec.Name, spec.Initiator, spec.At, spec.Arrivals = spec.Name+"'", n.place, w.clock.now, nil
	w.setting.Builds = append(w.setting.Builds, spec)
	b := &build{
		w: w, place: len(w.builds), id: old.id + "'", spec: &spec, graph: old.graph, paths: old.paths,
		plan: old.plan, planBlob: old.planBlob, begun: true, forebear: old,
		secured: make([]bool, len(spec.Graph.Steps)), index: make([]uint64, len(spec.Graph.Steps)), maker: trace.None,
	}
	b.asked = n.life
	b.closes(n, added)
	w.builds = append(w.builds, b)
	n.asked = append(n.asked, b)
	e := b.of(trace.Inherited, n)
	e.Value, e.Peer = int64(old.place), old.spec.Initiator
	w.tell(e)
	e = b.of(trace.Began, n)
	e.Value = int64(len(spec.Graph.Steps))
	w.tell(e)
	n.originate(b, steal.OriginOptions{Log: i.Log, Lost: i.Initiator})
}

// closes makes one plan of that of an open build and of what was added to it.
func (b *build) closes(n *node, added []action.Step) {
	if !b.plan.Open {
		return
	}
	whole, err := b.plan.With(added)
	if err != nil {
		panic("simulations: steps that were added: " + err.Error())
	}
	b.plan = whole
	b.planBlob = b.w.blob(b.w.named("plan", int64(planBytes*whole.Graph.Len()), string(b.id)))
	b.planBlob.add(n)
}

// reconcile gives up what the node inherited where it is led elsewhere as well,
// if that one comes first and its initiator says that it lives.
func (n *node) reconcile(rival *build) {
	heir := slices.IndexFunc(n.parties, func(p *party) bool { return p.origin != nil && p.b.yieldsTo(rival) })
	if heir >= 0 && !slices.Contains(n.parties[heir].asks, rival) {
		p := n.parties[heir]
		p.asks = append(p.asks, rival)
		p.yield(rival)
	}
}

func (p *party) yield(rival *build) {
	if p.gone || p.origin == nil || p.b.yields {
		return
	}
	p.n.asks(rival, func(yes bool) {
		switch {
		case yes && !p.gone && p.origin != nil && !p.b.yields:
			p.b.yields = true
			p.doOrigin(p.origin.machine.Cancel(p.n.clock()))
			p.leave()
		case !yes && p.n.takesPart(rival.id):
			p.n.later(askAgain, func() { p.yield(rival) })
		default:
			p.asks = slices.DeleteFunc(p.asks, func(b *build) bool { return b == rival })
		}
	})
}

// yieldsTo reports whether b is given up for another: see sched's inheritance.
func (b *build) yieldsTo(rival *build) bool {
	first, before := b.family()
	family, generation := rival.family()
	switch {
	case first != family:
		return false
	case generation == before:
		return b.plan.Earlier(idOf(rival.spec.Initiator), idOf(b.spec.Initiator))
	default:
		return generation < before
	}
}

// occupied returns what the node serves of what an heir goes on with as b, if it
// has a leader: see sched's.
func (n *node) occupied(b *build) (by *build) {
	first, generation := b.family()
	if generation == 1 || b.spec.Initiator == n.place {
		return nil
	}
	least := generation
	for _, p := range n.parties {
		if f, g := p.b.family(); f == first && g < least && p.led() {
			by, least = p.b, g
		}
	}
	return by
}

func (p *party) led() bool { return p.origin != nil || p.keeper != nil && p.keeper.Led(p.n.clock()) }

// called returns the build of a name and an initiator.
func (w *World) called(o steal.Occupied) *build {
	at := slices.IndexFunc(w.builds, func(b *build) bool { return b.id == o.Build && idOf(b.spec.Initiator) == o.Initiator })
	return w.builds[at]
}

// family is the build that b goes on with, or the first that those went on with,
// and how many there are from it to b.
func (b *build) family() (first *build, generation int) {
	for generation = 1; b.forebear != nil; generation++ {
		b = b.forebear
	}
	return b, generation
}

// own is a setting that a run may add builds to.
func own(s *setting.Setting) *setting.Setting {
	copied := *s
	copied.Builds = slices.Clone(s.Builds)
	return &copied
}
