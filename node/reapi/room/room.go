// Package room is how the services of the Remote Execution API ask for memory that
// serving a call takes, before they take it: the server, which knows what all calls
// have, gives it or lets them wait. It is pure. Start reading at Take.
package room

import "context"

// Giver gives memory to the calls of one client.
type Giver interface {
	// Take waits until there is room for so many bytes, which are the caller's until
	// it calls release, once. If there is none in time the error is
	// RESOURCE_EXHAUSTED, if ctx ends its own. It may be called concurrently.
	Take(ctx context.Context, bytes int64) (release func(), err error)
}

type key struct{}

// With returns a context of calls for which g gives.
func With(ctx context.Context, g Giver) context.Context { return context.WithValue(ctx, key{}, g) }

// Take is that of the Giver of ctx. Where there is none nobody counts.
func Take(ctx context.Context, bytes int64) (release func(), err error) {
	g, ok := ctx.Value(key{}).(Giver)
	if !ok {
		return func() {}, nil
	}
	return g.Take(ctx, bytes)
}

// From returns ctx with the Giver of a call: what is done for it goes on when it has
// ended.
func From(ctx, call context.Context) context.Context {
	if g, ok := call.Value(key{}).(Giver); ok {
		return With(ctx, g)
	}
	return ctx
}
