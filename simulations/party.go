package simulations

import (
	"fmt"
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/trace"
)

// Limits of package sched's Service.
const (
	maxBuilds = 256
	maxLed    = 64
	maxOwn    = 64
	maxEpochs = 4
)

// party is what a node is in one build besides its leader: see sched's.
type party struct {
	n *node
	b *build

	hand    *steal.Hand
	keeper  *steal.Keeper
	origin  *origin
	links   []*stream // of leaders, one an epoch
	highest steal.Epoch
	jobs    map[jobKey]*job
	probe   int
	plan    *planLoad
	tick    func()
	due     time.Duration // when the next tick is; 0 if there is none
	gone    bool
	custody *custody // nil unless it is the heir
	asks    []*build // rivals whose initiators are asked whether they live
}

// party returns the node's part in a build, beginning it where there is none;
// nil if it is in too many, or in another's of that name.
func (n *node) party(b *build, limit int) *party {
	for _, p := range n.parties {
		if p.b == b {
			return p
		}
	}
	if len(n.parties) >= limit || n.takesPart(b.id) {
		return nil
	}
	p := &party{n: n, b: b, jobs: map[jobKey]*job{}}
	p.tick = p.beat
	n.parties = append(n.parties, p)
	return p
}

// rearm plans the next tick for when a machine is due: one that is planned for
// earlier does no harm.
func (p *party) rearm(due time.Time) {
	if due.IsZero() {
		return
	}
	at := due.Sub(began) - p.n.spec.Skew
	if p.due == 0 || at < p.due {
		p.due = max(at, p.n.w.clock.now+1)
		p.n.later(p.due-p.n.w.clock.now, p.tick)
	}
}

// beat gives the machines the time.
func (p *party) beat() {
	if p.gone || p.n.w.clock.now < p.due {
		return
	}
	p.due = 0
	now := p.n.clock()
	defer p.progressed(now)
	p.advance(now)
	if p.hand != nil {
		p.doHand(p.hand.Tick(now))
	}
	if p.keeper != nil {
		p.doKeeper(p.keeper.Tick(now))
	}
	if p.origin != nil {
		p.doOrigin(p.origin.machine.Tick(now))
	}
	p.leave()
}

// progressed checks that a machine which had the time is not due at once: its
// driver would do nothing else any more.
func (p *party) progressed(now time.Time) {
	due := func(machine string, at time.Time) {
		if !at.IsZero() && !at.After(now) {
			panic(fmt.Sprintf("the %s is due at once after its tick", machine))
		}
	}
	if p.hand != nil {
		due("hand", p.hand.Due())
	}
	if p.keeper != nil {
		due("keeper", p.keeper.Due())
	}
	if p.origin != nil {
		due("origin", p.origin.machine.Due())
	}
}

// leave forgets the party when nothing of it is left.
func (p *party) leave() {
	if p.gone || p.hand != nil || p.keeper != nil || p.origin != nil {
		return
	}
	p.gone = true
	p.n.parties = slices.DeleteFunc(p.n.parties, func(o *party) bool { return o == p })
	for _, st := range p.links {
		st.finishUp()
	}
	p.links = nil
	p.n.w.tell(p.b.of(trace.Forgot, p.n))
}

// attach takes the stream of a leader, in the place of an earlier one of its
// epoch.
func (p *party) attach(st *stream) {
	own := st.hello.Initiator == p.n.id
	if own != (p.origin != nil) {
		st.resetUp()
		p.leave()
		return
	}
	if old := p.link(st.l.epoch); old != nil {
		p.detach(old)
		old.resetUp()
	}
	p.links = append(p.links, st)
	st.at = p
	p.bound()
	p.hears(st.l.epoch)
	if p.hand == nil {
		p.hand = steal.NewHand(steal.HandOptions{
			Self: p.n.id, Slots: p.slots(), Most: p.n.spec.Slots, OS: systemOS, Arch: systemArch, BPU: p.n.spec.BPU,
			Memory: p.n.spec.Memory, Heard: p.highest, StatusEvery: statusEvery,
		})
		if p.n.draining {
			p.doHand(p.hand.Drain(p.n.clock()))
		}
	}
	if p.keeper == nil && p.origin == nil {
		p.keeper = steal.NewKeeper(p.n.id, p.highest)
	}
	p.take(st, st.hello)
}

// What every node is.
const (
	systemOS   = "linux"
	systemArch = "amd64"
)

func (p *party) link(e steal.Epoch) *stream {
	for _, st := range p.links {
		if st.l.epoch == e {
			return st
		}
	}
	return nil
}

// hears notes an epoch that this node has heard of, or begins.
func (p *party) hears(e steal.Epoch) {
	if e.Compare(p.highest) > 0 {
		p.highest = e
	}
}

// bound gives up the streams of the lowest epochs when there are too many.
func (p *party) bound() {
	for len(p.links) > maxEpochs {
		lowest := slices.MinFunc(p.links, func(a, b *stream) int { return a.l.epoch.Compare(b.l.epoch) })
		p.detach(lowest)
		lowest.resetUp()
	}
}

// detach forgets a stream, if it is still the one of its epoch.
func (p *party) detach(st *stream) {
	at := slices.Index(p.links, st)
	if at < 0 {
		return
	}
	p.links = slices.Delete(p.links, at, at+1)
	now, e := p.n.clock(), st.l.epoch
	if p.hand != nil {
		p.doHand(p.hand.Closed(now, e))
	}
	if p.keeper != nil {
		p.doKeeper(p.keeper.Closed(now, e))
	}
	if p.origin != nil {
		p.doOrigin(p.origin.machine.Closed(now, e))
	}
}

