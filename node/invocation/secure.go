package invocation

import (
	"context"
	"fmt"
	"slices"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/queue"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store"
)

// newQueue returns the open build of the invocation.
func (v *invocation) newQueue() *queue.Queue {
	return queue.New(v.life, queue.Options{
		Build: v.id, Modes: v.modes, Scheduler: v.s.opts.Scheduler, Settle: v.s.opts.Settle,
		Emit: v.emit, Speed: v.exp.Speed, Led: v.led, Secure: v.secure,
	})
}

func (v *invocation) led(leader peer.ID, epoch uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.leader, v.epoch = leader, epoch
}

// secure brings the outputs of a step into this node's store, where they stay while
// the invocation goes on.
func (v *invocation) secure(ctx context.Context, step action.StepID, d *steal.Done) error {
	res := &d.Entry.Result
	if slices.ContainsFunc(res.Outputs, func(o action.Output) bool { return o.Kind != action.File }) {
		return nil // it is not believed later on
	}
	blobs, _ := res.Blobs()
	v.lease.Hold(blobs...)
	if !v.modes.Local {
		if _, err := v.s.opts.Fetcher.Fetch(ctx, blobs, d.Holders); err != nil {
			return fmt.Errorf("outputs of %s: %w", step, err)
		}
	}
	if _, err := store.Closure(ctx, v.s.opts.Store, res); err != nil {
		return fmt.Errorf("outputs of %s: %w", step, err)
	}
	if !res.OK() {
		return nil
	}
	err := v.keep(ctx, d.Entry, blobs)
	if err == nil {
		err = v.s.opts.Store.Push()
	}
	if err != nil {
		return fmt.Errorf("result of %s: %w", step, err)
	}
	return nil
}
