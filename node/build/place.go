package build

import (
	"context"
	"fmt"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/worktree"
	"github.com/buildnet/buildnet/sched/action"
)

// outputs returns what the selected steps made, in the order of the graph.
func (r *run) outputs() []action.Output {
	var outs []action.Output
	for i := range r.graph.Steps() {
		if res := r.outcomes[r.graph.Steps()[i].ID]; res != nil {
			outs = append(outs, res.Outputs...)
		}
	}
	return outs
}

// place brings the outputs into the tree. Only a whole success makes output
// directories exact and removes what the configuration no longer has.
func (r *run) place(ctx context.Context, success bool) error {
	p := worktree.Placement{Outputs: r.outputs()}
	if success {
		p.Declared = r.declared()
		for _, pkg := range r.packages() {
			p.Dirs = append(p.Dirs, pkg.OutputDirs...)
		}
	}
	report, err := r.tree.Place(ctx, p)
	if err != nil {
		return fmt.Errorf("bring the outputs into the tree: %w", err)
	}
	r.recorder.mark(func(m *event.Marks) *int64 { return &m.PlacedUS })
	for _, path := range report.Modified {
		r.notice(event.Warning, "%s is no output any more and was edited: it stays", path)
	}
	r.tally.Note(func(f *event.BuildFinished) {
		f.Foreign = report.Foreign
		f.Uncached = r.uncached()
	})
	return nil
}

// declared returns every output of the configuration, built now or not. What
// it reads is no leftover either, where it needs what an earlier build made.
func (r *run) declared() []string {
	paths := []string{}
	for i := range r.plan.Steps {
		if r.reuses {
			paths = append(paths, r.plan.Steps[i].Sources...)
		}
	}
	for i := range r.plan.Steps {
		paths = append(paths, r.plan.Steps[i].Outputs...)
	}
	for i := range r.plan.Packages {
		paths = append(paths, r.plan.Packages[i].OutputDirs...)
	}
	return paths
}
