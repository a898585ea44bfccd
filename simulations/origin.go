package simulations

import (
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/trace"
	"github.com/buildnet/buildnet/simulations/workload"
)

// maxSecuring results are brought here at once (sched/origin.go).
const maxSecuring = 64

// origin is what a party has where the build was asked for: see sched's.
type origin struct {
	machine  *steal.Origin
	securing int
	unsecure []steal.Securing // that wait for their turn
}

// originate makes the node the initiator of a build.
func (n *node) originate(b *build, o steal.OriginOptions) {
	p := n.party(b, maxBuilds+maxOwn)
	if p == nil {
		b.end(steal.Cancelled, "the initiator is in too many builds")
		return
	}
	o.Self, o.Plan, o.PlanDigest = n.id, b.plan, b.planBlob.digest
	p.origin = &origin{machine: steal.NewOrigin(o)}
	p.plan = &planLoad{done: true, ok: true}
	p.doOrigin(p.origin.machine.Tick(n.clock()))
}

func (p *party) doOrigin(out steal.OriginOutput) {
	g := p.origin
	p.tellSecured(out.Replies)
	p.reply(out.Replies)
	for _, a := range out.Leads {
		p.appoint(a)
	}
	if out.TakeOver != nil {
		p.takeOver(out.TakeOver)
	}
	for _, s := range out.Secures {
		p.secure(g, s)
	}
	for i := range out.Events {
		p.announce(&out.Events[i])
	}
	if out.Over {
		p.origin = nil
		p.finish(out.Outcome)
		return
	}
	if p.origin == g {
		p.rearm(g.machine.Due())
	}
}

// finish puts the outputs in the tree, and says that the build is over.
func (p *party) finish(how steal.Reason) {
	if how != steal.Completed {
		text := ""
		if p.b.yields {
			text = trace.Yielded
		}
		p.b.end(how, text)
		return
	}
	b := p.b
	p.n.later(p.n.span(p.n.w.setting.Overheads.Place), func() { b.end(how, "") })
}

// tellSecured tells of outputs that are here, once a step.
func (p *party) tellSecured(replies []steal.Reply) {
	for _, r := range replies {
		s, ok := r.Msg.(steal.Secured)
		if !ok || p.b.secured[s.Step] {
			continue
		}
		p.b.secured[s.Step] = true
		e := p.b.of(trace.Secured, p.n)
		e.Step, e.Epoch, e.Digest = int(s.Step), epochOf(r.To), workload.Short(s.Action)
		p.n.w.tell(e)
	}
}

// announce passes on what the initiator tells whoever asked for the build.
func (p *party) announce(ev *steal.Event) {
	b := p.b
	e := b.of(0, p.n)
	e.Epoch, e.Peer, e.Step = epochOf(b.follows), peerOf(ev.Peer), int(ev.Step)
	switch ev.Kind {
	case steal.Elected:
		e.Kind, e.Step, e.Value = trace.Elected, trace.None, int64(len(ev.Peers))
		b.standbys = b.standbys[:0]
		for _, id := range ev.Peers {
			b.standbys = append(b.standbys, placeOf(id))
		}
	case steal.Announced:
		e.Kind, e.Value, e.Peer = trace.Announced, int64(b.index[ev.Step]), peerOf(ev.Done.Entry.Executor)
		if r := &ev.Done.Entry.Result; r.OK() {
			e.Digest = workload.Short(r.Outputs[0].Digest)
		}
	case steal.GaveUp:
		e.Kind, e.Text, e.Value = trace.GaveUp, ev.Text, int64(b.index[ev.Step])
	case steal.Noted:
		e.Kind, e.Text = trace.Noted, ev.Text
	default:
		return
	}
	p.n.w.tell(e)
	if ev.Kind == steal.Announced || ev.Kind == steal.GaveUp {
		b.counted()
		b.client.settles(ev.Step)
	}
}

// appoint asks a member to lead.
func (p *party) appoint(a steal.Asking) {
	n, w, g, b := p.n, p.n.w, p.origin, p.b
	to, answered := w.node(a.Epoch.Leader), false
	unled := func() {
		if !answered && p.origin == g {
			answered = true
			p.doOrigin(g.machine.Unled(n.clock(), a.Epoch))
			p.leave()
		}
	}
	n.later(steal.LeadTime+openTime, unled)
	back := newPipe(to, n, nil)
	there := newPipe(n, to, unled)
	there.shake(w.net.RTT(n.place, to.place))
	there.put(leadBytes, func() {
		to.loadPlan(b, n.id, func(ok bool) {
			if ok && to.lead(b, steal.TakeOver{Epoch: a.Epoch, Initiator: n.id, Plan: a.Lead.Plan}, trace.Asked) {
				back.put(endBytes, func() { answered = true })
				return
			}
			back.put(endBytes, unled)
		})
	})
}

// leadBytes is a Lead on the wire.
const leadBytes = 120

// secure brings a result's outputs into the own store, when it is its turn.
func (p *party) secure(g *origin, s steal.Securing) {
	if g.securing >= maxSecuring {
		g.unsecure = append(g.unsecure, s)
		return
	}
	g.securing++
	p.bring(g, s, func(why string) {
		g.securing--
		if len(g.unsecure) > 0 {
			next := g.unsecure[0]
			g.unsecure = g.unsecure[1:]
			p.secure(g, next)
		}
		if p.origin == g {
			if why != "" {
				e := p.b.of(trace.Lacked, p.n)
				e.Step, e.Text = int(s.Step), why
				p.n.w.tell(e)
			}
			p.doOrigin(g.machine.Brought(p.n.clock(), s.Step, s.Attempt, why))
			p.leave()
		}
	})
}

// bring fetches what a result names, and keeps it.
func (p *party) bring(g *origin, s steal.Securing, done func(why string)) {
	n, w := p.n, p.n.w
	var outputs []*blob
	for i := range s.Done.Entry.Result.Outputs {
		outputs = append(outputs, w.blob(s.Done.Entry.Result.Outputs[i].Digest))
	}
	n.fetch(outputs, placesOf(s.Done.Holders), func(why string, _ int64) {
		n.later(n.span(w.setting.Overheads.Secure), func() {
			switch {
			case why != "" || p.origin != g:
			case n.flaky():
				why = "a disk that fails by chance"
			case n.fails():
				why = "the disk failed"
			}
			if why == "" && s.Done.Entry.Result.OK() && p.b.graph.Steps()[s.Step].Sharing == action.Shared {
				n.keep(s.Done.Entry, nil)
				n.provide(outputs)
			}
			done(why)
		})
	})
}
