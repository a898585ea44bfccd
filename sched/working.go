package sched

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store/digest"
)

type jobKey struct {
	step   steal.Step
	action digest.Digest
}

// job is an assignment while it is prepared or run.
type job struct {
	Job
	key      jobKey
	ctx      context.Context
	cancel   context.CancelFunc
	fetched  time.Duration
	prepared time.Time
	// percent is how much of it is done, plus one; 0 before it says so.
	percent atomic.Int32
	told    int32 // of that, owned by run
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
		for key := range p.jobs {
			p.drop(key)
		}
		p.hand = nil
	}
}

func (p *party) drop(key jobKey) {
	if j, ok := p.jobs[key]; ok {
		j.cancel()
		delete(p.jobs, key)
	}
}

// ask finds out which toolchains are here. Only the last answer counts.
func (p *party) ask(specs []steal.Spec) {
	p.probe++
	number := p.probe
	p.work.Go(func() {
		digests := make([]string, len(specs))
		for i, s := range specs {
			digests[i] = p.s.opts.Toolchains(p.ctx, s)
		}
		p.box.post(func() {
			if p.hand != nil && number == p.probe {
				p.doHand(p.hand.Probed(time.Now(), digests))
			}
		})
	})
}

func (p *party) prepare(a steal.Assign) {
	key := jobKey{a.Step, a.Action}
	p.drop(key)
	j := &job{key: key, Job: Job{
		Build: p.build, Step: a.Name, Action: a.Action, Holders: a.Holders, Own: p.origin.step(a),
		Alone: p.origin != nil && p.origin.alone, Foreign: p.whose() == steal.Theirs, Forget: p.forget,
		Messages: unpack(a.Messages),
	}}
	j.Progress = func(percent int) { j.percent.Store(int32(min(max(percent, 0), 100)) + 1) }
	j.ctx, j.cancel = context.WithCancel(p.ctx)
	p.jobs[key] = j
	var inputs map[action.StepID]*action.Result
	check := j.Own != nil && p.s.guarded(j.Own)
	if check {
		inputs = p.origin.machine.Inputs(a.Step)
	}
	p.work.Go(func() {
		begun := time.Now()
		if check && !p.s.makes(j.ctx, j.Own, inputs, a.Action) {
			j.Own = nil
		}
		failure := p.s.opts.Runner.Prepare(j.ctx, j.Job)
		fetched := time.Since(begun)
		p.mine(j, func(h *steal.Hand) steal.HandOutput {
			j.fetched, j.prepared, j.Messages = fetched, time.Now(), nil
			if failure != nil {
				p.drop(key)
			}
			return h.Prepared(time.Now(), key.step, key.action, failure)
		})
	})
}

// lookEvery is how often it is looked how far the jobs are.
const lookEvery = 250 * time.Millisecond

// look tells the Hand how far jobs are, where they have said something new. A
// command that prints waits for nobody.
func (p *party) look() {
	now := time.Now()
	if p.hand == nil || now.Sub(p.looked) < lookEvery {
		return
	}
	p.looked = now
	for key, j := range p.jobs {
		if percent := j.percent.Load(); percent != j.told && p.hand != nil {
			j.told = percent
			p.doHand(p.hand.Progress(now, key.step, key.action, int(percent)-1))
		}
	}
}

// stated completes what the Hand says of this worker by what it does not know.
func (p *party) stated(s steal.Status) steal.Status {
	if p.s.opts.InUse != nil {
		s.Memory = p.s.opts.InUse()
	}
	s.Share = float64(p.s.slots.lends()) / float64(max(p.s.opts.Slots, 1))
	return s
}

// guarded reports whether a step has more of this node's rights than what any
// member may have run here.
func (s *Service) guarded(step *action.Step) bool {
	_, free := step.Property(action.PropertySandbox)
	return free || s.opts.OwnBuildsOnly
}

// makes reports whether a is what step and the results below it come to. Its
// sources are this node's then, whatever its leader says.
func (s *Service) makes(ctx context.Context, step *action.Step, inputs map[action.StepID]*action.Result, a digest.Digest) bool {
	made, err := action.Assemble(ctx, step, inputs, newDirectories(s, s.opts.Self).from(nil))
	return err == nil && made.Action == a
}

// mine tells the Hand about a job, if it is still in its hands.
func (p *party) mine(j *job, f func(*steal.Hand) steal.HandOutput) {
	p.box.post(func() {
		if p.hand != nil && p.jobs[j.key] == j {
			p.doHand(f(p.hand))
		}
	})
}

// execute runs a prepared job as soon as the node has a slot.
func (p *party) execute(key jobKey) {
	j, ok := p.jobs[key]
	if !ok {
		return
	}
	prepared, fetched, whose := j.prepared, j.fetched, p.whose()
	p.work.Go(func() {
		slot, err := p.s.slots.acquire(j.ctx, whose, nil)
		if err != nil {
			return // cancelled
		}
		defer p.s.slots.release(slot)
		queued := time.Since(prepared)
		entry, timings, failure := p.s.opts.Runner.Run(j.ctx, j.Job, func() {
			p.mine(j, func(h *steal.Hand) steal.HandOutput { return h.Running(time.Now(), key.step, key.action) })
		})
		timings.Queued, timings.Fetch = timings.Queued+queued, timings.Fetch+fetched
		p.mine(j, func(h *steal.Hand) steal.HandOutput {
			p.drop(key)
			return h.Ended(time.Now(), report(key, entry, timings, failure))
		})
	})
}

func report(key jobKey, e *action.Entry, t steal.Timings, f *steal.Failure) steal.Report {
	r := steal.Report{Step: key.step, Action: key.action, Timings: t, Entry: e}
	switch {
	case f != nil:
		r.Entry, r.Failure = nil, *f
	case e == nil:
		r.Failure = steal.Failure{Kind: steal.Broken, Text: "the runner gave neither a result nor a failure"}
	}
	return r
}
