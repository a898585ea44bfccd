// Package build is one build of one working tree, as its initiator sees it:
// from the configuration to the files in place. It hashes what changed, takes
// from the node's own cache what it knows, gives the rest to the scheduler,
// and tells what happens as events. Start reading at Builder.Build.
package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/experience"
	"github.com/buildnet/buildnet/node/toolchain"
	"github.com/buildnet/buildnet/node/worktree"
	"github.com/buildnet/buildnet/sched"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/actions"
	"github.com/buildnet/buildnet/store/costs"
	"github.com/buildnet/buildnet/store/dead"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/history"
)

// ErrRequest is matched by what is wrong with a request or the project's
// configuration: nothing was built.
var ErrRequest = errors.New("cannot build")

// Store is what a build needs of the node's store.
type Store interface {
	store.Blobs
	store.Leaser
	store.Pusher
}

// Toolchains says what the programs of this machine are.
type Toolchains interface {
	// Digest returns the digest of what the spec names, in its text form.
	Digest(ctx context.Context, s toolchain.Spec) (string, error)
	// Fresh reports whether the spec's last digest still holds, by stat alone.
	Fresh(s toolchain.Spec, digest string) bool
}

// Scheduler runs what is not known.
type Scheduler interface {
	Build(ctx context.Context, b sched.Build, o sched.Observer) error
}

// Fetcher brings the outputs of results here.
type Fetcher interface {
	Fetch(ctx context.Context, ds []digest.Digest, hints []peer.ID) (int64, error)
	FetchTree(ctx context.Context, root digest.Digest, hints []peer.ID, hold func(...digest.Digest)) (int64, error)
}

// Hearsay exchanges with other members what kinds of actions cost.
type Hearsay interface {
	// Ask brings into the book of costs what members know. It returns when that
	// is done, or ctx has ended.
	Ask(ctx context.Context, kinds []costs.Kind)
	// Tell has others told what the book knows. It does not wait.
	Tell(kinds []costs.Kind)
}

// Options are what a Builder works with.
type Options struct {
	Self  peer.ID
	Store Store
	// State keeps what is remembered of working trees between builds.
	State   store.KV
	Watcher *worktree.Watcher
	Actions *actions.Cache
	// Private has results that no other member is to have; nil keeps none.
	Private *actions.Cache
	// Drop takes blobs out of the store, but for those that are leased; nil
	// keeps all.
	Drop       func(context.Context, ...digest.Digest) error
	History    *history.History
	Dead       *dead.Letters
	Costs      *costs.Book
	Hearsay    Hearsay
	Toolchains Toolchains
	Scheduler  Scheduler
	Fetcher    Fetcher
	Members    func() []peer.Member
	Profiles   Profiles // nil knows none
	// Estimate returns the round trip between two members, 0 if it is not known.
	Estimate func(a, b peer.ID) time.Duration
	// Unfinished keeps the logs of builds until they end.
	Unfinished store.KV
	// Network is how members follow builds; nil if nobody does.
	Network peer.Network
	// Settle waits until it is clear who is in the mesh, and returns what a user
	// should know about it, or "".
	Settle func(ctx context.Context) string
	// Moved returns the bytes fetched from and served to peers since the start.
	Moved func() (in, out int64)
	// KeepBytes bounds what this node keeps of the builds of others, as their heir;
	// 0 is the default. StoreBytes bounds the Store, of which that is a quarter at
	// most; 0 is not known.
	KeepBytes, StoreBytes int64
	// Provide tells the mesh that this node holds blobs.
	Provide func(...digest.Digest)
	Log     *slog.Logger
}

// Request is what a user asks for.
type Request struct {
	// ID names the build across the mesh.
	ID steal.BuildID
	// Root is the project's root, an absolute path.
	Root string
	// Targets are packages, steps or output paths; none is everything.
	Targets []string
	Modes   steal.Modes
	Wish    Wish
	// Again is the request in the words of whoever took it, but for its targets and
	// environment: it is kept with steps that are given up.
	Again json.RawMessage
	// User is who sees what is given up.
	User dead.User
	// Env is the user's environment: steps see what pass_env names of it,
	// hooks all of it.
	Env map[string]string
	// Files is the tree at Root with the user's rights; nil is with this
	// process' own.
	Files worktree.Files

	resumes *unfinished // nil for a new build
}

// Builder makes builds. Its methods may be called concurrently.
type Builder struct {
	opts  Options
	queue queue
	trees trees

	followers atomic.Int64
	kept      atomic.Int64 // bytes, for others

	mu    sync.Mutex
	runs  map[*run]struct{}
	shelf []*run // that have ended, the oldest first
}

// New returns a Builder.
func New(opts Options) *Builder {
	if opts.Profiles == nil {
		opts.Profiles = noProfiles{}
	}
	b := &Builder{
		opts: opts, runs: map[*run]struct{}{},
		queue: queue{running: map[string]string{}, changed: make(chan struct{})},
		trees: trees{
			kv: opts.State, blobs: opts.Store, open: map[string]*ownTree{},
			opts: worktree.Options{Watcher: opts.Watcher, Log: opts.Log},
		},
	}
	if opts.Network != nil {
		opts.Network.Handle(AttendProtocol, b.attend)
	}
	return b
}

// Build runs a build to its end and tells of it through emit, which is called
// by one goroutine at a time. The last event is BuildFinished, unless the
// error is an ErrRequest: then there may be no event at all.
//
// Builds of one tree run one after the other.
func (b *Builder) Build(ctx context.Context, r Request, emit func(event.Event)) error {
	var mu sync.Mutex
	say := func(e event.Event) {
		mu.Lock()
		defer mu.Unlock()
		emit(e)
	}
	started := time.Now()
	leave, err := b.queue.enter(ctx, r.Root, string(r.ID), say)
	if err != nil {
		return b.unstarted(err, r, say)
	}
	defer leave()
	b.trees.trim(b.queue.busy)
	run := &run{
		opts: b.opts, req: r, trees: &b.trees, emit: say, started: started, lease: b.opts.Store.Lease(),
		exp: b.experience(),
	}
	defer run.letGo(ctx) // when nothing of it is held any more
	defer run.lease.Release()
	b.enter(run)
	defer b.leave(run, true)
	return run.do(ctx)
}

func (b *Builder) experience() *experience.Build {
	return experience.New(b.opts.Costs, b.opts.Members, b.opts.Log)
}

// Corrupt tells the running builds that a peer answered with other bytes than
// asked for. It does not wait for them.
func (b *Builder) Corrupt(id peer.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for run := range b.runs {
		run.blame.add(id)
	}
}

// unstarted tells of a build that was cancelled before its turn came.
func (b *Builder) unstarted(err error, r Request, emit func(event.Event)) error {
	emit(event.BuildFinished{Build: string(r.ID), Cancelled: true, Error: err.Error(), Tier: event.InstantSkip, ByPeer: map[string]int{}})
	return fmt.Errorf("build %s: %w", r.Root, err)
}

// graphOf makes the graph of steps, which are in topological order.
func graphOf(steps []action.Step) (*action.Graph, error) {
	g, err := action.NewGraph(steps)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	return g, nil
}
