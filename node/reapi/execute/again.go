package execute

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/buildnet/buildnet/node/reapi/caller"
	"github.com/buildnet/buildnet/node/reapi/fault"
	"github.com/buildnet/buildnet/node/reapi/results"
)

// Again executes an action whose outputs are lost, or finds them, so that they are
// here. If inputs are lost as well the error says so, and has Missing.
func (s *Service) Again(ctx context.Context, k results.Key) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return fault.Errorf(codes.Unavailable, "this node stops")
	}
	s.running.Add(1)
	s.mu.Unlock()
	defer s.running.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	o := newOperation(k, false, results.Inlining{}, cancel)
	o.again = true
	r, err := s.run(ctx, o, caller.Metadata(ctx), 0)
	if err != nil {
		return fmt.Errorf("execute %v again: %w", k.Action, err)
	}
	if st := status.FromProto(r.GetStatus()); st.Code() != codes.OK || r.GetResult().GetExitCode() != 0 {
		return fmt.Errorf("execute %v again: exit code %d: %w", k.Action, r.GetResult().GetExitCode(), st.Err())
	}
	return nil
}
