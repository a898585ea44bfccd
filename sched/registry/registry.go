// Package registry keeps the results of actions on the members that own them,
// and there the claims of those who are executing one right now: the driver of
// the machine in sched/claim. Rendezvous names the owners of an action's
// digest; each keeps the signed result, the first that answers keeps the
// claim. Start reading at Registry.Claim.
package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/claim"
	"github.com/buildnet/buildnet/sched/schedpb"
	"github.com/buildnet/buildnet/store/digest"
)

// Protocol is the stream protocol of this package.
const Protocol = "/buildnet/results/1"

const (
	// owners keep each result: two of them may be lost at once.
	owners = 3
	// maxLookups of one call are under way at once.
	maxLookups = 256
	// lookupTime bounds a lookup; whoever needs the result executes instead.
	lookupTime = 2 * time.Second
	// secondTime bounds how long a claim waits for what the second and third
	// owner know; it matters when one of them has just died.
	secondTime = 500 * time.Millisecond
	// offerTime bounds how long an owner may take to keep a result.
	offerTime = 5 * time.Second
	// maxHolders are told of one result's outputs.
	maxHolders = 16
	// maxHints bounds the results whose holders are remembered; of the others
	// the executor alone is told.
	maxHints = 1 << 16
	// tickEvery is how exactly leases end.
	tickEvery = time.Second
)

var errClosed = errors.New("this node stops")

// Store is this node's action cache. Get returns an error where there is no
// entry. All methods may be called concurrently; the function given to Each
// calls none of them.
type Store interface {
	Get(ctx context.Context, a digest.Digest) (action.Entry, error)
	Put(ctx context.Context, e action.Entry) error
	Each(f func(action.Entry) bool) error
}

// Options are what a Registry needs; the fields from ShareReduced on may be
// left out.
type Options struct {
	Self    peer.ID
	Network peer.Network
	// Owners names the n alive members that keep an action's result, best first.
	Owners func(a digest.Digest, n int) []peer.ID
	// Changes gives a channel that is sent to when membership has changed, and
	// a function that ends it.
	Changes func() (<-chan struct{}, func())
	Store   Store

	// ShareReduced gives and takes results of less than full isolation, which
	// otherwise serve nobody but the machine that executed.
	ShareReduced bool
	Log          *slog.Logger
}

// Reach says whom a question may go to.
type Reach uint8

const (
	// Mesh questions go to the owners.
	Mesh Reach = iota + 1
	// Alone questions stay on this node.
	Alone
)

// Scope is for whom a question is asked.
type Scope struct {
	Build claim.Build
	// Initiator is the node where the build was asked for.
	Initiator peer.ID
	Reach     Reach
}

// claimant is the build as it claims at home.
func (s Scope) claimant() claim.Claimant {
	return claim.Claimant{Session: claim.Own, Build: s.Build, Alone: s.Reach == Alone}
}

// Found is a result that is known: verified, and of an action that succeeded.
type Found struct {
	Entry action.Entry
	// Holders are said to have the outputs.
	Holders []peer.ID
}

// Registry is one node's part. All methods may be called concurrently.
type Registry struct {
	opts  Options
	here  *here
	hints *hints
	lanes *lanes
	guard *guard
	blame *blame
	// owing says that a result may be lacking at one of its owners.
	owing atomic.Bool
}

// New returns a Registry that answers peers while Run runs.
func New(opts Options) *Registry {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	r := &Registry{opts: opts, hints: newHints(), lanes: newLanes(opts.Network), guard: newGuard(), blame: newBlame()}
	r.here = newHere(r.known)
	opts.Network.Handle(Protocol, r.serve)
	return r
}

// Run ends leases in time and hands results over to the owners that come with
// each change of membership. It returns nil when ctx has ended and nothing of
// the Registry is left.
func (r *Registry) Run(ctx context.Context) error {
	defer r.guard.close()
	defer r.lanes.close()
	var parts sync.WaitGroup
	parts.Go(func() { r.here.run(ctx) })
	parts.Go(func() { newSpread(r).run(ctx) })
	parts.Wait()
	return nil
}

// Lookup returns the results that are known. Those that are not, or not in
// time, are missing from the map.
func (r *Registry) Lookup(ctx context.Context, s Scope, actions []digest.Digest) map[digest.Digest]Found {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	var (
		g     errgroup.Group
		mu    sync.Mutex
		found = make(map[digest.Digest]Found, len(actions))
	)
	g.SetLimit(maxLookups)
	for _, a := range actions {
		g.Go(func() error {
			if f, ok := r.lookup(ctx, s, a); ok {
				mu.Lock()
				defer mu.Unlock()
				found[a] = f
			}
			return nil
		})
	}
	_ = g.Wait()
	return found
}

func (r *Registry) lookup(ctx context.Context, s Scope, a digest.Digest) (Found, bool) {
	if f, ok := r.known(ctx, a, s.Initiator); ok {
		return f, true
	}
	return r.ask(ctx, s, a, r.others(s, a))
}

// others are the owners of a that may be asked, without this node.
func (r *Registry) others(s Scope, a digest.Digest) []peer.ID {
	if s.Reach == Alone {
		return nil
	}
	var ids []peer.ID
	for _, id := range r.opts.Owners(a, owners) {
		if id != r.opts.Self {
			ids = append(ids, id)
		}
	}
	return ids
}

// known looks at home.
func (r *Registry) known(ctx context.Context, a digest.Digest, initiator peer.ID) (Found, bool) {
	e, err := r.opts.Store.Get(ctx, a)
	if err != nil || !r.serves(&e, initiator) {
		return Found{}, false
	}
	return Found{Entry: e, Holders: r.hints.of(&e)}, true
}

