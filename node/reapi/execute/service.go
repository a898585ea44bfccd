// Package execute runs actions for clients of the Remote Execution API: its
// services Execution and Operations. Each action becomes a step of a build of this
// node, one for all actions of a client's invocation, and what came of it is told in
// the client's names. Start reading at Service.Execute, then at Service.run.
package execute

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/queue"
	"github.com/buildnet/buildnet/node/reapi/caller"
	"github.com/buildnet/buildnet/node/reapi/fault"
	"github.com/buildnet/buildnet/node/reapi/invocations"
	"github.com/buildnet/buildnet/node/reapi/platform"
	"github.com/buildnet/buildnet/node/reapi/results"
	"github.com/buildnet/buildnet/node/reapi/room"
	"github.com/buildnet/buildnet/node/reapi/translate"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/costs"
	"github.com/buildnet/buildnet/store/digest"
)

// maxPreparing actions are read and translated at once: it is work for the
// processor, and for the disk.
const maxPreparing = 16

// Blobs are the own store under native and foreign names.
type Blobs interface {
	store.Blobs
	Native(ctx context.Context, d digest.Digest) (digest.Digest, error)
	Name(ctx context.Context, native digest.Digest, fn digest.Function) (digest.Digest, error)
}

// Trees translates directories: see translate.Translator.
type Trees interface {
	Root(ctx context.Context, root digest.Digest) (native digest.Digest, missing []digest.Digest, err error)
	HeldRoot(ctx context.Context, root digest.Digest, hold func(...digest.Digest)) (native digest.Digest, missing []digest.Digest, err error)
	Tree(ctx context.Context, native digest.Digest, fn digest.Function) (translate.Output, error)
}

// Fetcher brings native blobs here: see dht.DHT.
type Fetcher interface {
	Fetch(ctx context.Context, ds []digest.Digest, hints []peer.ID) (int64, error)
	FetchTree(ctx context.Context, root digest.Digest, hints []peer.ID, hold func(...digest.Digest)) (int64, error)
}

// Hearsay exchanges with other members what kinds of actions cost.
type Hearsay interface {
	Tell(kinds []costs.Kind)
}

// Options are what a Service works with. Log may be left out.
type Options struct {
	Self    peer.ID
	Machine platform.Machine
	Blobs   Blobs
	Leases  store.Leaser
	// Inputs leases what actions read until they are done: a part of the store, so that
	// those that wait take no more than that.
	Inputs  store.Leaser
	Trees   Trees
	Results *results.Store
	Fetcher Fetcher
	// Fetch brings blobs here by the names that clients use.
	Fetch func(ctx context.Context, ds []digest.Digest) error
	// Actions keeps what may be told to the mesh: see actions.Cache.
	Actions interface {
		Put(context.Context, action.Entry) error
	}
	Provide   func(...digest.Digest)
	Scheduler queue.Scheduler
	// Settle waits until it is clear who is in the mesh, and returns what a user
	// should know about it, or "".
	Settle  func(ctx context.Context) string
	Members func() []peer.Member
	// Toolchain names the programs that a command may run, and what they are here.
	Toolchain func(ctx context.Context, argv []string) (spec, digest string, err error)
	// Remake makes blobs again that are lost, as far as it is known how, and returns
	// which are here then.
	Remake func(ctx context.Context, ds []digest.Digest) ([]digest.Digest, error)
	// Invocations tell the user what becomes of actions.
	Invocations *invocations.Book
	Costs       *costs.Book
	Hearsay     Hearsay
	Log         *slog.Logger
}

