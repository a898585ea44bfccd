package fault_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	epb "google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/buildnet/buildnet/node/reapi/fault"
	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

func TestErrorsHaveTheCodesThatClientsActOn(t *testing.T) {
	for _, c := range []struct {
		err  error
		want codes.Code
	}{
		{nil, codes.OK},
		{names.ErrMalformed, codes.InvalidArgument},
		{digest.ErrMalformed, codes.InvalidArgument},
		{store.ErrMismatch, codes.InvalidArgument},
		{store.ErrNotFound, codes.NotFound},
		{store.ErrFull, codes.ResourceExhausted},
		{errors.Join(store.ErrNotFound, store.ErrFull), codes.ResourceExhausted}, // it could not be brought here
		{context.Canceled, codes.Canceled},
		{context.DeadlineExceeded, codes.DeadlineExceeded},
		{errors.New("a disk broke"), codes.Internal},
		{fault.Errorf(codes.OutOfRange, "offset %d", 3), codes.OutOfRange},
	} {
		wrapped := c.err
		if wrapped != nil {
			wrapped = fmt.Errorf("while testing: %w", c.err)
		}
		if got := status.Code(fault.Status(wrapped)); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}

func TestWantOfRoomSaysWhenToTryAgain(t *testing.T) {
	for _, err := range []error{fault.Status(store.ErrFull), fault.NoRoom(errors.New("no room where it ran"))} {
		s := status.Convert(err)
		if s.Code() != codes.ResourceExhausted || len(s.Details()) != 1 {
			t.Fatalf("%v, details %v", err, s.Details())
		}
		if retry, ok := s.Details()[0].(*epb.RetryInfo); !ok || retry.RetryDelay.AsDuration() <= 0 {
			t.Errorf("detail %v", s.Details()[0])
		}
	}
}

// REAPI v2, Execution.Execute: each violation is MISSING, its subject the name
// of the blob without the instance.
func TestMissingBlobsAreViolations(t *testing.T) {
	sha, blake := digest.Of(digest.SHA256, []byte("a")), digest.Of(digest.BLAKE3, []byte("b"))
	s := status.Convert(fault.Missing([]digest.Digest{sha, blake}))
	if s.Code() != codes.FailedPrecondition || len(s.Details()) != 1 {
		t.Fatalf("status %v", s)
	}
	failure, ok := s.Details()[0].(*epb.PreconditionFailure)
	if !ok || len(failure.Violations) != 2 {
		t.Fatalf("details %v", s.Details())
	}
	for i, want := range []string{"blobs/" + sha.Hex() + "/1", "blobs/blake3/" + blake.Hex() + "/1"} {
		if v := failure.Violations[i]; v.Type != "MISSING" || v.Subject != want {
			t.Errorf("violation %v, want %s", v, want)
		}
	}
}
