package simulations

import (
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/trace"
	"github.com/buildnet/buildnet/simulations/workload"
	"github.com/buildnet/buildnet/store/digest"
)

type jobKey struct {
	step   steal.Step
	action digest.Digest
}

// job is an assignment while it is prepared or run.
type job struct {
	p         *party
	key       jobKey
	holders   []int
	cancelled bool

	asked, prepared time.Duration // when
	fetched         time.Duration
	turn            *steal.Turn // for a slot of in, the node's; nil before it asks
	in              *steal.Slots

	// Of what runs: what is left of its cost in BPU-seconds, as of since, at which
	// rate it goes on, and the number of the plan to end it.
	runs  bool
	began time.Duration
	left  float64
	since time.Duration
	rate  float64
	ends  int
	// spare is a copy of what runs on the same host already.
	spare bool
}

func (p *party) doHand(out steal.HandOutput) {
	p.reply(out.Replies)
	for _, a := range out.Cancels {
		p.drop(jobKey{a.Step, a.Action})
	}
	if out.Probe != nil {
		p.ask(out.Probe)
	}
	for _, a := range out.Prepares {
		p.prepare(a)
	}
	for _, a := range out.Runs {
		p.execute(jobKey{a.Step, a.Action})
	}
	if out.Over {
		p.dropAll()
		p.hand = nil
		return
	}
	if p.hand != nil {
		p.rearm(p.hand.Due())
	}
}

// drop cancels a job.
func (p *party) drop(key jobKey) {
	if j, ok := p.jobs[key]; ok {
		delete(p.jobs, key)
		j.cancel()
	}
}

func (p *party) dropAll() {
	left := make([]*job, 0, len(p.jobs))
	for _, j := range p.jobs {
		left = append(left, j)
	}
	slices.SortFunc(left, func(a, b *job) int { return int(a.key.step - b.key.step) })
	for _, j := range left {
		p.drop(j.key)
	}
}

// ask finds out which toolchains are here.
func (p *party) ask(specs []steal.Spec) {
	p.probe++
	number := p.probe
	p.n.later(max(probeTime, p.n.spec.Probe), func() {
		if p.hand == nil || number != p.probe {
			return
		}
		have := make([]string, len(specs))
		for i, s := range specs {
			if slices.Contains(p.n.spec.Toolchains, s.Spec) {
				have[i] = s.Spec
			}
		}
		p.doHand(p.hand.Probed(p.n.clock(), have))
	})
}

// probeTime is what looking for toolchains takes that were looked for before.
const probeTime = 2 * time.Millisecond

func (p *party) prepare(a steal.Assign) {
	key := jobKey{a.Step, a.Action}
	p.drop(key)
	j := &job{p: p, key: key, holders: placesOf(a.Holders), asked: p.n.w.clock.now}
	p.jobs[key] = j
	p.n.inputs(j, func(why *steal.Failure, moved int64) {
		if j.cancelled {
			return
		}
		p.n.later(p.n.span(p.n.w.setting.Overheads.Prepare), func() { p.prepared(j, why, moved) })
	})
}

// prepared tells the Hand that the inputs of a job are here, or why not.
func (p *party) prepared(j *job, why *steal.Failure, moved int64) {
	if j.cancelled || p.hand == nil {
		return
	}
	switch {
	case why != nil:
	case p.n.flaky():
		why = &steal.Failure{Kind: steal.Broken, Text: "a fetch that fails by chance"}
	case p.n.fails():
		why = &steal.Failure{Kind: steal.Broken, Text: "the disk failed"}
	}
	j.prepared = p.n.w.clock.now
	j.fetched = j.prepared - j.asked
	e := p.b.of(trace.Prepared, p.n)
	e.Step, e.Value, e.Digest = int(j.key.step), moved, workload.Short(j.key.action)
	if why != nil {
		e.Kind, e.Text, e.Value = trace.Unready, why.Text, 0
		delete(p.jobs, j.key)
		j.cancelled = true
	}
	p.n.w.tell(e)
	p.doHand(p.hand.Prepared(p.n.clock(), j.key.step, j.key.action, why))
}

// execute runs a prepared job as soon as the node has a slot.
func (p *party) execute(key jobKey) {
	if j, ok := p.jobs[key]; ok {
		j.in, j.turn = p.n.slots, &steal.Turn{Whose: p.whose(), Begin: func() {
			p.n.later(p.n.span(p.n.w.setting.Overheads.Start), j.begin)
		}}
		j.in.Ask(j.turn)
		p.n.serve()
	}
}

// serve has those begin who get a slot of the node.
func (n *node) serve() {
	for _, t := range n.slots.Serve() {
		t.Begin()
	}
}

// begin runs the command.
func (j *job) begin() {
	p := j.p
	if j.cancelled || p.hand == nil {
		return
	}
	w := p.n.w
	j.runs, j.began, j.since, j.left = true, w.clock.now, w.clock.now, p.b.step(j.key.step).Cost
	j.spare = p.n.host.runs(j.key.action) != nil
	p.n.running = append(p.n.running, j)
	p.n.w.tell(j.of(trace.RunBegan))
	j.pace()
	p.n.host.began(j)
	p.doHand(p.hand.Running(p.n.clock(), j.key.step, j.key.action))
}

// statusEvery is how often a worker says how it is (node/config).
const statusEvery = 2 * time.Second

