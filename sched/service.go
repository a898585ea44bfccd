// Package sched drives the machines of sched/steal: it gives them time,
// streams, bytes and somebody who executes. One Service a node does all that
// its node is in any build: leader, standby, worker and initiator. Each machine
// has one goroutine that owns it; everything else posts to it. Start reading
// at Service.Build, then at party and leading.
package sched

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/registry"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store/digest"
)

// Protocol is the stream protocol of this package.
const Protocol = "/buildnet/sched/1"

// Limits of a Service.
const (
	// maxBuilds are taken part in at once.
	maxBuilds = 256
	// maxLed are led at once.
	maxLed = 64
	// maxOwn builds that were asked for here go beyond both limits: the builds
	// of others, or one member that begins many, do not keep a node from its own.
	maxOwn = 64
	// maxStreams one peer may have open here: one for each build that it leads.
	maxStreams = maxLed
)

// ErrClosed says that the Service does not run any more.
var ErrClosed = errors.New("this node stops")

// Blobs is the own store. Get refuses a blob of more than limit bytes. All
// methods may be called concurrently.
type Blobs interface {
	Get(ctx context.Context, d digest.Digest, limit int64) ([]byte, error)
	Put(ctx context.Context, blobs ...action.Blob) error
}

// Results are the results and claims of the mesh: see registry.Registry.
type Results interface {
	Lookup(ctx context.Context, s registry.Scope, actions []digest.Digest) map[digest.Digest]registry.Found
	Claim(ctx context.Context, s registry.Scope, a digest.Digest, e registry.Early) (f registry.Found, known bool, err error)
	// Owners are those who are asked, best first; this node may be one.
	Owners(s registry.Scope, a digest.Digest) []peer.ID
	Release(s registry.Scope, a digest.Digest)
	Publish(ctx context.Context, s registry.Scope, e action.Entry, holders []peer.ID) error
}

// Job is one step in this node's hands.
type Job struct {
	Build  steal.BuildID
	Step   action.StepID
	Action digest.Digest
	// Holders are said to have the inputs.
	Holders []peer.ID
	// Messages came with the step, and are what Action is made of as far as its
	// leader made it. Prepare keeps them; Run is not given them again.
	Messages []action.Blob
	// Own is the step as this node asked for it; nil in the build of another,
	// and where Action is not what a step comes to that runs without isolation.
	// Otherwise what Action says is the leader's word, not this node's.
	Own *action.Step
	// Alone jobs take nothing from other members.
	Alone bool
	// Forget jobs leave no result in the own cache, and nobody is told of their
	// outputs.
	Forget bool
	// Foreign jobs are of a build that was asked for elsewhere.
	Foreign bool
	// Progress takes what the command says of its progress while it runs, in per
	// cent. It may be called at any time, and does not wait.
	Progress func(percent int)
}

// Runner executes on this machine. Its methods are called concurrently, and
// return soon when ctx ends: everything of the job is gone then.
type Runner interface {
	// Prepare brings the inputs here. It takes no slot.
	Prepare(ctx context.Context, j Job) *steal.Failure
	// Run executes, keeps the outputs in the own store, and signs. It calls
	// started when the command begins. A failure is one of the machinery; what
	// the command does is in the entry.
	Run(ctx context.Context, j Job, started func()) (*action.Entry, steal.Timings, *steal.Failure)
}

// Options are what a Service needs. Log may be left out.
type Options struct {
	Self    peer.ID
	Network peer.Network
	// Members returns those that this node knows, itself included; Changes a
	// channel that is sent to when they have changed, and a function that ends it.
	Members func() []peer.Member
	Changes func() (<-chan struct{}, func())
	// Estimate returns the round trip between two members, 0 if not known.
	Estimate func(a, b peer.ID) time.Duration
	Blobs    Blobs
	// Fetch brings blobs into the own store, verified; hints may have them.
	Fetch   func(ctx context.Context, ds []digest.Digest, hints []peer.ID) error
	Results Results
	Runner  Runner
	// Toolchains returns the digest of a toolchain in its text form, empty if
	// it is not here.
	Toolchains func(ctx context.Context, s steal.Spec) string
	// Slots is how many actions run at once, of all builds together.
	Slots int
	// BPU is the speed of one slot when all are taken.
	BPU func() float64
	// Memory in bytes that actions have here, of all builds together; 0 is not
	// known.
	Memory   int64
	OS, Arch string
	// Heirs keeps the builds of others that this node may have to go on with;
	// nil keeps none.
	Heirs Heirs
	// Leases keeps at members what the builds need that this node leads; nil leases
	// nothing.
	Leases Leases
	// StatusEvery is how often leaders are told how this worker is; 0 is never.
	StatusEvery time.Duration
	// InUse returns the bytes of memory that this machine has in use, 0 if that is
	// not known; it may be nil.
	InUse func() int64
	// OwnBuildsOnly is for a node whose isolation is not good enough for the
	// results of others: it works for builds that were asked for here.
	OwnBuildsOnly bool
	// Absolute says that this node can run steps with action.RootAbsolute.
	Absolute bool
	Log      *slog.Logger
}

