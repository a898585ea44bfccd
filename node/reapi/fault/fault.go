// Package fault turns errors into the statuses that clients of the Remote
// Execution API act on. It is pure. Start reading at Status.
package fault

import (
	"context"
	"errors"
	"fmt"
	"time"

	epb "google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// retryTime is when a client may ask again after a refusal for want of room.
const retryTime = time.Second

// Of returns the status of err: its own, if there is one in it, or what the
// error means to a client. That of nil is OK. What nobody has foreseen is
// INTERNAL, which clients try again.
func Of(err error) *status.Status {
	var own interface{ GRPCStatus() *status.Status }
	switch {
	case err == nil:
		return status.New(codes.OK, "")
	case errors.As(err, &own):
		return own.GRPCStatus()
	case errors.Is(err, names.ErrMalformed), errors.Is(err, digest.ErrMalformed), errors.Is(err, store.ErrMismatch):
		return status.New(codes.InvalidArgument, err.Error())
	case errors.Is(err, store.ErrFull):
		return noRoom(err)
	case errors.Is(err, store.ErrNotFound):
		return status.New(codes.NotFound, err.Error())
	case errors.Is(err, context.Canceled):
		return status.New(codes.Canceled, err.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return status.New(codes.DeadlineExceeded, err.Error())
	default:
		return status.New(codes.Internal, err.Error())
	}
}

// Status returns err as a handler returns it.
func Status(err error) error { return Of(err).Err() }

// Errorf returns an error of the code.
func Errorf(code codes.Code, format string, args ...any) error {
	return status.Error(code, fmt.Sprintf(format, args...))
}

// NoRoom returns err as a handler returns what fails for want of room: not UNAVAILABLE,
// on which clients try again until they are through.
func NoRoom(err error) error { return noRoom(err).Err() }

func noRoom(err error) *status.Status {
	return with(status.New(codes.ResourceExhausted, err.Error()), &epb.RetryInfo{RetryDelay: durationpb.New(retryTime)})
}

// Missing says that a call needs blobs that nobody has: FAILED_PRECONDITION with
// a violation for each, whereupon clients upload them and call again
// (remote_execution.proto, Execution.Execute).
func Missing(ds []digest.Digest) error {
	detail := &epb.PreconditionFailure{}
	for _, d := range ds {
		detail.Violations = append(detail.Violations, &epb.PreconditionFailure_Violation{Type: "MISSING", Subject: names.Subject(d)})
	}
	return with(status.New(codes.FailedPrecondition, fmt.Sprintf("%d blobs are missing", len(ds))), detail).Err()
}

func with(s *status.Status, detail protoadapt.MessageV1) *status.Status {
	detailed, err := s.WithDetails(detail)
	if err != nil {
		panic(fmt.Sprintf("fault: a detail of our own cannot be encoded: %v", err))
	}
	return detailed
}
