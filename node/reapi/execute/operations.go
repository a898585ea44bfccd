package execute

import (
	"context"
	"time"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/buildnet/buildnet/node/reapi/fault"
	"github.com/buildnet/buildnet/node/reapi/results"
)

const (
	// maxOperations may go on at once: Bazel's largest --jobs times some clients.
	maxOperations = 20_000
	// maxDone operations are remembered, for clients that come back to them, each
	// for doneTime, and of what came of them maxDoneBytes, encoded: results of 4 KiB
	// on average, where most have a few hundred bytes.
	maxDone      = 2_000
	maxDoneBytes = 8 << 20
	doneTime     = 10 * time.Minute
)

// sharing is what two requests have in common that share an operation.
type sharing struct {
	key   results.Key
	force bool
}

type done struct {
	name string
	size int // of the response, in bytes
	at   time.Time
}

// join returns the operation of an action that is to be executed, and whether it
// has been begun by this call. alone operations are for one client.
func (s *Service) join(k results.Key, force, alone bool, w results.Inlining) (o *operation, begun bool, life context.Context, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.shared[sharing{k, force}]; o != nil && !alone {
		return o, false, nil, nil
	}
	switch {
	case s.closed:
		return nil, false, nil, fault.Errorf(codes.Unavailable, "this node stops")
	case s.going >= maxOperations:
		return nil, false, nil, fault.Errorf(codes.ResourceExhausted, "%d actions are executed for clients already: ask again later", s.going)
	}
	life, cancel := context.WithCancel(s.life)
	o = newOperation(k, force, w, cancel)
	s.operations[o.name] = o
	if !alone {
		s.shared[sharing{k, force}] = o
	}
	s.going++
	s.running.Add(1)
	return o, true, life, nil
}

// over forgets an operation that is done, after a while. Its response has so many bytes.
func (s *Service) over(o *operation, size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.going--
	if at := (sharing{o.key, o.force}); s.shared[at] == o {
		delete(s.shared, at)
	}
	now := time.Now()
	s.done = append(s.done, done{o.name, size, now})
	s.doneBytes += size
	for len(s.done) > 1 && (len(s.done) > maxDone || s.doneBytes > maxDoneBytes || now.Sub(s.done[0].at) > doneTime) {
		delete(s.operations, s.done[0].name)
		s.doneBytes -= s.done[0].size
		s.done = s.done[1:]
	}
}

func (s *Service) find(name string) (*operation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.operations[name]; o != nil {
		return o, nil
	}
	return nil, fault.Errorf(codes.NotFound, "no operation %q is known: execute the action again", name)
}

// GetOperation implements longrunningpb.OperationsServer.
func (s *Service) GetOperation(ctx context.Context, r *longrunningpb.GetOperationRequest) (*longrunningpb.Operation, error) {
	o, err := s.find(r.GetName())
	if err != nil {
		return nil, err
	}
	m, _, err := s.message(ctx, o, o.inlining)
	return m, fault.Status(err)
}

// CancelOperation implements longrunningpb.OperationsServer: for all who wait for it.
func (s *Service) CancelOperation(_ context.Context, r *longrunningpb.CancelOperationRequest) (*emptypb.Empty, error) {
	o, err := s.find(r.GetName())
	if err != nil {
		return nil, err
	}
	o.cancel()
	return &emptypb.Empty{}, nil
}
