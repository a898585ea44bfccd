package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/dht"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/exec"
	"github.com/buildnet/buildnet/node/toolchain"
	"github.com/buildnet/buildnet/sched"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/actions"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/disk"
)

// maxMessage bounds an Action and a Command, in bytes.
const maxMessage = 64 << 20

// runner executes actions of builds on this machine: it is the sched.Runner.
type runner struct {
	self       peer.ID
	sign       func([]byte) ([]byte, error)
	store      *disk.Store
	handed     *handed
	dht        *dht.DHT
	exec       Executor
	toolchains *toolchain.Prober
	actions    *actions.Cache
	// solitary reports that no other member is there.
	solitary func() bool
	// reduced says that this node's isolation is for its own commands alone.
	reduced bool
	log     *slog.Logger

	active atomic.Int64
}

var _ sched.Runner = (*runner)(nil)

// Prepare brings the action and all its inputs here. They are held until the
// job's context ends, which it does when the job is over.
func (r *runner) Prepare(ctx context.Context, j sched.Job) *steal.Failure {
	// The build has ingested or made the inputs here, or nobody has them.
	if j.Alone || j.Own != nil && r.solitary() {
		context.AfterFunc(ctx, r.handed.hold(j.Messages))
		return nil
	}
	lease := r.store.Lease()
	context.AfterFunc(ctx, lease.Release)
	for _, m := range j.Messages {
		lease.Hold(m.Digest)
		if err := r.store.Put(ctx, m.Digest, bytes.NewReader(m.Content)); err != nil {
			return failureOf(err)
		}
	}
	if _, err := r.dht.FetchAction(ctx, j.Action, j.Holders, lease.Hold); err != nil {
		return failureOf(err)
	}
	return nil
}

// Run executes a prepared job, keeps its outputs and signs what came of it.
func (r *runner) Run(ctx context.Context, j sched.Job, started func()) (*action.Entry, steal.Timings, *steal.Failure) {
	var t steal.Timings
	task, err := r.task(ctx, j.Action)
	if err != nil {
		return nil, t, failureOf(err)
	}
	if f := r.trust(j, task); f != nil {
		return nil, t, f
	}
	if f := checkToolchain(ctx, task.platform, r.toolchains.Lately); f != nil {
		return nil, t, f
	}
	r.active.Add(1)
	defer r.active.Add(-1)
	began := time.Now()
	res, err := r.exec.Execute(ctx, exec.Request{
		Action: j.Action, Name: string(j.Step), Foreign: j.Foreign, Progress: j.Progress,
	}, started)
	t.Run = time.Since(began)
	if err != nil {
		return nil, t, failureOf(err)
	}
	// A compiler that was replaced while it ran belongs to neither key.
	if f := checkToolchain(ctx, task.platform, r.toolchains.Current); f != nil {
		return nil, t, f
	}
	kept := time.Now()
	entry, err := r.keep(ctx, j, *res, task.cached)
	t.Upload = time.Since(kept)
	if err != nil {
		return nil, t, failureOf(err)
	}
	r.log.Info("executed", "build", j.Build, "step", j.Step, "action", j.Action, "exit", res.ExitCode,
		"isolation", res.Isolation.String(), "run_ms", t.Run.Milliseconds())
	return entry, t, nil
}

// running counts the actions that run now, for any build.
func (r *runner) running() int { return int(r.active.Load()) }

// task is what this node has to know of an action before it runs it.
type task struct {
	command  digest.Digest
	platform *repb.Platform // that package exec is going to heed
	cached   bool
}

func (r *runner) task(ctx context.Context, d digest.Digest) (task, error) {
	var a repb.Action
	if err := r.message(ctx, d, &a); err != nil {
		return task{}, fmt.Errorf("action: %w", err)
	}
	t := task{platform: a.GetPlatform(), cached: !a.GetDoNotCache()}
	var err error
	if t.command, err = action.DigestOf(a.GetCommandDigest()); err != nil {
		return task{}, fmt.Errorf("command of action %v: %w", d, err)
	}
	if t.platform == nil {
		var c repb.Command
		if err := r.message(ctx, t.command, &c); err != nil {
			return task{}, fmt.Errorf("command: %w", err)
		}
		t.platform = c.GetPlatform() //nolint:staticcheck // clients of REAPI 2.1 and before have it here alone
	}
	return t, nil
}

func (r *runner) message(ctx context.Context, d digest.Digest, m proto.Message) error {
	content, err := store.ReadAll(ctx, r.handed, d, maxMessage)
	if err != nil {
		return err
	}
	if err := proto.Unmarshal(content, m); err != nil {
		return fmt.Errorf("decode %v: %w", d, err)
	}
	return nil
}

