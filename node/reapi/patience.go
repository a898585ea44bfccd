package reapi

import (
	"context"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// maxCalls bounds the calls under way on all connections. One that waits for
	// its client takes a goroutine and up to streamWindow.
	maxCalls = 8 << 10
	// patience is how long a client may take for a message that its call waits
	// for. Calls that wait for the server may take as long as they need.
	patience = time.Minute
)

var errCrowd = status.Error(codes.ResourceExhausted, "too many calls are under way; try again in a moment")

// crowd counts the calls under way. Its zero value is ready.
type crowd struct{ calls atomic.Int64 }

// call is one call, whose context timer ends when its client lets it wait for
// too long.
type call struct {
	context.Context
	timer *time.Timer
}

// Err implements context.Context. gRPC makes the status of the call of it: where
// the client was silent that is DEADLINE_EXCEEDED.
func (c *call) Err() error {
	if err := c.Context.Err(); err == nil {
		return nil
	}
	return context.Cause(c.Context)
}

// Value implements context.Context.
func (c *call) Value(key any) any {
	if key == (callKey{}) {
		return c
	}
	return c.Context.Value(key)
}

type callKey struct{}

// enter returns a context of a new call, or errCrowd. The call waits for its
// first message, and is counted until ctx ends.
func (c *crowd) enter(ctx context.Context) (context.Context, error) {
	if c.calls.Add(1) > maxCalls {
		c.calls.Add(-1)
		return nil, errCrowd
	}
	ctx, end := context.WithCancelCause(ctx)
	one := &call{Context: ctx, timer: time.AfterFunc(patience, func() { end(context.DeadlineExceeded) })}
	context.AfterFunc(ctx, func() {
		one.timer.Stop()
		c.calls.Add(-1)
	})
	return one, nil
}

// unary is a grpc.UnaryServerInterceptor: the only message of the call is here.
func unary(ctx context.Context, q any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	ctx.Value(callKey{}).(*call).timer.Stop()
	return handle(ctx, q)
}

// streaming is a grpc.StreamServerInterceptor.
func streaming(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	return handle(srv, &patient{ServerStream: stream, call: stream.Context().Value(callKey{}).(*call)})
}

// patient is a stream whose client may not let it wait for ever.
type patient struct {
	grpc.ServerStream
	call *call
}

// RecvMsg implements grpc.ServerStream.
func (p *patient) RecvMsg(m any) error {
	p.call.timer.Reset(patience)
	err := p.ServerStream.RecvMsg(m)
	p.call.timer.Stop()
	return err
}
