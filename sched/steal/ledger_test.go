package steal

import (
	"slices"

	"github.com/buildnet/buildnet/mesh/peer"
)

// ledger watches a world from outside and stops it when a promise is broken.
type ledger struct {
	w *world
	// hand is who has a step, by epoch, as the messages say.
	hand map[Epoch]map[Step]peer.ID
	// acked is how far each member keeps an epoch's log.
	acked map[Epoch]map[peer.ID]uint64
	// alone is how far an epoch's log was safe while it had no standby.
	alone      map[Epoch]uint64
	secured    map[Step]bool
	announced  map[Step]*Done
	gaveUp     map[Step]string
	executions map[Step]int
	replies    int             // messages to leaders
	by         map[peer.ID]int // executions
	most       int             // running at once
	began      map[Step]bool
	elections  []Event
	notes      []string
	over       bool
	outcome    Reason
	// parted says that the mesh was split once: then each side may run a step.
	parted bool
	// blind does not look into leaders, which takes as long as a build is large.
	blind bool
	// lenient says that members lie: only the machines' own sums have to agree.
	lenient bool
}

func (g *ledger) init(w *world) {
	*g = ledger{
		w: w, hand: map[Epoch]map[Step]peer.ID{}, acked: map[Epoch]map[peer.ID]uint64{}, secured: map[Step]bool{}, alone: map[Epoch]uint64{},
		announced: map[Step]*Done{}, gaveUp: map[Step]string{}, executions: map[Step]int{}, began: map[Step]bool{}, by: map[peer.ID]int{},
	}
}

func (g *ledger) hands(e Epoch) map[Step]peer.ID {
	if g.hand[e] == nil {
		g.hand[e] = map[Step]peer.ID{}
	}
	return g.hand[e]
}

// sent: a step is in one hand at a time within an epoch.
func (g *ledger) sent(e Epoch, s Send) {
	switch msg := s.Msg.(type) {
	case Assign:
		g.w.log("%s assigns %d to %s", e.Leader, msg.Step, s.To)
		if g.w.backs(e, msg.Step, s.To) {
			return
		}
		if by, taken := g.hands(e)[msg.Step]; taken && !g.lenient {
			g.w.fatalf("step %d assigned to %s while it is in the hands of %s, in one epoch", msg.Step, s.To, by)
		}
		g.hands(e)[msg.Step] = s.To
	case Revoke:
		g.w.log("%s revokes %d of %s", e.Leader, msg.Step, s.To)
		g.leaves(e, msg.Step, s.To)
	}
}

// backs reports whether a step is given to a member as its backup.
func (w *world) backs(e Epoch, s Step, to peer.ID) bool {
	l := w.leader()
	return l != nil && l.epoch == e && l.leader.tasks[s].backup == to && l.leader.record.Steps[s].Backup == to
}

func (g *ledger) leaves(e Epoch, s Step, by peer.ID) {
	if g.hands(e)[s] == by {
		delete(g.hands(e), s)
	}
}

func (g *ledger) hungUp(e Epoch, id peer.ID) {
	for s := range g.hands(e) {
		g.leaves(e, s, id)
	}
}

func (g *ledger) replied(e Epoch, from peer.ID, msg Message) {
	g.replies++
	switch msg := msg.(type) {
	case Report:
		g.leaves(e, msg.Step, from)
	case Return:
		g.leaves(e, msg.Step, from)
	case Join:
		for s := range g.hands(e) {
			if !slices.ContainsFunc(msg.Running, func(r Running) bool { return r.Step == s }) {
				g.leaves(e, s, from)
			}
		}
	}
}

// check looks into a leader.
func (l *leading) check() {
	g := &l.on.w.ledger
	if g.blind {
		return
	}
	for _, op := range l.leader.log {
		if op.Kind == OpDone {
			delete(g.hands(l.epoch), op.Step)
		}
	}
	if len(l.leader.record.Standbys) == 0 {
		g.alone[l.epoch] = l.leader.commit
	}
	assigned, held, unsecured := 0, 0, 0
	for i := range l.leader.tasks {
		t, r := &l.leader.tasks[i], &l.leader.record.Steps[i]
		if t.heldBy != "" {
			held++
		}
		if r.Result != nil && !r.Secured {
			unsecured++
		}
		if t.phase == Assigned {
			assigned++
			if _, ok := l.leader.crew[t.worker].hands[Step(i)]; !ok {
				l.on.w.fatalf("step %d is lost on its way to %s", i, t.worker)
			}
		}
		if (t.phase == Finished) != (r.Result != nil) || (t.phase == GivenUp) != (r.Failed != "") {
			l.on.w.fatalf("step %d is %v, against its record", i, t.phase)
		}
		missing := 0
		for _, on := range l.leader.deps.below[i] {
			if !l.leader.record.Steps[on].OK() {
				missing++
			}
		}
		if missing != t.missing {
			l.on.w.fatalf("step %d misses %d of what it depends on, counted as %d", i, missing, t.missing)
		}
	}
	if assigned != l.leader.assigned || held != l.leader.held || unsecured != l.leader.unsecured {
		l.on.w.fatalf("counts: assigned %d held %d unsecured %d, kept as %d %d %d",
			assigned, held, unsecured, l.leader.assigned, l.leader.held, l.leader.unsecured)
	}
	if jobs := l.leader.opts.Plan.Modes.Jobs; jobs > 0 && assigned > jobs && !g.lenient {
		l.on.w.fatalf("%d steps in the crew's hands, the bound is %d", assigned, jobs)
	}
}