// trust refuses what a peer may not ask of this node: a command with the node's
// own rights, or one with little less where isolation is reduced. A leader's
// word is not enough that somebody here asked for it.
func (r *runner) trust(j sched.Job, t task) *steal.Failure {
	free := slices.ContainsFunc(t.platform.GetProperties(), func(p *repb.Platform_Property) bool {
		return p.GetName() == action.PropertySandbox
	})
	if !free && !r.reduced || j.Own != nil && asked(j.Own, t.command, free) {
		return nil
	}
	return &steal.Failure{Kind: steal.Broken, Text: "nobody asked for this command on this machine, and it would run there without full isolation"}
}

// asked reports whether command is that of s, with no less isolation.
func asked(s *action.Step, command digest.Digest, free bool) bool {
	own, err := s.Command()
	_, may := s.Property(action.PropertySandbox)
	return err == nil && own.Digest == command && (may || !free)
}

// checkToolchain compares the programs of this machine, as look has them, with those that
// the action's key names.
func checkToolchain(ctx context.Context, p *repb.Platform, look func(context.Context, toolchain.Spec, string) (string, error)) *steal.Failure {
	want, s := toolchainOf(func(yield func(name, value string) bool) {
		for _, prop := range p.GetProperties() {
			if !yield(prop.GetName(), prop.GetValue()) {
				return
			}
		}
	})
	if want == "" {
		return nil
	}
	have, err := look(ctx, s, want)
	if err != nil {
		return &steal.Failure{Kind: steal.WrongToolchain, Text: err.Error()}
	}
	if have != want {
		return &steal.Failure{Kind: steal.WrongToolchain, Text: fmt.Sprintf("toolchain %s is %s here, not %s", s.Spec, have, want)}
	}
	return nil
}

// signed signs a result. While there are others the signature is checked: a node
// whose memory is bad had better not give its results to them.
func (r *runner) signed(act digest.Digest, res action.Result) (action.Entry, error) {
	entry, err := action.SignEntry(act, res, r.self, r.sign)
	if err == nil && !r.solitary() {
		err = entry.Verify()
	}
	return entry, err
}

// current reports whether the programs of this machine are those that a platform
// names.
func (r *runner) current(ctx context.Context, platform []action.Property) (bool, error) {
	want, s := toolchainOf(func(yield func(name, value string) bool) {
		for _, p := range platform {
			if !yield(p.Name, p.Value) {
				return
			}
		}
	})
	have, err := r.toolchains.Current(ctx, s, want)
	return want != "" && have == want, err
}

// toolchainOf is the digest that a platform names, "" if none, and of what it is.
func toolchainOf(platform iter.Seq2[string, string]) (want string, s toolchain.Spec) {
	for name, value := range platform {
		switch name {
		case action.PropertyToolchain:
			want = value
		case action.PropertyToolchainSpec:
			s.Spec = value
		case action.PropertyToolchainDirs:
			s.Dirs = value
		}
	}
	return want, s
}

// keep signs a result, caches it if others may use it, and announces its outputs.
func (r *runner) keep(ctx context.Context, j sched.Job, res action.Result, cached bool) (*action.Entry, error) {
	entry, err := r.signed(j.Action, res)
	if err != nil {
		return nil, err
	}
	blobs, err := store.Closure(ctx, r.store, &res)
	if err != nil {
		return nil, fmt.Errorf("outputs of %s: %w", j.Step, err)
	}
	if j.Forget {
		return &entry, nil // the leader knows where the outputs are
	}
	if cached && res.OK() {
		if err := r.actions.PutOwn(ctx, entry); err != nil {
			return nil, err
		}
		r.dht.ProvideRoot(j.Action)
	}
	r.dht.Provide(blobs...)
	return &entry, nil
}

// failureOf says what an error around an action means to its leader.
func failureOf(err error) *steal.Failure {
	f := &steal.Failure{Kind: steal.Broken, Text: err.Error()}
	switch {
	case errors.Is(err, dht.ErrNoHolder), errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrCorrupt):
		f.Kind = steal.MissingBlob
	case errors.Is(err, store.ErrFull), errors.Is(err, exec.ErrNoSpace):
		f.Kind, f.Text = steal.NoSpace, steal.NoRoom+": "+f.Text
	case errors.Is(err, exec.ErrUnable):
		f.Kind = steal.Unable
	}
	return f
}
