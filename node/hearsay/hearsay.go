// Package hearsay shares among members what kinds of actions cost, so that a
// machine's first build of a project is ordered by critical path. Kinds fall
// into a few shards, and rendezvous names the owners of each: whoever has built
// tells them, and whoever is going to build asks them, each with one bulk
// question. What is told are hints, kept apart from what a node has seen itself
// (package store/costs): nobody signs them, and nothing depends on them but
// order and forecasts. Start reading at Hearsay.Ask.
package hearsay

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/costs"
	"github.com/buildnet/buildnet/store/digest"
)

// Protocol is the stream protocol of this package.
const Protocol = "/buildnet/hearsay/1"

const (
	// shards of kinds: a build asks no more members than that in a round, and
	// so many share the work of answering.
	shards = 16
	// owners keep each shard: two of them may be lost at once.
	owners = 3
	// talkTime bounds one question and its answer.
	talkTime = 5 * time.Second
	// tellEvery is how long what is to be told is gathered.
	tellEvery = time.Second
	// retryEvery is when what there was nobody to tell is tried again.
	retryEvery = time.Minute
	// maxUntold kinds are gathered; more are not told of.
	maxUntold = 1 << 18
	// maxTalks of this node are under way at once.
	maxTalks = 16
)

// Book is this node's knowledge. All methods may be called concurrently.
type Book interface {
	// Own returns what this node's builds have seen.
	Own(k costs.Kind) (costs.Estimate, bool)
	// Known returns what is known from whomever.
	Known(k costs.Kind) (costs.Estimate, bool)
	// Hear keeps what a member told; it may be any numbers.
	Hear(k costs.Kind, told costs.Estimate, now time.Time) error
}

// Options are what a Hearsay needs; Log may be left out.
type Options struct {
	Self    peer.ID
	Network peer.Network
	// Owners names the n alive members that keep what belongs to a key, best
	// first.
	Owners func(key digest.Digest, n int) []peer.ID
	Book   Book
	Log    *slog.Logger
}

// Hearsay is one node's part. All methods may be called concurrently.
type Hearsay struct {
	opts   Options
	door   *door
	signal chan struct{} // something is to be told
	talks  chan struct{} // room for one more

	mu sync.Mutex
	// life is Run's context; nil when it does not run.
	life   context.Context
	asking sync.WaitGroup
	untold map[costs.Kind]struct{}
}

// New returns a Hearsay that answers members from now on.
func New(opts Options) *Hearsay {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	h := &Hearsay{
		opts: opts, door: newDoor(), signal: make(chan struct{}, 1), talks: make(chan struct{}, maxTalks),
		untold: map[costs.Kind]struct{}{},
	}
	opts.Network.Handle(Protocol, h.serve)
	return h
}

// Run tells others what was learned, until ctx ends. What was not told by then
// is told after the next build.
func (h *Hearsay) Run(ctx context.Context) error {
	h.mu.Lock()
	h.life = ctx
	h.mu.Unlock()
	defer h.asking.Wait()
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.life = nil
	}()
	retry := time.NewTicker(retryEvery)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-retry.C:
		case <-h.signal:
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(tellEvery):
			}
		}
		h.tellAll(ctx)
	}
}

// Tell has others told, soon, what this node knows of kinds. It does not wait.
func (h *Hearsay) Tell(kinds []costs.Kind) {
	h.gatherUntold(kinds)
	select {
	case h.signal <- struct{}{}:
	default:
	}
}

func (h *Hearsay) gatherUntold(kinds []costs.Kind) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, k := range kinds {
		if len(h.untold) < maxUntold {
			h.untold[k] = struct{}{}
		}
	}
}

