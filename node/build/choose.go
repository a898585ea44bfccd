package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/buildnet/buildnet/node/config"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/project"
	"github.com/buildnet/buildnet/node/worktree"
	"github.com/buildnet/buildnet/sched/action"
)

// maxConfig bounds a project's configuration, in bytes.
const maxConfig = 8 << 20

// open finds the tree and reads its configuration's text.
func (r *run) open(ctx context.Context) error {
	if err := r.openTree(); err != nil {
		return fmt.Errorf("%w: %w", ErrRequest, err)
	}
	for _, name := range config.ProjectFiles {
		var err error
		r.source, err = r.tree.ReadFile(ctx, name, maxConfig)
		if err == nil {
			r.configName = name
			return nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: read %s: %w", ErrRequest, name, err)
		}
	}
	return fmt.Errorf("%w: %s: %w", ErrRequest, r.req.Root, config.ErrNoProject)
}

func (r *run) openTree() (err error) {
	if r.req.Files == nil {
		r.tree, err = r.trees.own(r.req.Root)
		return err
	}
	r.tree, err = worktree.Open(r.req.Files, r.trees.kv, r.trees.blobs, r.trees.opts)
	return err
}

// choose makes the plan of the tree as it is and picks the steps that the
// targets need.
func (r *run) choose(ctx context.Context) error {
	var err error
	// A text with faults is planned as well: the plan tells of them together
	// with its own.
	if r.config, err = project.Parse(r.configName, r.source); r.config == nil {
		return fmt.Errorf("%w: %w", ErrRequest, err)
	}
	return r.replan(ctx)
}

func (r *run) replan(ctx context.Context) error {
	var err error
	if r.snapshot, err = r.tree.Scan(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrRequest, err)
	}
	if r.plan, err = r.planOf(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrRequest, err)
	}
	ids, err := r.plan.Select(r.req.Targets)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRequest, err)
	}
	chosen := make(map[action.StepID]bool, len(ids))
	for _, id := range ids {
		chosen[id] = true
	}
	r.selected = r.selected[:0]
	for i := range r.plan.Steps {
		if chosen[r.plan.Steps[i].ID] {
			r.selected = append(r.selected, &r.plan.Steps[i])
		}
	}
	return nil
}

// maxNamed bounds how many files a notice names.
const maxNamed = 5

// sayIgnored names the files of the tree that no step can have.
func (r *run) sayIgnored() {
	ignored := r.snapshot.Ignored()
	if len(ignored) == 0 {
		return
	}
	more := ""
	if n := len(ignored) - maxNamed; n > 0 {
		ignored, more = ignored[:maxNamed], fmt.Sprintf(" and %d more", n)
	}
	r.notice(event.Warning, "no step sees %s%s: rename what not every machine can have, allow reading what you may not read", quotedList(ignored), more)
}

func quotedList(paths []string) string {
	quoted := make([]string, len(paths))
	for i, p := range paths {
		quoted[i] = strconv.Quote(p)
	}
	return strings.Join(quoted, ", ")
}

// planOf lays the configuration over the tree. What an earlier build made is no
// source, also when the configuration does not name it any more, unless there
// is no plan without it.
func (r *run) planOf(ctx context.Context) (*project.Plan, error) {
	made, err := r.tree.Made(ctx)
	if err != nil {
		return nil, err
	}
	var all, sources []project.File
	for _, f := range r.snapshot.Files() {
		all = append(all, project.File{Path: f.Path, Link: f.Link})
		if _, found := slices.BinarySearch(made, f.Path); !found {
			sources = append(sources, all[len(all)-1])
		}
	}
	if plan, err := r.config.Plan(sources); err == nil || len(sources) == len(all) {
		return plan, err
	}
	r.reuses = true
	return r.config.Plan(all)
}

// packages returns the packages that have a selected step, in the plan's order.
func (r *run) packages() []*project.Package {
	wanted := map[string]bool{}
	for _, s := range r.selected {
		wanted[s.Package] = true
	}
	var ps []*project.Package
	for i := range r.plan.Packages {
		if wanted[r.plan.Packages[i].Name] {
			ps = append(ps, &r.plan.Packages[i])
		}
	}
	return ps
}