// Service is one node's part in all builds.
type Service struct {
	opts  Options
	slots *slots
	// life ends with Run; everything that was spawned ends with it.
	life context.Context
	end  context.CancelFunc

	mu        sync.Mutex
	closed    bool
	parties   map[steal.BuildID]*party
	led       map[ledKey]*leading
	streams   map[peer.ID]int
	drains    bool
	running   sync.WaitGroup
	inherited map[*inheritance]bool // what this node goes on with
	custodies int
}

// ledKey names a reign: a build may have a leader of an old epoch here for a
// moment beside that of a new one.
type ledKey struct {
	build steal.BuildID
	epoch steal.Epoch
}

// New returns a Service that serves peers and builds at once, until Run ends.
func New(opts Options) *Service {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{
		opts: opts, slots: newSlots(opts.Slots),
		parties: map[steal.BuildID]*party{}, led: map[ledKey]*leading{}, streams: map[peer.ID]int{},
		inherited: map[*inheritance]bool{},
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.running.Go(s.refit)
	opts.Network.Handle(Protocol, s.serve)
	return s
}

// Run keeps the Service going until ctx ends. Then it ends every job and
// returns nil when nothing of it is left.
func (s *Service) Run(ctx context.Context) error {
	<-ctx.Done()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.end()
	s.running.Wait()
	return nil
}

// spawn runs f until it returns; f has to return when s.life ends.
func (s *Service) spawn(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.running.Go(f)
	return true
}

// Drain begins no more jobs, gives back what has not begun, and returns when
// nothing is in this node's hands any more, or ctx has ended.
func (s *Service) Drain(ctx context.Context) error {
	s.mu.Lock()
	s.drains = true
	parties := make([]*party, 0, len(s.parties))
	for _, p := range s.parties {
		parties = append(parties, p)
	}
	s.mu.Unlock()
	for _, p := range parties {
		if err := p.drain(ctx); err != nil {
			return fmt.Errorf("drain build %s: %w", p.build, err)
		}
	}
	return nil
}

func (s *Service) draining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.drains
}

// party returns this node's part in a build, beginning it where there is none
// and this node is in fewer than limit builds.
func (s *Service) party(build steal.BuildID, limit int) (*party, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok := s.parties[build]; ok {
		return p, nil
	}
	switch {
	case s.closed:
		return nil, ErrClosed
	case len(s.parties) >= limit:
		return nil, fmt.Errorf("take part in build %s: this node is in %d builds already; try again later", build, limit)
	}
	p := newParty(s, build)
	s.parties[build] = p
	s.running.Go(p.run)
	return p, nil
}

func (s *Service) forget(p *party) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parties[p.build] == p {
		delete(s.parties, p.build)
	}
}

// blob reads a blob that may have to be fetched first.
func (s *Service) blob(ctx context.Context, d digest.Digest, limit int64, hints []peer.ID) ([]byte, error) {
	if b, err := s.opts.Blobs.Get(ctx, d, limit); err == nil {
		return b, nil
	}
	return s.brought(ctx, d, limit, hints)
}

// brought is blob of one that is not here.
func (s *Service) brought(ctx context.Context, d digest.Digest, limit int64, hints []peer.ID) ([]byte, error) {
	if d.Size() > limit {
		return nil, fmt.Errorf("fetch %v: larger than the limit of %d bytes: %w", d, limit, action.ErrInvalid)
	}
	if err := s.opts.Fetch(ctx, []digest.Digest{d}, hints); err != nil {
		return nil, fmt.Errorf("fetch %v: %w", d, err)
	}
	return s.opts.Blobs.Get(ctx, d, limit)
}

// alive returns the members that are believed to live.
func (s *Service) alive() []peer.Member {
	var ms []peer.Member
	for _, m := range s.opts.Members() {
		if m.State == peer.Alive {
			ms = append(ms, m)
		}
	}
	return ms
}

// mailbox is how others reach a goroutine that owns a machine. What is posted
// is done before the owner looks at its end: nothing that was accepted is lost.
type mailbox struct {
	in   chan func()
	done chan struct{}
}

func newMailbox() mailbox { return mailbox{in: make(chan func()), done: make(chan struct{})} }

// post waits until the owner takes f; false says that it is gone.
func (m mailbox) post(f func()) bool {
	select {
	case m.in <- f:
		return true
	case <-m.done:
		return false
	}
}
