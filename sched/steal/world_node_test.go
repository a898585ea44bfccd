package steal

import (
	"fmt"
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

func (n *node) reset() {
	n.hand, n.keeper, n.leading, n.heard = nil, nil, nil, Epoch{}
	n.streams, n.jobs = map[Epoch]*stream{}, map[string]*work{}
}

func (n *node) tick() {
	now := n.w.now
	for _, l := range slices.Clone(n.leading) {
		if !l.over {
			l.takeTurn()
			l.do(l.leader.Tick(now))
		}
	}
	if n.origin != nil {
		n.doOrigin(n.origin.Tick(now))
	}
	if n.hand != nil {
		n.doHand(n.hand.Tick(now))
	}
	if n.keeper != nil {
		n.doKeeper(n.keeper.Tick(now))
	}
}

// later does something at the node unless it was killed meanwhile.
func (n *node) later(d time.Duration, do func()) {
	life := n.life
	n.w.after(d, func() {
		if n.alive && n.life == life {
			do()
		}
	})
}

// lead makes the node a leader.
func (n *node) lead(t TakeOver) {
	n.w.log("%s leads in epoch %d, from a log of %d", n.id, t.Epoch.Number, len(t.Log))
	leader, err := NewLeader(LeaderOptions{
		Self: n.id, Initiator: t.Initiator, Epoch: t.Epoch, Plan: n.w.plan, PlanDigest: t.Plan,
		Log: slices.Clone(t.Log), Predecessor: t.Predecessor, Members: n.w.members(n),
	})
	if err != nil {
		if !n.w.ledger.lenient {
			n.w.fatalf("lead: %v", err)
		}
		return
	}
	l := &leading{on: n, leader: leader, epoch: t.Epoch, streams: map[peer.ID]*stream{}, dials: map[peer.ID]int{}}
	l.turns = n.w.rng.IntN(2) == 0
	n.leading = append(n.leading, l)
	l.do(leader.Tick(n.w.now))
}

func (l *leading) do(o Output) {
	w := l.on.w
	l.check()
	for _, d := range o.Dials {
		l.dial(d)
	}
	for _, s := range o.Sends {
		if st := l.streams[s.To]; st != nil {
			w.ledger.sent(l.epoch, s)
			st.send(s.Msg)
		}
	}
	for _, id := range o.Hangups {
		w.ledger.hungUp(l.epoch, id)
		l.dials[id]++
		if st := l.streams[id]; st != nil {
			st.carry(&st.down, st.breakOff)
			w.after(Lease, st.breakOff)
		}
	}
	for _, r := range o.Resolves {
		l.resolve(r)
	}
	for _, p := range o.Publishes {
		w.mesh[p.Entry.Action] = p.Entry
	}
	if o.Over {
		w.report()
		w.log("%s leads no more in epoch %d", l.on.id, l.epoch.Number)
		l.over = true
		l.on.leading = slices.DeleteFunc(l.on.leading, func(o *leading) bool { return o == l })
	}
}

// inTurn gives the leader what has come, at once or with what comes in the next
// milliseconds.
func (l *leading) inTurn(f func() Output) {
	if !l.turns {
		l.do(f())
		return
	}
	if l.inbox = append(l.inbox, f); len(l.inbox) == 1 {
		l.on.later(l.on.w.between(0, 10*time.Millisecond), l.takeTurn)
	}
}

// takeTurn gives it all of that as one.
func (l *leading) takeTurn() {
	all := l.inbox
	if l.inbox = nil; len(all) == 0 || l.over {
		return
	}
	l.do(l.leader.Together(l.on.w.now, func() {
		for _, f := range all {
			if out := f(); out.Over || len(out.Sends)+len(out.Resolves) > 0 {
				l.on.w.fatalf("what a part of Together wants done is told by itself: %+v", out)
			}
		}
	}))
}

func (l *leading) dial(d Dial) {
	w := l.on.w
	l.dials[d.To]++
	try, to := l.dials[d.To], w.nodes[d.To]
	if !w.reaches(l.on, to) {
		l.on.later(w.between(10*time.Millisecond, 600*time.Millisecond), func() {
			if !l.over && l.dials[d.To] == try {
				l.takeTurn()
				l.do(l.leader.Closed(w.now, d.To))
			}
		})
		return
	}
	l.on.later(w.delay(), func() {
		if l.over || l.dials[d.To] != try {
			return
		}
		st := &stream{of: l, to: to, life: to.life}
		l.streams[d.To] = st
		l.takeTurn()
		out := l.leader.Opened(w.now, d.To)
		st.send(d.Hello)
		l.do(out)
	})
}

// send carries a message of the leader.
func (st *stream) send(msg Message) {
	st.carry(&st.down, func() {
		if st.to.life == st.life {
			st.to.receive(st, msg)
		}
	})
}

func (st *stream) reply(msg Message) {
	st.carry(&st.up, func() {
		l, w := st.of, st.to.w
		if l.over || l.streams[st.to.id] != st {
			return
		}
		w.ledger.replied(l.epoch, st.to.id, msg)
		l.inTurn(func() Output {
			if l.streams[st.to.id] != st {
				return Output{}
			}
			return l.leader.Receive(w.now, st.to.id, msg)
		})
	})
}

// breakOff breaks a stream; both ends hear of it after a while.
func (st *stream) breakOff() {
	if st.dead {
		return
	}
	st.dead = true
	w, l := st.to.w, st.of
	l.on.later(w.delay(), func() {
		if !l.over && l.streams[st.to.id] == st {
			delete(l.streams, st.to.id)
			l.takeTurn()
			l.do(l.leader.Closed(w.now, st.to.id))
		}
	})
	if st.to.life == st.life {
		notice := w.delay()
		if !w.reaches(l.on, st.to) {
			notice += 4 * time.Second
		}
		st.to.later(notice, func() {
			if st.to.streams[l.epoch] == st {
				st.to.closed(l.epoch)
			}
		})
	}
}

func (n *node) closed(e Epoch) {
	delete(n.streams, e)
	if n.hand != nil {
		n.doHand(n.hand.Closed(n.w.now, e))
	}
	if n.keeper != nil {
		n.doKeeper(n.keeper.Closed(n.w.now, e))
	}
	if n.origin != nil {
		n.doOrigin(n.origin.Closed(n.w.now, e))
	}
}

// receive takes a message of a leader.
func (n *node) receive(st *stream, msg Message) {
	e, now := st.of.epoch, n.w.now
	if _, hello := msg.(Hello); hello {
		if n.streams[e] != nil {
			n.closed(e)
		}
		n.streams[e] = st
		if n.hand == nil && n.keeper == nil && n.origin == nil {
			n.heard = Epoch{}
		}
		if e.Compare(n.heard) > 0 {
			n.heard = e
		}
		if n.hand == nil {
			opts := HandOptions{Self: n.id, Slots: n.w.slots(n), OS: "linux", Arch: "amd64", BPU: 1}
			opts.Heard = n.heard
			n.hand = NewHand(opts)
		}
		if n.keeper == nil {
			n.keeper = NewKeeper(n.id, n.heard)
		}
	}
	if n.streams[e] != st {
		return
	}
	// The machines that this message reaches may end one another.
	if n.hand != nil {
		n.doHand(n.hand.Receive(now, e, msg))
	}
	if n.keeper != nil && n != n.w.init {
		n.doKeeper(n.keeper.Receive(now, e, msg))
	}
	if n.origin != nil {
		n.doOrigin(n.origin.Receive(now, e, msg))
	}
}

func (n *node) replies(rs []Reply) {
	for _, r := range rs {
		if st := n.streams[r.To]; st != nil {
			st.reply(r.Msg)
		}
	}
}

func (n *node) doKeeper(o KeeperOutput) {
	for _, r := range o.Replies {
		n.w.ledger.kept(n, r)
	}
	n.replies(o.Replies)
	if o.TakeOver != nil {
		t := *o.TakeOver
		n.heard = t.Epoch
		n.later(n.w.between(0, 50*time.Millisecond), func() { n.lead(t) })
	}
	if o.Over {
		n.keeper = nil
	}
}

func (n *node) doOrigin(o OriginOutput) {
	w := n.w
	n.replies(o.Replies)
	for _, a := range o.Leads {
		to := w.nodes[a.Epoch.Leader]
		n.later(w.between(time.Millisecond, 100*time.Millisecond), func() {
			if w.reaches(n, to) {
				to.lead(TakeOver{Epoch: a.Epoch, Initiator: n.id, Plan: a.Lead.Plan})
			} else if n.origin != nil {
				n.doOrigin(n.origin.Unled(w.now, a.Epoch))
			}
		})
	}
	if t := o.TakeOver; t != nil {
		n.lead(*t)
	}
	for _, s := range o.Secures {
		n.secure(s)
	}
	for _, e := range o.Events {
		w.ledger.event(e)
	}
	if o.Over {
		w.log("OVER %d", o.Outcome)
		w.ledger.over, w.ledger.outcome = true, o.Outcome
		n.origin = nil
	}
}

func (n *node) secure(s Securing) {
	w := n.w
	n.later(w.between(time.Millisecond, 60*time.Millisecond), func() {
		why := ""
		if w.flaky() {
			why = "a disk that fails on cue"
		}
		for _, out := range s.Done.Entry.Result.Outputs {
			if !w.anybodyHas(n, out.Digest) {
				why = "nobody has it"
			}
		}
		if why == "" {
			for _, out := range s.Done.Entry.Result.Outputs {
				n.blobs[out.Digest] = true
			}
			w.ledger.secured[s.Step] = true
		}
		if n.origin != nil {
			n.doOrigin(n.origin.Brought(w.now, s.Step, s.Attempt, why))
		}
	})
}

func (w *world) anybodyHas(asking *node, d digest.Digest) bool {
	return slices.ContainsFunc(w.ids, func(id peer.ID) bool { return w.reaches(asking, w.nodes[id]) && w.nodes[id].blobs[d] })
}

// resolve makes a step into an action.
func (l *leading) resolve(r Resolve) {
	w := l.on.w
	l.on.later(w.between(time.Millisecond, 40*time.Millisecond), func() {
		if l.over {
			return
		}
		res := Resolved{Step: r.Step, Attempt: r.Attempt}
		parts, needs := []any{int(r.Step)}, []digest.Digest(nil)
		for _, on := range l.leader.deps.below[r.Step] {
			for _, o := range r.Results[stepID(int(on))].Outputs {
				parts, needs = append(parts, o.Digest), append(needs, o.Digest)
			}
		}
		res.Action = digestOf(parts...)
		w.inputs[res.Action] = needs
		known, ok := w.mesh[res.Action]
		switch {
		case w.flaky():
			res.Failure = &Failure{Kind: Broken, Text: "a store that fails on cue"}
		case ok && r.Fresh:
			res.Known, res.Claimed = &known, true
		case ok:
			res.Found, res.Holders = &known, []peer.ID{known.Executor}
		default:
			res.Claimed = true
		}
		l.inTurn(func() Output { return l.leader.Resolved(w.now, res) })
	})
}

func jobKey(a Assign) string { return fmt.Sprint(a.Step, a.Action) }

func (n *node) doHand(o HandOutput) {
	w, h := n.w, n.hand
	n.replies(o.Replies)
	for _, a := range o.Cancels {
		if j := n.jobs[jobKey(a)]; j != nil {
			j.cancelled = true
			delete(n.jobs, jobKey(a))
		}
	}
	if o.Probe != nil {
		takes := w.delay()
		if n.id == w.ids[len(w.ids)-1] {
			takes += w.spec.looks
		}
		n.later(takes, func() {
			if n.hand == h {
				n.doHand(h.Probed(w.now, n.toolchains(o.Probe)))
			}
		})
	}
	for _, a := range o.Prepares {
		n.prepare(h, a)
	}
	for _, a := range o.Runs {
		n.run(h, a)
	}
	if o.Over {
		for _, j := range n.jobs {
			j.cancelled = true
		}
		n.jobs, n.hand = map[string]*work{}, nil
	}
}

func (n *node) toolchains(specs []Spec) []string {
	have := make([]string, len(specs))
	if n.id == n.w.ids[len(n.w.ids)-1] {
		for i := range have {
			have[i] = "special"
		}
	}
	return have
}

func (n *node) prepare(h *Hand, a Assign) {
	w, j := n.w, &work{}
	n.jobs[jobKey(a)] = j
	n.later(w.between(time.Millisecond, 50*time.Millisecond), func() {
		if j.cancelled || n.hand != h {
			return
		}
		var failure *Failure
		if w.flaky() {
			failure = &Failure{Kind: Broken, Text: "a fetch that fails on cue"}
		}
		for _, d := range w.inputs[a.Action] {
			if !w.anybodyHas(n, d) {
				failure = &Failure{Kind: MissingBlob, Text: "an input is nowhere"}
			}
		}
		n.doHand(h.Prepared(w.now, a.Step, a.Action, failure))
	})
}

func (n *node) run(h *Hand, a Assign) {
	w, j := n.w, n.jobs[jobKey(a)]
	begin := w.between(0, 5*time.Millisecond)
	n.later(begin, func() {
		if j.cancelled || n.hand != h {
			return
		}
		j.runs = true
		w.ledger.executes(n, a)
		n.doHand(h.Running(w.now, a.Step, a.Action))
	})
	n.later(begin+w.between(time.Millisecond, w.spec.run), func() {
		if j.cancelled || n.hand != h {
			return
		}
		if w.spec.kills[int(a.Step)] && n != w.init {
			w.kill(n)
			return
		}
		delete(n.jobs, jobKey(a))
		entry := n.execute(a)
		n.doHand(h.Ended(w.now, Report{Step: a.Step, Action: a.Action, Entry: &entry}))
	})
}

func (n *node) execute(a Assign) action.Entry {
	s := int(a.Step)
	r := action.Result{Isolation: action.Full}
	if n.w.spec.fails[s] {
		r.ExitCode = 1
		return action.Entry{Action: a.Action, Result: r, Executor: n.id}
	}
	out := digestOf("output", a.Action)
	if n.w.spec.careless[s] {
		out = digestOf("output", a.Action, n.w.now)
	}
	n.blobs[out] = !n.w.spec.loses[s] || n.w.ledger.executions[a.Step] > 1
	r.Outputs = []action.Output{{Path: fmt.Sprintf("out%04d", s), Kind: action.File, Digest: out}}
	return action.Entry{Action: a.Action, Result: r, Executor: n.id}
}