// Ask brings into the book what members know of kinds. It returns when that is
// done, or when ctx ends: what comes later is kept for the next build.
func (h *Hearsay) Ask(ctx context.Context, kinds []costs.Kind) {
	h.mu.Lock()
	life := h.life
	if life == nil || len(kinds) == 0 {
		h.mu.Unlock()
		return
	}
	h.asking.Add(1)
	h.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer h.asking.Done()
		defer close(done)
		h.ask(life, kinds)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// ask asks the first owner of each kind, then the others for what it lacks.
func (h *Hearsay) ask(ctx context.Context, kinds []costs.Kind) {
	routes := h.routes()
	for _, rank := range [][2]int{{0, 1}, {1, owners}} {
		byPeer := map[peer.ID][]costs.Kind{}
		for _, k := range kinds {
			route := routes[shardOf(k)]
			for _, id := range route[min(rank[0], len(route)):min(rank[1], len(route))] {
				byPeer[id] = append(byPeer[id], k)
			}
		}
		heard := h.gather(ctx, byPeer)
		lacking := kinds[:0:0]
		for _, k := range kinds {
			if !heard[k] {
				lacking = append(lacking, k)
			}
		}
		kinds = lacking
	}
}

// gather asks members at once and returns what any of them knew.
func (h *Hearsay) gather(ctx context.Context, byPeer map[peer.ID][]costs.Kind) map[costs.Kind]bool {
	var mu sync.Mutex
	heard := map[costs.Kind]bool{}
	h.each(ctx, byPeer, func(id peer.ID, kinds []costs.Kind) error {
		told, err := h.askOne(ctx, id, kinds)
		if err != nil {
			return err
		}
		h.keep(told)
		mu.Lock()
		defer mu.Unlock()
		for k := range told {
			heard[k] = true
		}
		return nil
	})
	return heard
}

// keep takes what was told into the book.
func (h *Hearsay) keep(told map[costs.Kind]costs.Estimate) {
	now := time.Now()
	for k, e := range told { // in any order: each kind is its own
		if err := h.opts.Book.Hear(k, e, now); err != nil {
			h.opts.Log.Debug("what a member told is not kept", "error", err)
			return
		}
	}
}

// tellAll tells the owners what has gathered. What has no other owner than this
// node waits: the first member that comes is one.
func (h *Hearsay) tellAll(ctx context.Context) {
	h.mu.Lock()
	untold := h.untold
	h.untold = map[costs.Kind]struct{}{}
	h.mu.Unlock()
	if len(untold) == 0 {
		return
	}
	routes := h.routes()
	byPeer := map[peer.ID][]costs.Kind{}
	var alone []costs.Kind
	for _, k := range slices.SortedFunc(maps.Keys(untold), compare) {
		if len(routes[shardOf(k)]) == 0 {
			alone = append(alone, k)
		}
		for _, id := range routes[shardOf(k)] {
			byPeer[id] = append(byPeer[id], k)
		}
	}
	h.gatherUntold(alone)
	h.each(ctx, byPeer, func(id peer.ID, kinds []costs.Kind) error { return h.tellOne(ctx, id, kinds) })
}

// each calls f for every member, in pieces that fit into a question, maxTalks
// of them at once.
func (h *Hearsay) each(ctx context.Context, byPeer map[peer.ID][]costs.Kind, f func(peer.ID, []costs.Kind) error) {
	var talks sync.WaitGroup
	defer talks.Wait()
	for _, id := range slices.Sorted(maps.Keys(byPeer)) {
		kinds := byPeer[id]
		for len(kinds) > 0 {
			piece := kinds[:min(len(kinds), maxKinds)]
			kinds = kinds[len(piece):]
			select {
			case <-ctx.Done():
				return
			case h.talks <- struct{}{}:
			}
			talks.Go(func() {
				defer func() { <-h.talks }()
				if err := f(id, piece); err != nil && ctx.Err() == nil {
					h.opts.Log.Debug("no exchange of costs", "peer", id, "error", err)
				}
			})
		}
	}
}

// routes are the owners of each shard, without this node.
func (h *Hearsay) routes() (routes [shards][]peer.ID) {
	for i := range routes {
		for _, id := range h.opts.Owners(shardKey(i), owners) {
			if id != h.opts.Self {
				routes[i] = append(routes[i], id)
			}
		}
	}
	return routes
}

func compare(a, b costs.Kind) int { return slices.Compare(a[:], b[:]) }

// shardOf kinds, which are hashes.
func shardOf(k costs.Kind) int { return int(k[0]) % shards }

func shardKey(i int) digest.Digest {
	return digest.Of(digest.BLAKE3, append([]byte("buildnet costs "), byte(i)))
}
