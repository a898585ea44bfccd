// Package invocation is the runs of programs that have commands of their own, as
// the node of their machine sees them: ninja, make, a compiler behind a shim. Each
// command is looked into, taken from a cache, run by some member, or given back
// for the client to run; an invocation is recorded as any build. Start reading at
// Service.RunCommand, then at invocation.run.
package invocation

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/compile/remote"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/profile"
	"github.com/buildnet/buildnet/sched"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/actions"
	"github.com/buildnet/buildnet/store/costs"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/history"
)

// maxInvocations go on at once: as many as builds that a node leads.
const maxInvocations = 64

// Store is what invocations need of the node's store.
type Store interface {
	store.Blobs
	store.Leaser
	store.Pusher
}

// Scheduler runs what is not known.
type Scheduler interface {
	Open(ctx context.Context, b sched.Build, o sched.Observer) (*sched.Session, error)
	// Occupy waits for a slot of this machine, or for none within another.
	Occupy(ctx context.Context, within *sched.Occupancy) (*sched.Occupancy, error)
}

// Fetcher brings the outputs of results here.
type Fetcher interface {
	Fetch(ctx context.Context, ds []digest.Digest, hints []peer.ID) (int64, error)
}

// Profiles are what the node knows of profiles.
type Profiles interface {
	// Source returns the text of a profile of the node's home, or
	// profile.ErrUnknown.
	Source(name string) ([]byte, error)
	// Used names the profile that this node's builds use, or is "".
	Used() (string, error)
	// Mesh returns the profile that holds for the mesh; nil if there is none.
	Mesh() *profile.Profile
}

// Desk is where compiles go out and come back, and how it is closed: what it
// remembers is kept then.
type Desk struct {
	*remote.Desk
	Close func() error
}

// Options are what a Service works with. Log may be left out.
type Options struct {
	Self peer.ID
	// UID is the user of this process, api.UnknownUID where there are none.
	UID     int
	Store   Store
	Actions *actions.Cache
	// Private has results that no other member is to have.
	Private   *actions.Cache
	History   *history.History
	Scheduler Scheduler
	Fetcher   Fetcher
	Costs     *costs.Book
	Hearsay   Hearsay
	Members   func() []peer.Member
	Profiles  Profiles
	// Settle waits until it is clear who is in the mesh, and returns what a user
	// should know about it, or "".
	Settle func(ctx context.Context) string
	// Moved returns the bytes fetched from and served to peers since the start.
	Moved func() (in, out int64)
	// Provide tells the mesh that this node holds blobs.
	Provide func(...digest.Digest)
	// Sign makes an entry of what this node has made, and ProvideRoot tells the mesh
	// that it holds the result of an action.
	Sign        func(act digest.Digest, r action.Result) (action.Entry, error)
	ProvideRoot func(act digest.Digest)
	// Open opens the desk.
	Open func() (Desk, error)
	// PathIndependent has compiles be the same wherever the root of their invocation
	// lies, as far as they do not depend on that.
	PathIndependent bool
	// Lacking is why this node cannot run steps of compiles itself, or "".
	Lacking string
	Log     *slog.Logger
}

// Service is the invocations of a node. All methods may be called concurrently.
type Service struct {
	opts  Options
	desks *desks
	slots *slots

	mu      sync.Mutex
	running map[string]*invocation
	directs map[string]*direct // by ticket
}

var _ api.Invocations = (*Service)(nil)

// New returns a Service.
func New(opts Options) *Service {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{
		opts: opts, desks: newDesks(opts.Open, opts.Store, opts.Log), slots: &slots{take: opts.Scheduler.Occupy, held: map[int][]*sched.Occupancy{}},
		running: map[string]*invocation{}, directs: map[string]*direct{},
	}
}

// Run keeps the desk until ctx ends, and what it has learned then. No invocation
// may go on by then.
func (s *Service) Run(ctx context.Context) error {
	s.desks.run(ctx)
	return nil
}

// Invoke implements api.Invocations.
func (s *Service) Invoke(ctx context.Context, r api.InvocationRequest, emit func(event.Event)) error {
	v := newInvocation(s, r, emit)
	if err := v.choose(); err != nil {
		return err
	}
	if err := s.enter(v); err != nil {
		return err
	}
	defer s.leave(v)
	return v.do(ctx)
}

