package build

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store"
)

// known takes from the node's own action cache what it has with all outputs,
// and tells of these steps. The others are behind a step that is not known,
// not known themselves, or to be executed again.
func (r *run) known(ctx context.Context) ([]steal.Given, error) {
	if r.req.Modes.Force {
		return nil, nil
	}
	var given []steal.Given
	var entries []*action.Entry
	for i := range r.graph.Steps() {
		s := &r.graph.Steps()[i]
		entry, err := r.lookUp(ctx, s)
		if err != nil {
			return nil, err
		}
		if entry == nil {
			continue
		}
		r.outcomes[s.ID] = &entry.Result
		given = append(given, steal.Given{Step: steal.Step(i), Result: &entry.Result, Secured: true})
		entries = append(entries, entry)
	}
	return given, r.tellKnown(ctx, given, entries)
}

// lookUp returns the entry of a step whose dependencies are known, or nil.
func (r *run) lookUp(ctx context.Context, s *action.Step) (*action.Entry, error) {
	if s.Sharing == action.Unshared {
		return nil, nil
	}
	for _, d := range s.Deps {
		if r.outcomes[d.Step] == nil {
			return nil, nil
		}
	}
	a, err := action.Name(ctx, s, r.outcomes, r.dirs)
	if err != nil {
		return nil, fmt.Errorf("step %s: %w", s.ID, err)
	}
	entry, err := r.entryOf(ctx, a)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("step %s: %w", s.ID, err)
	}
	if fits := s.Fits(&entry.Result) == nil; !fits {
		return nil, nil // a member gave it to this node's cache
	}
	blobs, err := r.closureOf(ctx, &entry)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil // its outputs were collected: a member may have them
	}
	if err != nil {
		return nil, fmt.Errorf("step %s: %w", s.ID, err)
	}
	r.lease.Hold(blobs...)
	return &entry, nil
}

// tellKnown tells that steps need no execution: they are skipped where all of
// their outputs are in place.
func (r *run) tellKnown(ctx context.Context, given []steal.Given, entries []*action.Entry) error {
	var outs []action.Output
	for _, e := range entries {
		outs = append(outs, e.Result.Outputs...)
	}
	there, err := r.tree.InPlace(ctx, outs)
	if err != nil {
		return err
	}
	for i, e := range entries {
		status := event.Skipped
		own := there[:len(e.Result.Outputs)]
		there = there[len(own):]
		if slices.Contains(own, false) {
			status = event.CachedLocal
		}
		step := r.graph.Steps()[given[i].Step].ID
		r.tally.Step(event.StepFinished{
			Step: string(step), Digest: e.Action.String(), Peer: string(e.Executor), Status: status,
		}, false, e.Result.Wall)
	}
	return nil
}
