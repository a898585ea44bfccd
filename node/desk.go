package node

import (
	"context"
	"errors"
	"os"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/compile/include/disk"
	"github.com/buildnet/buildnet/node/compile/remote"
	"github.com/buildnet/buildnet/node/config"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/exec"
	"github.com/buildnet/buildnet/node/invocation"
	"github.com/buildnet/buildnet/node/project/ninja/depfile"
	"github.com/buildnet/buildnet/node/toolchain"
	"github.com/buildnet/buildnet/node/worktree"
	"github.com/buildnet/buildnet/sched/action"
)

// maxManifests bounds what is remembered of what compiles read, some 20 KB for
// each command.
const maxManifests = 20_000

// invoke makes the part that takes commands of programs.
func (n *Node) invoke(p *parts, settings config.Settings) *invocation.Service {
	lacking := ""
	if level, missing := p.exec.Isolation(); level != action.Full {
		lacking = missing
	}
	return invocation.New(invocation.Options{
		Self: p.mesh.Self(), UID: os.Geteuid(), Store: p.store, Actions: p.actions, Private: p.private, History: p.history,
		Scheduler: p.sched, Fetcher: p.dht, Members: p.mesh.Members, Profiles: p.profiles, Settle: p.settle, Moved: p.moved,
		Provide: p.dht.Provide, ProvideRoot: p.dht.ProvideRoot, Sign: p.runner.signed, Lacking: lacking, PathIndependent: settings.PathIndependent, Costs: p.costs, Hearsay: p.hearsay, Log: n.cfg.Log,
		Open: func() (invocation.Desk, error) { return n.desk(p, settings) },
	})
}

// desk opens what turns compiles into steps. What actions see of this machine is
// what the executor shows them.
func (n *Node) desk(p *parts, settings config.Settings) (invocation.Desk, error) {
	files, err := worktree.OpenMachine(p.store.CacheKV("machine"), p.store, worktree.Options{Log: n.cfg.Log})
	if err != nil {
		return invocation.Desk{}, err
	}
	bound := append(exec.DefaultToolchainDirs(), settings.ToolchainDirs...)
	shelf := remote.NewShelf(p.store.CacheKV("compile"))
	return invocation.Desk{
		Desk: remote.New(remote.Options{
			Inputs: disk.New(disk.Options{Path: toolchain.DefaultPath, Bound: bound, Depfile: dependencies}),
			Files:  files, Blobs: p.store, Depfile: dependencies, Manifests: shelf, Bound: bound, Path: toolchain.DefaultPath, Trusted: settings.TrustedCommands, Log: n.cfg.Log,
			Current: func(ctx context.Context, step *action.Step) (bool, error) {
				return p.runner.current(ctx, step.Platform)
			},
			Toolchain: func(ctx context.Context, spec, dirs string) (string, error) {
				return p.toolchains.Digest(ctx, toolchain.Spec{Spec: spec, Dirs: dirs})
			},
		}),
		Close: func() error { return errors.Join(files.Save(), shelf.Trim(maxManifests), files.Close()) },
	}, nil
}

func dependencies(text string) ([]string, error) {
	d, err := depfile.Parse(text)
	return d.Ins, err
}

// moved are the bytes that this node has fetched from and served to others.
func (p *parts) moved() (in, out int64) {
	s := p.dht.Stats()
	return s.BytesIn, s.BytesOut
}

// Invoke implements api.Node.
func (o *offer) Invoke(ctx context.Context, r api.InvocationRequest, emit func(event.Event)) error {
	if o.draining.Load() {
		return errStopping()
	}
	o.builds.Add(1)
	defer o.builds.Add(-1)
	return o.parts.invocations.Invoke(ctx, r, emit)
}

func errStopping() error {
	return &api.Error{Kind: api.Unavailable, Message: "the node is stopping", Hint: "start it again with `buildnet node up`"}
}

// RunCommand implements api.Node.
func (o *offer) RunCommand(ctx context.Context, id string, c api.Command) (api.CommandResult, error) {
	return o.parts.invocations.RunCommand(ctx, id, c)
}

// Made implements api.Node.
func (o *offer) Made(ctx context.Context, id, ticket string, m api.Made) (api.Kept, error) {
	return o.parts.invocations.Made(ctx, id, ticket, m)
}

// FailCommand implements api.Node.
func (o *offer) FailCommand(ctx context.Context, id string, f api.CommandFailure) error {
	return o.parts.invocations.FailCommand(ctx, id, f)
}

// GoesOn implements api.Node.
func (o *offer) GoesOn(ctx context.Context, id string) error {
	return o.parts.invocations.GoesOn(ctx, id)
}

// EndInvocation implements api.Node.
func (o *offer) EndInvocation(ctx context.Context, id string, e api.InvocationEnd) error {
	return o.parts.invocations.EndInvocation(ctx, id, e)
}