// Service implements repb.ExecutionServer and, as far as clients use it,
// longrunningpb.OperationsServer.
type Service struct {
	repb.UnimplementedExecutionServer
	longrunningpb.UnimplementedOperationsServer

	opts      Options
	preparing chan struct{}
	// life ends with Run; every operation ends with it.
	life context.Context
	end  context.CancelFunc

	mu         sync.Mutex
	closed     bool
	operations map[string]*operation
	shared     map[sharing]*operation // those that go on
	going      int
	done       []done              // in the order of their ends
	doneBytes  int                 // of their responses
	visits     map[visitKey]*visit // that take steps
	open       map[*visit]bool     // and those that end
	running    sync.WaitGroup      // operations; none begins once closed
	ending     sync.WaitGroup      // visits
}

// New returns a Service that serves at once, until Run ends.
func New(opts Options) *Service {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{
		opts: opts, preparing: make(chan struct{}, maxPreparing), operations: map[string]*operation{},
		shared: map[sharing]*operation{}, visits: map[visitKey]*visit{}, open: map[*visit]bool{},
	}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

// Register adds both services to r.
func (s *Service) Register(r grpc.ServiceRegistrar) {
	repb.RegisterExecutionServer(r, s)
	longrunningpb.RegisterOperationsServer(r, s)
}

// Run keeps the Service going until ctx ends. Then it ends all operations, writes
// the builds down, and returns when nothing of it is left.
func (s *Service) Run(ctx context.Context) error {
	<-ctx.Done()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.end()
	s.running.Wait()
	s.closeAll()
	s.ending.Wait()
	return nil
}

// Execute implements repb.ExecutionServer.
func (s *Service) Execute(r *repb.ExecuteRequest, stream repb.Execution_ExecuteServer) error {
	ctx := stream.Context()
	if caller.Of(ctx).Role < caller.Builder {
		return fault.Errorf(codes.PermissionDenied, "this client may not execute")
	}
	k, err := results.KeyOf(r.GetInstanceName(), r.GetDigestFunction(), r.GetActionDigest())
	if err != nil {
		return fault.Status(err)
	}
	w := results.Inlining{Stdout: r.GetInlineStdout(), Stderr: r.GetInlineStderr(), Files: r.GetInlineOutputFiles()}
	// Of an action that cannot be read the operation says so.
	a, err := s.action(ctx, k.Action)
	alone := err == nil && a.GetDoNotCache()
	o, begun, life, err := s.join(k, r.GetSkipCacheLookup(), alone, w)
	if err != nil {
		return err
	}
	if begun {
		said := caller.Metadata(ctx)
		go func() {
			defer s.running.Done()
			defer o.cancel()
			life := room.From(life, ctx)
			response, err := s.held(life, o, a, func() (*repb.ExecuteResponse, error) {
				return s.run(life, o, said, r.GetExecutionPolicy().GetPriority())
			})
			if err != nil {
				if life.Err() != nil && errors.Is(err, context.Canceled) {
					err = fault.Errorf(codes.Canceled, "nobody waited for it, or it was cancelled")
				}
				response = &repb.ExecuteResponse{Status: fault.Of(err).Proto(), Message: err.Error()}
			}
			s.over(o, proto.Size(response))
			o.finish(response)
		}()
	}
	return s.follow(ctx, o, w, stream.Send)
}

// held calls run when there is room for what the action takes until it is over: its
// command, in the words of the client and in ours. What cannot be read takes nothing.
func (s *Service) held(ctx context.Context, o *operation, a *repb.Action, run func() (*repb.ExecuteResponse, error)) (*repb.ExecuteResponse, error) {
	command := min(max(a.GetCommandDigest().GetSizeBytes(), 0), maxCommand)
	release, err := room.Take(ctx, o.key.Action.Size()+2*command)
	if err != nil {
		return nil, err
	}
	defer release()
	return run()
}

// WaitExecution implements repb.ExecutionServer.
func (s *Service) WaitExecution(r *repb.WaitExecutionRequest, stream repb.Execution_WaitExecutionServer) error {
	o, err := s.find(r.GetName())
	if err != nil {
		return err
	}
	return s.follow(stream.Context(), o, o.inlining, stream.Send)
}
