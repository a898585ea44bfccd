package build

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/project"
	"github.com/buildnet/buildnet/node/worktree"
)

// Names of hooks.
const (
	preBuild  = "pre_build"
	postBuild = "post_build"
)

// errHook says that a hook failed; what it printed was told as an event.
var errHook = errors.New("hook failed")

// preBuild runs the pre_build hooks of the packages that are built, and looks
// at the tree again, since hooks may make sources.
func (r *run) preBuild(ctx context.Context) error {
	ran := false
	for _, p := range r.packages() {
		if p.PreBuild == "" {
			continue
		}
		if err := r.hook(ctx, p, preBuild, p.PreBuild); err != nil {
			return err
		}
		ran = true
	}
	if !ran {
		return nil
	}
	before := len(r.selected)
	if err := r.replan(ctx); err != nil {
		return fmt.Errorf("after the %s hooks: %w", preBuild, err)
	}
	r.tally.Resize(before, len(r.selected))
	return nil
}

// postBuild runs the post_build hooks of the packages that were built.
func (r *run) postBuild(ctx context.Context) error {
	for _, p := range r.packages() {
		if p.PostBuild == "" {
			continue
		}
		if err := r.hook(ctx, p, postBuild, p.PostBuild); err != nil {
			return err
		}
	}
	return nil
}

// hook runs one hook with the user's rights and environment, in the directory
// of its package.
func (r *run) hook(ctx context.Context, p *project.Package, name, command string) error {
	build := string(r.req.ID)
	r.emit(event.HookStarted{Build: build, Package: p.Name, Hook: name})
	res, err := r.tree.RunHook(ctx, worktree.Hook{Command: command, Dir: p.Path, Env: r.hookEnv(p)})
	output := res.Output
	if res.Lost > 0 {
		output += fmt.Sprintf("\n[%d more bytes]\n", res.Lost)
	}
	if err != nil {
		res.ExitCode = -1
	}
	r.emit(event.HookFinished{Build: build, Package: p.Name, Hook: name, ExitCode: res.ExitCode, Output: output})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("%w: %s of package %s: %w", errHook, name, p.Name, err)
	case res.ExitCode != 0:
		return fmt.Errorf("%w: %s of package %s: exit status %d; run it by hand in %s to see why", errHook, name, p.Name, res.ExitCode, filepath.Join(r.req.Root, p.Path))
	default:
		return nil
	}
}

// hookEnv is the user's environment with the package's variables over it.
func (r *run) hookEnv(p *project.Package) []string {
	env := make([]string, 0, len(r.req.Env)+len(p.Env))
	for name, value := range r.req.Env {
		env = append(env, name+"="+value)
	}
	slices.Sort(env)
	for _, e := range p.Env {
		env = append(env, e.Name+"="+e.Value)
	}
	return env
}
