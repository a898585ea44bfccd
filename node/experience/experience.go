// Package experience is what a build knows of what its steps cost, and what it
// adds to that: the book of costs of this node, what members tell, and who ran a
// step. It does no I/O of its own but through the book. Start reading at Build.
package experience

import (
	"log/slog"
	"sync"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/costs"
)

// capsAge is how old a look at the members may be: there is a question about
// one of them for every step.
const capsAge = time.Second

// Build is the experience of one build. All methods may be called concurrently.
type Build struct {
	book    *costs.Book
	members func() []peer.Member
	log     *slog.Logger

	mu      sync.Mutex
	learned []costs.Kind
	paces   map[tool]*pace
	caps    map[peer.ID]peer.Capabilities // as they were at capsAt
	capsAt  time.Time
}

// New returns the experience of a build.
func New(book *costs.Book, members func() []peer.Member, log *slog.Logger) *Build {
	return &Build{book: book, members: members, log: log, paces: map[tool]*pace{}}
}

// Hints returns what is known of a kind. Memory decides where a step may run at
// all: there nobody else's word counts.
func (b *Build) Hints(k costs.Kind) (action.Hints, bool) {
	e, ok := b.book.Known(k)
	if !ok {
		return action.Hints{}, false
	}
	own, _ := b.book.Own(k)
	return action.Hints{Cost: e.Work(), Memory: int64(own.Memory), OutputBytes: int64(e.Output)}, true
}

// Learn keeps what a step took that began after since, for the order of the next
// build. The executor's word is bounded by what can be seen of it here.
func (b *Build) Learn(step *action.Step, executor peer.ID, res *action.Result, since time.Time) {
	k := costs.KindsOf(step)
	if err := b.book.Learn(k, b.run(executor, res, since), time.Now()); err != nil {
		b.log.Debug("what a step took is not kept", "step", step.ID, "error", err)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.learned = append(b.learned, k.Step, k.Rule)
}

func (b *Build) run(executor peer.ID, res *action.Result, since time.Time) costs.Run {
	caps := b.Caps(executor)
	return costs.Run{
		Wall: min(res.Wall, time.Since(since)), CPU: res.CPU, BPU: caps.BPU, Share: caps.Share(),
		Memory: res.MaxRSS, Bytes: res.OutputBytes(), OK: res.OK(),
	}
}

// Keep writes down what was learned, and returns of what.
func (b *Build) Keep() []costs.Kind {
	if err := b.book.Flush(); err != nil {
		b.log.Debug("what steps took is not kept", "error", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.learned
}

// Caps returns what a member can do; of one that is not known, what is usual.
func (b *Build) Caps(id peer.ID) peer.Capabilities {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := time.Now(); now.Sub(b.capsAt) > capsAge {
		b.caps, b.capsAt = map[peer.ID]peer.Capabilities{}, now
		for _, m := range b.members() {
			b.caps[m.ID] = m.Caps
		}
	}
	if c, ok := b.caps[id]; ok && c.BPU > 0 {
		return c
	}
	return peer.Capabilities{BPU: 1, Cores: 1, Slots: 1}
}

// Speed is what a step gets of a member whose slots are all taken, in BPU.
func (b *Build) Speed(id peer.ID) float64 {
	c := b.Caps(id)
	return c.BPU * c.Share()
}