func (g *ledger) kept(n *node, r Reply) {
	ack, ok := r.Msg.(Ack)
	if !ok {
		return
	}
	if g.acked[r.To] == nil {
		g.acked[r.To] = map[peer.ID]uint64{}
	}
	g.acked[r.To][n.id] = ack.Index
}

// executes: nothing that was announced is executed again.
func (g *ledger) executes(n *node, a Assign) {
	g.w.log("%s runs %d", n.id, a.Step)
	g.executions[a.Step]++
	g.by[n.id]++
	running := 0
	for _, id := range g.w.ids {
		for _, j := range g.w.nodes[id].jobs {
			if j.runs && !j.cancelled {
				running++
			}
		}
	}
	g.most = max(g.most, running)
	if g.announced[a.Step] != nil && !g.parted && !g.lenient {
		g.w.fatalf("step %d is executed on %s, and was announced", a.Step, n.id)
	}
}

func (g *ledger) event(e Event) {
	switch e.Kind {
	case Elected:
		g.w.log("elected %s, standbys %v, epoch %d", e.Peer, e.Peers, e.Epoch)
		g.elections = append(g.elections, e)
	case Began:
		g.began[e.Step] = true
	case Announced:
		g.w.log("announced %d", e.Step)
		g.announces(e)
	case GaveUp:
		g.w.log("gave up %d: %s", e.Step, e.Text)
		if g.settled(e.Step) && !g.lenient {
			g.w.fatalf("step %d given up after it was announced", e.Step)
		}
		g.gaveUp[e.Step] = e.Text
	case Noted:
		g.w.log("note %d: %s", e.Step, e.Text)
		g.notes = append(g.notes, e.Text)
	}
}

func (g *ledger) settled(s Step) bool { return g.announced[s] != nil || g.gaveUp[s] != "" }

// announces: once, after all below it, when a standby keeps the report, if
// there is one, and the outputs are here.
func (g *ledger) announces(e Event) {
	o := g.w.init.origin
	switch {
	case g.lenient:
	case g.settled(e.Step):
		g.w.fatalf("step %d announced twice", e.Step)
	case !g.secured[e.Step] && e.Done.Entry.Result.OK():
		g.w.fatalf("step %d announced before its outputs were here", e.Step)
	}
	for _, on := range o.deps.below[e.Step] {
		if !g.settled(on) && !g.lenient {
			g.w.fatalf("step %d announced before %d, of which it was made", e.Step, on)
		}
	}
	index, safe := o.steps[e.Step].index, o.steps[e.Step].index <= g.alone[o.watch.lead]
	for id, upTo := range g.acked[o.watch.lead] {
		safe = safe || id != g.w.init.id && upTo >= index
	}
	if !safe && !g.lenient {
		g.w.fatalf("step %d announced, and no standby knows of it", e.Step)
	}
	g.announced[e.Step] = e.Done
}

func (g *ledger) dead(id peer.ID) {
	if id == g.w.init.id {
		g.over = true
	}
}

// verify looks at a build that ended: what was announced fits together, and
// whatever was not has a reason.
func (g *ledger) verify() {
	w, stopped := g.w, len(g.gaveUp) > 0
	for _, d := range g.announced {
		stopped = stopped || !d.Entry.Result.OK()
	}
	for i, deps := range w.spec.deps {
		d, behind := g.announced[Step(i)], stopped && !w.spec.modes.KeepGoing
		parts := []any{i}
		for _, on := range deps {
			below := g.announced[Step(on)]
			if below == nil || !below.Entry.Result.OK() {
				behind = true
				continue
			}
			parts = append(parts, below.Entry.Result.Outputs[0].Digest)
		}
		switch {
		case d == nil && g.gaveUp[Step(i)] == "" && !behind && g.outcome == Completed:
			w.fatalf("step %d of %v is lost, stopped %v, fails %v", i, deps, stopped, w.spec.fails)
		case d == nil:
		case d.Entry.Action != digestOf(parts...):
			w.fatalf("step %d was made of something else than what was announced", i)
		case d.Entry.Result.OK() == w.spec.fails[i]:
			w.fatalf("step %d: ok is %v", i, d.Entry.Result.OK())
		case d.Entry.Result.OK() && !w.spec.careless[i] && d.Entry.Result.Outputs[0].Digest != digestOf("output", d.Entry.Action):
			w.fatalf("step %d has other bytes", i)
		}
	}
}