// advance tells the Hand how far the steps are that say it: each second one.
func (p *party) advance(now time.Time) {
	if p.hand == nil {
		return
	}
	for _, j := range p.n.running {
		if j.p != p || j.key.step%2 == 0 {
			continue
		}
		cost := max(p.b.step(j.key.step).Cost, slowest)
		left := j.left - (p.n.w.clock.now-j.since).Seconds()*p.n.power()*j.rate
		p.doHand(p.hand.Progress(now, j.key.step, j.key.action, int(100*(1-left/cost))))
	}
}

func (j *job) of(k trace.Kind) trace.Event {
	e := j.p.b.of(k, j.p.n)
	e.Step, e.Digest = int(j.key.step), workload.Short(j.key.action)
	return e
}

// pace plans the end of what runs by the speed that the node has now.
func (j *job) pace() {
	n := j.p.n
	j.ends++
	j.rate = 0
	if !j.spare {
		j.rate = n.rate(j.turn.Whose)
	}
	if j.rate == 0 {
		return
	}
	ends, speed := j.ends, n.power()*j.rate
	n.later(time.Duration(j.left/speed*float64(time.Second)), func() {
		if j.runs && j.ends == ends {
			j.ended()
		}
	})
}

// repace plans what runs anew when the node's speed has changed. The caller
// has set the new one.
func (n *node) repace() {
	for _, j := range n.running {
		j.left = max(0, j.left-(n.w.clock.now-j.since).Seconds()*n.power()*j.rate)
		j.since = n.w.clock.now
		j.pace()
	}
}

// power is that of one of its cores, in BPU: what it says of itself, unless its
// host's are known.
func (n *node) power() float64 {
	if n.host != nil && n.host.BPU > 0 {
		return n.host.BPU
	}
	return n.spec.BPU
}

// rate is the speed of one of its actions, 1 is that of an idle core.
func (n *node) rate(whose steal.Whose) float64 {
	if n.stalled {
		return 0
	}
	return max(n.speed, slowest) * n.host.rate(whose)
}

// ended is the end of the command. Its outputs are kept, and its slot is free
// then.
func (j *job) ended() {
	n, s := j.p.n, j.p.b.step(j.key.step)
	if s.Nature == workload.Killing && n.place != j.p.b.spec.Initiator {
		n.stop("")
		return
	}
	j.unlist()
	e := j.of(trace.RunEnded)
	if s.Nature == workload.Failing {
		e.Value = 1
	}
	n.w.tell(e)
	entry := j.result(s)
	n.later(n.span(n.w.setting.Overheads.Store), func() { j.report(entry) })
}

// result is what the command came to.
func (j *job) result(s *workload.Step) action.Entry {
	n := j.p.n
	wall := n.w.clock.now - j.began
	r := action.Result{Isolation: action.Full, Wall: wall, CPU: wall}
	if s.Nature == workload.Failing {
		r.ExitCode = 1
		return action.Entry{Action: j.key.action, Result: r, Executor: n.id}
	}
	made := s.Output(j.key.action, n.w.chance.Uint64())
	a := n.w.act(j.key.action)
	a.executions++
	out := n.w.blob(made)
	if s.Nature != workload.Losing || a.executions > 1 {
		out.add(n)
	}
	j.p.b.made, j.p.b.maker = out, n.place
	r.Outputs = []action.Output{{Path: j.p.b.paths[j.key.step], Kind: action.File, Digest: made}}
	return action.Entry{Action: j.key.action, Result: r, Executor: n.id}
}

// report tells the Hand what came of a job that ran.
func (j *job) report(entry action.Entry) {
	p, n := j.p, j.p.n
	if j.cancelled || p.hand == nil {
		return
	}
	r := steal.Report{Step: j.key.step, Action: j.key.action, Timings: steal.Timings{
		Queued: j.began - j.prepared, Fetch: j.fetched, Run: entry.Result.Wall, Upload: n.w.clock.now - j.began - entry.Result.Wall,
	}}
	if n.fails() {
		r.Failure = steal.Failure{Kind: steal.Broken, Text: "the disk failed"}
	} else {
		r.Entry = &entry
		n.kept(p.b, j.key.step, &entry)
	}
	delete(p.jobs, j.key)
	j.cancel()
	p.doHand(p.hand.Ended(n.clock(), r))
}

// kept caches and announces what this node made, if others may use it.
func (n *node) kept(b *build, s steal.Step, entry *action.Entry) {
	if !entry.Result.OK() || b.graph.Steps()[s].Sharing != action.Shared {
		return
	}
	n.keep(*entry, nil)
	for i := range entry.Result.Outputs {
		if out := n.w.blob(entry.Result.Outputs[i].Digest); out.has(n) {
			n.provide([]*blob{out})
		}
	}
}

// cancel ends a job wherever it is.
func (j *job) cancel() {
	if j.runs {
		j.cut()
	}
	j.cancelled = true
	if j.turn != nil {
		j.in.Leave(j.turn)
		j.turn = nil
		j.p.n.serve()
	}
}

// cut tells that what runs is lost.
func (j *job) cut() {
	j.unlist()
	j.p.n.w.tell(j.of(trace.RunCut))
}

func (j *job) unlist() {
	j.runs = false
	n := j.p.n
	n.running = slices.DeleteFunc(n.running, func(o *job) bool { return o == j })
	n.host.ended(j)
}

func placesOf(ids []peer.ID) []int {
	places := make([]int, len(ids))
	for i, id := range ids {
		places[i] = placeOf(id)
	}
	return places
}
