package invocation

import (
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store/costs"
)

// expect sets what a run of a step is expected to take: by what is known of it,
// else by its rule. Memory decides where it may run at all: there nobody else's
// word counts.
func (v *invocation) expect(step *action.Step) {
	kinds := costs.KindsOf(step)
	for _, k := range []costs.Kind{kinds.Step, kinds.Rule} {
		e, known := v.s.opts.Costs.Known(k)
		if !known {
			continue
		}
		own, _ := v.s.opts.Costs.Own(k)
		step.Cost = min(e.Work(), action.MaxCost)
		step.Memory, step.OutputBytes = min(int64(own.Memory), action.MaxHintBytes), min(int64(e.Output), action.MaxHintBytes)
		return
	}
}

// learn keeps what a step took. The executor's word is bounded by what can be seen
// of it here.
func (v *invocation) learn(step *action.Step, d *steal.Done, most time.Duration) {
	res, kinds := &d.Entry.Result, costs.KindsOf(step)
	var bytes int64
	for _, o := range res.Outputs {
		bytes += o.Digest.Size()
	}
	caps := v.capsOf(d.Entry.Executor)
	err := v.s.opts.Costs.Learn(kinds, costs.Run{
		Wall: min(res.Wall, most), CPU: res.CPU, BPU: caps.BPU, Share: caps.Share(), Memory: res.MaxRSS, Bytes: bytes, OK: res.OK(),
	}, time.Now())
	if err != nil {
		v.s.opts.Log.Debug("what a step took is not kept", "step", step.ID, "error", err)
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.learned = append(v.learned, kinds.Step, kinds.Rule)
}

// capsOf returns what a member can do; of one that is not known, what is usual.
func (v *invocation) capsOf(id peer.ID) peer.Capabilities {
	for _, m := range v.s.opts.Members() {
		if m.ID == id && m.Caps.BPU > 0 {
			return m.Caps
		}
	}
	return peer.Capabilities{BPU: 1, Cores: 1, Slots: 1}
}

// tellCosts keeps what was learned, and has others told.
func (v *invocation) tellCosts() {
	v.mu.Lock()
	learned := v.learned
	v.mu.Unlock()
	if len(learned) == 0 {
		return
	}
	if err := v.s.opts.Costs.Flush(); err != nil {
		v.s.opts.Log.Debug("what steps took is not kept", "build", v.id, "error", err)
	}
	if !v.modes.Local {
		v.s.opts.Hearsay.Tell(learned)
	}
}
