// Package invocations is what the user of a node sees of the clients of the Remote
// Execution API: all that one invocation of a client asks this node for is one build,
// however it is answered, and however long the client is silent in between. It is in
// memory while it goes on, and in the history when it has been quiet for a while, or
// the node has stopped; more of it goes on where that ends. Start reading at
// Book.Enter.
package invocations

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"sync"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/event/told"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/history"
)

const (
	// quietTime is how long nothing is asked for until an invocation is told of as
	// ended: Bazel loads and analyses for longer, but then it goes on.
	quietTime = 30 * time.Second
	// saveEvery is how often one that goes on is written down, for a node that is
	// killed.
	saveEvery = 30 * time.Second
	// maxOpen invocations are in memory at once. Beyond it the one that is quiet for
	// longest ends; if none is, those that have no ID are joined by another one.
	maxOpen = 256
	// maxTold bounds what all of them together have to tell, in bytes.
	maxTold = 64 << 20
)

// Options are what a Book works with. Log may be left out.
type Options struct {
	Self    peer.ID
	History *history.History
	Members func() []peer.Member
	// Moved returns the bytes fetched from and served to peers since the start.
	Moved func() (in, out int64)
	Log   *slog.Logger
}

// Book is the invocations of clients. All methods may be called concurrently.
type Book struct {
	opts   Options
	budget *told.Budget
	opened chan struct{} // says that there is something to look after

	mu   sync.Mutex
	open map[string]*Invocation // by the client's ID
	// ending are those that are written down for the last time, which who goes on with
	// them waits for.
	ending map[string]chan struct{}

	past   past
	counts counts
}

// New returns a Book. It ends nothing before Run, which is to be called if anybody
// enters.
func New(opts Options) *Book {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	return &Book{
		opts: opts, budget: told.NewBudget(maxTold), opened: make(chan struct{}, 1),
		open: map[string]*Invocation{}, ending: map[string]chan struct{}{}, past: past{history: opts.History},
	}
}

// IDOf is the ID of the build of a client's invocation, the same on every node.
func IDOf(invocation string) string {
	hash := digest.Of(digest.BLAKE3, []byte("buildnet invocation of a client 1\x00"+invocation)).Hash()
	return hex.EncodeToString(hash[:6])
}

func randomID() string {
	var raw [6]byte
	_, _ = rand.Read(raw[:]) // never fails since Go 1.24
	return hex.EncodeToString(raw[:])
}

// Enter returns the invocation that a request is part of. Leave is to be called when
// it is answered.
func (b *Book) Enter(said *repb.RequestMetadata) *Invocation {
	i, quiet := b.enter(said)
	if quiet != nil {
		b.end(quiet)
	}
	i.once.Do(i.begin)
	return i
}

// enter also returns the one that has to end for it.
func (b *Book) enter(said *repb.RequestMetadata) (i, quiet *Invocation) {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := said.GetToolInvocationId()
	i = b.open[key]
	if i == nil && len(b.open) >= maxOpen && key != "" {
		if quiet = b.quietest(); quiet != nil {
			b.close(quiet)
		} else {
			key = ""
			i = b.open[key]
		}
	}
	if i == nil {
		i = b.add(key, clientOf(said))
	}
	i.users++
	return i, quiet
}

// quietest is called with mu held.
func (b *Book) quietest() (quiet *Invocation) {
	for _, i := range b.open {
		if i.users == 0 && (quiet == nil || i.last.Before(quiet.last)) {
			quiet = i
		}
	}
	return quiet
}

// add is called with mu held.
func (b *Book) add(key, client string) *Invocation {
	i := &Invocation{b: b, key: key, id: IDOf(key), client: client, after: b.ending[key], ready: make(chan struct{})}
	if key == "" {
		i.id = randomID()
	}
	b.open[key] = i
	b.counts.invocations.Add(1)
	select {
	case b.opened <- struct{}{}:
	default:
	}
	return i
}

// close is called with mu held; end is to follow.
func (b *Book) close(i *Invocation) {
	delete(b.open, i.key)
	i.gone = make(chan struct{})
	b.ending[i.key] = i.gone
}

// end writes an invocation down that is closed.
func (b *Book) end(i *Invocation) {
	i.finish()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ending[i.key] == i.gone {
		delete(b.ending, i.key)
	}
	close(i.gone)
}

// Leave says that a request is answered.
func (i *Invocation) Leave() {
	i.b.mu.Lock()
	defer i.b.mu.Unlock()
	i.users--
	i.last = time.Now()
}

// Answered tells of a result that was known when a client asked for it.
func (b *Book) Answered(act digest.Digest, said *repb.RequestMetadata, r *repb.ActionResult) {
	i := b.Enter(said)
	defer i.Leave()
	i.Known(act, said, r)
}

// Given tells of a result that a client brought.
func (b *Book) Given(act digest.Digest, said *repb.RequestMetadata, r *repb.ActionResult) {
	i := b.Enter(said)
	defer i.Leave()
	i.Given(act, said, r)
}

// Tell tells of an event of an invocation that is going on, by its Key.
func (b *Book) Tell(key string, e event.Event) {
	b.mu.Lock()
	i := b.open[key]
	b.mu.Unlock()
	if i != nil {
		i.once.Do(i.begin)
		i.tell(e)
	}
}

// Run writes invocations down: those that go on, those that are quiet, and when ctx
// ends all, after which nobody may enter any more.
func (b *Book) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			b.look(func(*Invocation) bool { return true })
			return nil
		case <-b.opened:
		}
		b.attend(ctx)
	}
}

// attend looks after invocations until there are none.
func (b *Book) attend(ctx context.Context) {
	tick := time.NewTicker(quietTime / 10)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		if !b.look(func(i *Invocation) bool { return i.users == 0 && now.Sub(i.last) >= quietTime }) {
			return
		}
	}
}

// look ends those invocations that are to end, writes down the others if that is due,
// and reports whether there are others. over is called with mu held.
func (b *Book) look(over func(*Invocation) bool) bool {
	var ended, others []*Invocation
	b.mu.Lock()
	for _, i := range b.open {
		if over(i) {
			ended = append(ended, i)
			b.close(i)
		} else {
			others = append(others, i)
		}
	}
	b.mu.Unlock()
	for _, i := range ended {
		i.once.Do(i.begin)
		b.end(i)
	}
	for _, i := range others {
		i.once.Do(i.begin)
		i.saveIfDue()
	}
	return len(others) > 0
}
