// Package apitest is a node for tests of what lies on both sides of the API: it
// answers as it was told to, and remembers what it was asked. Start reading at
// Node.
package apitest

import (
	"context"
	"fmt"
	"sync"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/event"
)

// Node implements api.Node. Set the fields before it is served; zero values
// answer with zero values.
type Node struct {
	StatusIs    api.Status
	MembersAre  []api.Member
	Invited     api.Invitation
	RevokedIs   api.Revoked
	LeftIs      api.Left
	Records     []api.BuildRecord
	Recordings  []event.Recording
	Letters     []api.DeadLetter
	Stats       api.CacheStats
	Verified    api.CacheVerified
	Cleared     api.CacheCleared
	ProfilesAre api.Profiles
	// Err is what every call returns instead, if it is not nil.
	Err error
	// Explanations are of steps.
	Explanations []event.Explanation
	// OnBuild is the build; nil is one that finishes at once.
	OnBuild func(ctx context.Context, r api.BuildRequest, emit func(event.Event)) error
	// OnCommand runs a command of an invocation; nil is one that does nothing.
	OnCommand func(ctx context.Context, c api.Command) (api.CommandResult, error)
	// Lost, once closed, breaks the connections of invocations, as a node's death does.
	Lost chan struct{}
	// OnMade takes what a command made; nil has nobody wait for it.
	OnMade func(ctx context.Context, ticket string, m api.Made) (api.Kept, error)
	// OnDown is called by Down.
	OnDown func()

	mu    sync.Mutex
	asked []any
	end   chan api.InvocationEnd
}

var _ api.Node = (*Node)(nil)

// Asked returns the requests so far, in order: values of the types of api, and
// for those without one the name of the method.
func (n *Node) Asked() []any {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]any(nil), n.asked...)
}

func (n *Node) note(request any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = append(n.asked, request)
}

// Status implements api.Node.
func (n *Node) Status(context.Context) (api.Status, error) { return n.StatusIs, n.Err }

// Members implements api.Node.
func (n *Node) Members(context.Context) ([]api.Member, error) { return n.MembersAre, n.Err }

// Invite implements api.Node.
func (n *Node) Invite(_ context.Context, r api.InviteRequest) (api.Invitation, error) {
	n.note(r)
	return n.Invited, n.Err
}

// Leave implements api.Node.
func (n *Node) Leave(context.Context) (api.Left, error) {
	n.note("leave")
	return n.LeftIs, n.Err
}

// Revoke implements api.Node.
func (n *Node) Revoke(_ context.Context, r api.RevokeRequest) (api.Revoked, error) {
	n.note(r)
	return n.RevokedIs, n.Err
}

// Down implements api.Node.
func (n *Node) Down(context.Context) error {
	n.note("down")
	if n.OnDown != nil {
		n.OnDown()
	}
	return n.Err
}

// Build implements api.Node.
func (n *Node) Build(ctx context.Context, r api.BuildRequest, emit func(event.Event)) error {
	n.note(r)
	if n.Err != nil {
		return n.Err
	}
	if n.OnBuild != nil {
		return n.OnBuild(ctx, r, emit)
	}
	emit(event.BuildStarted{Build: "b1", Root: r.Dir, Targets: r.Targets})
	emit(event.BuildFinished{Build: "b1", OK: true, Tier: event.InstantSkip})
	return nil
}

// Builds implements api.Node.
func (n *Node) Builds(_ context.Context, limit int) ([]api.BuildRecord, error) {
	if limit > 0 && limit < len(n.Records) {
		return n.Records[:limit], n.Err
	}
	return n.Records, n.Err
}

// ShowBuild implements api.Node.
func (n *Node) ShowBuild(_ context.Context, id string) (api.BuildRecord, error) {
	for _, r := range n.Records {
		if r.Build == id {
			return r, n.Err
		}
	}
	return api.BuildRecord{}, &api.Error{Kind: api.NotFound, Message: "no build " + id, Hint: "list them with `buildnet builds`"}
}

// Recording implements api.Node.
func (n *Node) Recording(_ context.Context, id string) (event.Recording, error) {
	for _, r := range n.Recordings {
		if r.Build == id {
			return r, n.Err
		}
	}
	return event.Recording{}, &api.Error{Kind: api.Conflict, Message: "build " + id + " was not recorded", Hint: "build again"}
}

// Explain implements api.Node: see Explanations.
func (n *Node) Explain(_ context.Context, build, step string) (event.Explanation, error) {
	for _, x := range n.Explanations {
		if x.Build == build && x.Step.Step == step {
			return x, n.Err
		}
	}
	return event.Explanation{}, &api.Error{Kind: api.NotFound, Message: fmt.Sprintf("no such step %q in build %s", step, build), Hint: "see `buildnet builds show`"}
}

// CacheStats implements api.Node.
func (n *Node) CacheStats(context.Context) (api.CacheStats, error) { return n.Stats, n.Err }

// VerifyCache implements api.Node.
func (n *Node) VerifyCache(context.Context) (api.CacheVerified, error) { return n.Verified, n.Err }

// ClearCache implements api.Node.
func (n *Node) ClearCache(context.Context) (api.CacheCleared, error) {
	n.note("clear")
	return n.Cleared, n.Err
}
