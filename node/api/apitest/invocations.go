package apitest

import (
	"context"
	"errors"
	"net/http"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/event"
)

// InvocationID is the ID of all invocations of a Node.
const InvocationID = "i1"

// Invoke implements api.Invocations: it goes on until it is ended.
func (n *Node) Invoke(ctx context.Context, r api.InvocationRequest, emit func(event.Event)) error {
	n.note(r)
	if n.Err != nil {
		return n.Err
	}
	emit(event.BuildStarted{Build: InvocationID, Client: r.Client, Root: r.Root, Targets: r.Targets, Jobs: 8})
	end := event.BuildFinished{Build: InvocationID}
	select {
	case e := <-n.ended():
		end.OK, end.Cancelled, end.Error = e.OK, e.Cancelled, e.Error
	case <-n.Lost:
		panic(http.ErrAbortHandler)
	case <-ctx.Done():
		end.Cancelled = true
	}
	emit(end)
	return nil
}

// GoesOn implements api.Invocations.
func (n *Node) GoesOn(_ context.Context, id string) error {
	if id != InvocationID {
		return &api.Error{Kind: api.NotFound, Message: "no invocation " + id, Hint: "begin one"}
	}
	return nil
}

// RunCommand implements api.Invocations: see OnCommand.
func (n *Node) RunCommand(ctx context.Context, id string, c api.Command) (api.CommandResult, error) {
	n.note(c)
	switch {
	case n.Err != nil:
		return api.CommandResult{}, n.Err
	case id != InvocationID:
		return api.CommandResult{}, &api.Error{Kind: api.NotFound, Message: "no invocation " + id, Hint: "begin one"}
	case n.OnCommand == nil:
		return api.CommandResult{How: event.Executed, Peer: n.StatusIs.Peer}, nil
	}
	return n.OnCommand(ctx, c)
}

// Made implements api.Invocations: see OnMade.
func (n *Node) Made(ctx context.Context, _, ticket string, m api.Made) (api.Kept, error) {
	n.note(m)
	if n.OnMade == nil {
		return api.Kept{}, &api.Error{Kind: api.NotFound, Message: "no ticket " + ticket}
	}
	return n.OnMade(ctx, ticket, m)
}

// FailCommand implements api.Invocations.
func (n *Node) FailCommand(_ context.Context, id string, f api.CommandFailure) error {
	n.note(f)
	if id != InvocationID {
		return errors.New("no invocation " + id)
	}
	return n.Err
}

// EndInvocation implements api.Invocations.
func (n *Node) EndInvocation(ctx context.Context, id string, e api.InvocationEnd) error {
	n.note(e)
	if id != InvocationID {
		return errors.New("no invocation " + id)
	}
	select {
	case n.ended() <- e:
		return n.Err
	case <-n.Lost:
		panic(http.ErrAbortHandler)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (n *Node) ended() chan api.InvocationEnd {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.end == nil {
		n.end = make(chan api.InvocationEnd)
	}
	return n.end
}
