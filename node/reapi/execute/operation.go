package execute

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/reapi/fault"
	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/node/reapi/results"
	"github.com/buildnet/buildnet/store"
)

// lonely is how long an operation goes on of which nobody listens: a client whose
// connection broke is back sooner.
const lonely = time.Minute

// operation is one execution of a client's action, or more that were asked for
// while it went on.
type operation struct {
	name     string
	key      results.Key
	force    bool
	again    bool             // what it made is lost
	inlining results.Inlining // of who asked first
	// cancel ends it.
	cancel context.CancelFunc
	inputs store.Lease // of what the action reads; owned by run

	mu       sync.Mutex
	stage    repb.ExecutionStage_Value
	partial  *repb.ExecutedActionMetadata
	response *repb.ExecuteResponse // once it is done
	changed  chan struct{}         // closed at the next change
	watchers int
	alone    *time.Timer // cancels it; nil while somebody listens
}

func newOperation(k results.Key, force bool, w results.Inlining, cancel context.CancelFunc) *operation {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails since Go 1.24
	return &operation{
		name: "operations/" + hex.EncodeToString(raw[:]), key: k, force: force, inlining: w, cancel: cancel,
		stage: repb.ExecutionStage_CACHE_CHECK, partial: &repb.ExecutedActionMetadata{}, changed: make(chan struct{}),
	}
}

// become goes on to a stage. A step may be begun again, but nobody hears that.
func (o *operation) become(stage repb.ExecutionStage_Value, worker peer.ID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.response != nil || stage <= o.stage && o.partial.GetWorker() == string(worker) {
		return
	}
	o.stage, o.partial = max(stage, o.stage), &repb.ExecutedActionMetadata{Worker: string(worker)}
	o.change()
}

// finish is the end of it.
func (o *operation) finish(r *repb.ExecuteResponse) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stage, o.response = repb.ExecutionStage_COMPLETED, r
	if o.alone != nil {
		o.alone.Stop()
	}
	o.change()
}

// change is called with mu held.
func (o *operation) change() {
	close(o.changed)
	o.changed = make(chan struct{})
}

func (o *operation) watch() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.watchers++; o.alone != nil {
		o.alone.Stop()
		o.alone = nil
	}
}

func (o *operation) unwatch() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.watchers--; o.watchers == 0 && o.response == nil {
		o.alone = time.AfterFunc(lonely, o.cancel)
	}
}

// now is the operation as it is, and what is closed when it is so no more.
func (o *operation) now() (m *longrunningpb.Operation, response *repb.ExecuteResponse, changed <-chan struct{}, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	metadata, err := anypb.New(&repb.ExecuteOperationMetadata{
		Stage: o.stage, ActionDigest: names.Message(o.key.Action), DigestFunction: names.Value(o.key.Action.Function()), PartialExecutionMetadata: o.partial,
	})
	if err != nil {
		return nil, nil, nil, err
	}
	return &longrunningpb.Operation{Name: o.name, Metadata: metadata, Done: o.response != nil}, o.response, o.changed, nil
}

// message is the operation as one client gets it.
func (s *Service) message(ctx context.Context, o *operation, w results.Inlining) (*longrunningpb.Operation, <-chan struct{}, error) {
	m, response, changed, err := o.now()
	if err != nil || response == nil {
		return m, changed, err
	}
	if r := response.GetResult(); r != nil {
		inlined := s.opts.Results.Inline(ctx, o.key.Action.Function(), r, w)
		if inlined != r {
			response, _ = proto.Clone(response).(*repb.ExecuteResponse)
			response.Result = inlined
		}
	}
	encoded, err := anypb.New(response)
	if err != nil {
		return nil, nil, err
	}
	m.Result = &longrunningpb.Operation_Response{Response: encoded}
	return m, changed, nil
}

// follow tells a client of an operation until that is done. One whose client has
// gone goes on for a while.
func (s *Service) follow(ctx context.Context, o *operation, w results.Inlining, send func(*longrunningpb.Operation) error) error {
	o.watch()
	defer o.unwatch()
	for {
		m, changed, err := s.message(ctx, o, w)
		if err != nil {
			return fault.Status(err)
		}
		if err := send(m); err != nil || m.GetDone() {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fault.Status(ctx.Err())
		case <-s.life.Done():
			return fault.Errorf(codes.Unavailable, "this node stops: ask for %s again when it is there, or for the action", o.name)
		}
	}
}