// take gives a message of a leader to all machines. What is said of beats is
// said by what comes of them.
func (p *party) take(st *stream, msg steal.Message) {
	if !slices.Contains(p.links, st) {
		return
	}
	beat := silent(msg)
	if !beat {
		p.tellEpoch(trace.Heard, st.l.epoch, nameOf(msg))
	}
	p.watch(st.l.epoch, msg)
	if o, ok := msg.(steal.Occupied); ok {
		p.n.reconcile(p.n.w.called(o))
		return
	}
	now, e, obeyed := p.n.clock(), st.l.epoch, false
	if p.hand != nil {
		out := p.hand.Receive(now, e, msg)
		obeyed = obeys(out.Replies) || len(out.Prepares)+len(out.Runs)+len(out.Cancels)+len(out.Probe) > 0 || out.Over
		p.obey(beat, &obeyed, e)
		p.doHand(out)
	}
	if p.keeper != nil {
		out := p.keeper.Receive(now, e, msg)
		did := obeys(out.Replies) || out.TakeOver != nil || out.Over
		if !obeyed && did {
			obeyed = true
			p.obey(beat, &obeyed, e)
		}
		p.doKeeper(out)
	}
	if p.origin != nil {
		out := p.origin.machine.Receive(now, e, msg)
		did := obeys(out.Replies) || out.TakeOver != nil || out.Over || len(out.Secures)+len(out.Events) > 0
		if !obeyed && did {
			obeyed = true
			p.obey(beat, &obeyed, e)
		}
		p.doOrigin(out)
	}
	p.prefetch(st, msg)
	p.leave()
}

// silent messages are as good as none for what becomes of a build.
func silent(msg steal.Message) bool {
	switch msg.(type) {
	case steal.Beat, steal.Tidings:
		return true
	default:
		return false
	}
}

// obey tells that a machine did something because of what was heard.
func (p *party) obey(beat bool, did *bool, e steal.Epoch) {
	if *did && !beat {
		p.tellEpoch(trace.Obeyed, e, "")
	}
}

// obeys reports whether something else than a refusal is replied.
func obeys(replies []steal.Reply) bool {
	return slices.ContainsFunc(replies, func(r steal.Reply) bool {
		_, refuses := r.Msg.(steal.Refuse)
		return !refuses
	})
}

func (p *party) tellEpoch(k trace.Kind, e steal.Epoch, text string) {
	ev := p.b.of(k, p.n)
	ev.Epoch, ev.Text = epochOf(e), text
	ev.Peer = ev.Epoch.Leader
	p.n.w.tell(ev)
}

// watch notes where the log of the epoch that the initiator follows says what
// a step came to.
func (p *party) watch(e steal.Epoch, msg steal.Message) {
	if p.origin == nil || e.Compare(p.b.follows) < 0 {
		return
	}
	switch msg := msg.(type) {
	case steal.Hello:
		if e != p.b.follows {
			p.b.follows = e
			clear(p.b.index)
		}
	case steal.Append:
		for i, op := range msg.Ops {
			switch op.Kind {
			case steal.OpDone, steal.OpFailed:
				p.b.index[op.Step] = msg.First + uint64(i)
			case steal.OpReopened:
				p.b.index[op.Step] = 0
			}
		}
	}
}

func (p *party) reply(replies []steal.Reply) {
	for _, r := range replies {
		if refusal, ok := r.Msg.(steal.Refuse); ok && refusal.Epoch != r.To {
			p.tellEpoch(trace.Refused, r.To, "")
		}
		if st := p.link(r.To); st != nil {
			st.reply(r.Msg)
		}
	}
}

func (p *party) doKeeper(out steal.KeeperOutput) {
	p.reply(out.Replies)
	if out.TakeOver != nil {
		p.takeOver(out.TakeOver)
	}
	p.doHeir(out)
	if out.Over {
		p.keeper = nil
		return
	}
	p.rearm(p.keeper.Due())
}

// planLoad is the plan of the build as a standby brings it here.
type planLoad struct {
	done, ok bool
	then     []func()
}

// prefetch brings the plan here when this node becomes a standby.
func (p *party) prefetch(st *stream, msg steal.Message) {
	a, ok := msg.(steal.Append)
	if !ok || p.keeper == nil || st.l.epoch != p.highest {
		return
	}
	for _, op := range a.Ops {
		if op.Kind == steal.OpStandbys && slices.Contains(op.Peers, p.n.id) {
			p.load(st.l.n.id)
		}
	}
}

func (p *party) load(hint peer.ID) *planLoad {
	if p.plan != nil && (!p.plan.done || p.plan.ok) {
		return p.plan
	}
	load := &planLoad{}
	p.plan = load
	p.n.loadPlan(p.b, hint, func(ok bool) {
		load.done, load.ok = true, ok
		for _, then := range load.then {
			then()
		}
		load.then = nil
	})
	return load
}

// loadPlan brings the plan of a build to the node.
func (n *node) loadPlan(b *build, hint peer.ID, done func(ok bool)) {
	hints := []int{b.spec.Initiator}
	if hint != "" {
		hints = append(hints, placeOf(hint))
	}
	n.fetch([]*blob{b.planBlob}, hints, func(why string, _ int64) { done(why == "") })
}

// takeOver makes this node the leader as soon as the plan is here.
func (p *party) takeOver(t *steal.TakeOver) {
	p.hears(t.Epoch)
	load, over := p.load(t.Predecessor), *t
	lead := func() {
		if load.ok {
			p.n.lead(p.b, over, "")
		}
	}
	if load.done {
		// The Service's goroutine comes to it a moment later.
		p.n.later(0, lead)
		return
	}
	load.then = append(load.then, func() {
		if !p.gone { // a party that is left loads nothing any more
			lead()
		}
	})
}