func (s *Service) enter(v *invocation) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.running) >= maxInvocations {
		return &api.Error{Kind: api.Unavailable, Message: "too many invocations go on", Hint: "wait for one of them to end"}
	}
	s.running[string(v.id)] = v
	return nil
}

func (s *Service) leave(v *invocation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, string(v.id))
}

// Client returns the ID of an invocation that goes on, if id begins one alone, and the
// program of which it is.
func (s *Service) Client(id string) (full, client string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at, v := range s.running {
		if id == "" || !strings.HasPrefix(at, id) {
			continue
		}
		if ok {
			return "", "", false
		}
		full, client, ok = at, v.req.Client, true
	}
	return full, client, ok
}

// GoesOn implements api.Invocations.
func (s *Service) GoesOn(_ context.Context, id string) error {
	_, err := s.find(id)
	return err
}

// RunCommand implements api.Invocations.
func (s *Service) RunCommand(ctx context.Context, id string, c api.Command) (api.CommandResult, error) {
	v, err := s.find(id)
	if err != nil {
		return api.CommandResult{}, err
	}
	return v.command(ctx, c)
}

// FailCommand implements api.Invocations.
func (s *Service) FailCommand(_ context.Context, id string, f api.CommandFailure) error {
	v, err := s.find(id)
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	t := v.here[action.StepID(f.Step)]
	if t == nil {
		return api.Errorf(api.NotFound, "no step %q of invocation %s is run by its client", f.Step, id)
	}
	t.failure = &event.Failure{Command: t.argv(), Dir: t.c.Dir, ExitCode: f.ExitCode, Output: f.Output}
	return nil
}

// EndInvocation implements api.Invocations.
func (s *Service) EndInvocation(ctx context.Context, id string, e api.InvocationEnd) error {
	v, err := s.find(id)
	if err != nil {
		return err
	}
	select {
	case v.end <- e:
		return nil
	case <-v.over:
		return errOver(id)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Service) find(id string) (*invocation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.running[id]; v != nil {
		return v, nil
	}
	return nil, errOver(id)
}

func errOver(id string) error {
	return &api.Error{Kind: api.NotFound, Message: "no invocation " + id + " goes on", Hint: "run the command itself"}
}

// record writes an invocation down. A history that cannot be written fails none.
func (s *Service) record(v *invocation, f event.BuildFinished) {
	summary, err := json.Marshal(f)
	if err == nil {
		err = s.opts.History.Put(history.Record{ID: string(v.id), Started: v.started, Root: v.req.Root, Summary: summary, Events: v.told.All(f)})
	}
	if err != nil {
		s.opts.Log.Warn("invocation is missing in the history", "build", v.id, "error", err)
	}
}

// alive are the members that answer, this node included.
func (s *Service) alive() (ms []peer.Member) {
	for _, m := range s.opts.Members() {
		if m.State == peer.Alive || m.Self {
			ms = append(ms, m)
		}
	}
	return ms
}

// jobs is how many commands are worth being asked for at once. As many again as run
// at once at least, since what is done around a run takes as long as a short one: a
// command is looked into and claimed, its inputs travel, its outputs come back. With
// others, more: of those that wait the longest is begun first, and one that is asked
// for as the last is waited for by all.
func jobs(members []peer.Member, m steal.Modes) int {
	slots, others := 0, false
	for _, o := range members {
		if o.Self || !m.Local {
			slots += min(max(o.Caps.Slots, 0), steal.MaxWant)
			others = others || !o.Self
		}
	}
	slots = max(slots, 1)
	n := 2*slots + 2
	if others {
		n = max(n, min(waitingPerSlot*slots, maxWaiting))
	}
	n = min(n, api.MaxConns/2) // each has a connection
	if m.Jobs > 0 {
		n = min(n, m.Jobs)
	}
	return n
}

const (
	// waitingPerSlot is how many commands there are to choose from for each slot of a
	// small mesh: together they take longer than one of the longest of a project.
	waitingPerSlot = 16
	// maxWaiting bounds them where they are more than twice the slots: programs that
	// nobody intercepts run on this machine, as many at once as there are jobs.
	maxWaiting = 64
)

// endTime bounds what an invocation does after its end.
const endTime = 10 * time.Second