// serves reports whether a build of initiator may use the result.
func (r *Registry) serves(e *action.Entry, initiator peer.ID) bool {
	return e.Result.OK() && (r.shares(e) || e.Executor == initiator)
}

// shares reports whether every member may use the result.
func (r *Registry) shares(e *action.Entry) bool {
	return e.Result.Isolation.Closed() || r.opts.ShareReduced
}

// ErrMade is the cause with which the context of a Claim ends whose action was
// executed meanwhile. The claim is left to Publish: it ends where the result is
// told, and nobody has it between.
var ErrMade = errors.New("the action was executed meanwhile")

// Early is how an execution begins before all that was asked is answered. Its zero
// value does not.
type Early struct {
	Start claim.Start
	// Begin is called once at most, by Claim and before that returns.
	Begin func()
}

func (e Early) begin(at claim.Start) {
	if e.Start == at && e.Begin != nil {
		e.Begin()
	}
}

// Owners are those that Claim asks about an action, best first; this node may be one.
func (r *Registry) Owners(s Scope, a digest.Digest) []peer.ID {
	if s.Reach == Alone {
		return nil
	}
	return r.opts.Owners(a, owners)
}

// Claim returns the result of an action if it is known. If not, it claims the
// execution for the build, waiting while another build has it: for that one's
// result, or for the end of its claim. A claim ends with Publish or Release.
// Where no owner answers the build goes ahead without one. The error is ctx's.
func (r *Registry) Claim(ctx context.Context, s Scope, a digest.Digest, e Early) (f Found, known bool, err error) {
	f, known, err = r.here.claim(ctx, s, a)
	if known {
		r.letGo(s, a) // what the build has from an earlier try
	}
	if err != nil || known {
		return f, known, err
	}
	f, known, err = r.claimAway(ctx, s, a, e)
	switch {
	case err != nil && errors.Is(context.Cause(ctx), ErrMade):
	case err != nil:
		r.Release(s, a)
	case known:
		r.found(ctx, s, &f)
	}
	return f, known, err
}

// found ends the own claim on what turned out to be known, for the sake of
// those who wait here.
func (r *Registry) found(ctx context.Context, s Scope, f *Found) {
	r.letGo(s, f.Entry.Action)
	r.hints.add(f.Entry.Action, f.Holders)
	if err := r.opts.Store.Put(ctx, f.Entry); err != nil {
		r.opts.Log.Debug("result not kept", "action", f.Entry.Action, "error", err)
	}
	r.here.publish(ctx, f, r.serves)
}

// takers are who is given a result: the owners of now, and who was one when its
// execution was claimed there, for others wait there.
func (r *Registry) takers(s Scope, a digest.Digest) []peer.ID {
	ids := r.others(s, a)
	r.lanes.mu.Lock()
	c, ok := r.lanes.held[heldKey{s.Build, a}]
	r.lanes.mu.Unlock()
	if ok && !slices.Contains(ids, c.to) {
		ids = append(ids, c.to)
	}
	return ids
}

// Release gives up a claim: the action was not executed, or failed.
func (r *Registry) Release(s Scope, a digest.Digest) {
	r.letGo(s, a)
	r.here.release(a, s.claimant())
}

// Publish keeps the result of an execution and gives it to its owners, which
// ends the claim on its action. holders have the outputs. It returns when the
// owners that answer have it.
func (r *Registry) Publish(ctx context.Context, s Scope, e action.Entry, holders []peer.ID) error {
	if !e.Result.OK() {
		r.Release(s, e.Action)
		return fmt.Errorf("publish %v: %w: only what succeeded is for others", e.Action, action.ErrInvalid)
	}
	f := &Found{Entry: e, Holders: holders}
	r.hints.add(e.Action, holders)
	var kept error
	if r.shares(&e) || e.Executor == r.opts.Self {
		kept = r.opts.Store.Put(ctx, e)
	}
	r.here.publish(ctx, f, r.serves)
	var told []peer.ID
	if r.shares(&e) {
		told = r.offerAll(ctx, f, r.takers(s, e.Action))
		if s.Reach == Alone {
			r.owing.Store(true)
		}
	}
	r.letGo(s, e.Action, told...)
	if kept != nil {
		return fmt.Errorf("publish %v: %w", e.Action, kept)
	}
	return nil
}

// offerAll gives a result to owners, and returns those that took it.
func (r *Registry) offerAll(ctx context.Context, f *Found, to []peer.ID) []peer.ID {
	ctx, cancel := context.WithTimeout(ctx, offerTime)
	defer cancel()
	body, err := offerOf(f)
	if err != nil {
		r.ungiven(r.opts.Self, f, err)
		return nil
	}
	i := newInquiry()
	silent := make([]peer.ID, 0, len(to))
	for _, id := range to {
		if _, err := r.lanes.ask(id, &schedpb.Question{Body: body}, inTime, i); err != nil {
			r.ungiven(id, f, err)
			continue
		}
		silent = append(silent, id)
	}
	var told []peer.ID
	for _, got := range i.all(ctx) {
		silent = without(silent, got.lane.to)
		if got.err == nil {
			got.err = taken(got.lane.to, f, got.answer)
		}
		if got.err != nil {
			r.ungiven(got.lane.to, f, got.err)
			continue
		}
		told = append(told, got.lane.to)
	}
	for _, id := range silent {
		r.ungiven(id, f, ctx.Err())
	}
	if len(told) < len(to) {
		r.owing.Store(true)
	}
	return told
}

func (r *Registry) ungiven(to peer.ID, f *Found, err error) {
	r.opts.Log.Debug("result not given to its owner", "peer", to, "action", f.Entry.Action, "error", err)
}
