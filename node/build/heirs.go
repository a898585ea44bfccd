package build

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/sched"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/dead"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// maxKept bounds the blobs that one build's plan begins with.
	maxKept = 2_000_000
	// keptFor is how long the outputs of a build that was inherited are kept for
	// those who come for them.
	keptFor = 10 * time.Minute
	// secureTries is how often an heir tries to get what was announced before, with
	// a pause of secureAgain at first, and twice as long each time.
	secureTries = 4
	secureAgain = 250 * time.Millisecond
)

// Custody implements sched.Heirs.
func (b *Builder) Custody(id steal.BuildID, initiator peer.ID, p *steal.Plan) sched.Custody {
	c := &custodian{b: b, initiator: initiator, plan: p, claimed: map[digest.Digest]struct{}{}}
	c.spares = newSparing(b.opts.Fetcher, c.claim)
	opts := b.opts
	opts.Fetcher = c.spares
	c.run = &run{
		opts: opts, req: Request{ID: id, Modes: p.Modes}, emit: func(event.Event) {}, lease: b.opts.Store.Lease(),
		graph: p.Graph, trees: &b.trees, exp: b.experience(),
	}
	c.tells = &observer{run: c.run, abort: func(error) {}, tries: map[steal.Step][]dead.Try{}}
	return c
}

// custodian keeps the build of another node, which this one may inherit.
type custodian struct {
	b         *Builder
	initiator peer.ID
	plan      *steal.Plan
	run       *run
	tells     *observer
	spares    *sparing
	inherited bool

	mu      sync.Mutex
	claimed map[digest.Digest]struct{}
	bytes   int64 // that this node keeps for the build
	closed  bool
}

// errLetGo says that a custody is over.
var errLetGo = errors.New("what was kept of this build was let go of")

// claim counts blobs that are to be kept, each once, before they are leased.
func (c *custodian) claim(ds ...digest.Digest) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errLetGo
	}
	size := int64(0)
	var fresh []digest.Digest
	for _, d := range ds {
		if _, ok := c.claimed[d]; !ok {
			c.claimed[d] = struct{}{}
			fresh = append(fresh, d)
			if size += d.Size(); size < 0 { // what a digest says is not checked yet
				size = math.MaxInt64
			}
		}
	}
	err := c.b.keepMore(size)
	if err == nil {
		c.bytes += size
		return nil
	}
	for _, d := range fresh {
		delete(c.claimed, d)
	}
	return err
}

// tooMuch makes sched.ErrTooMuch of a full store: to try again is of no use while
// what is here already is leased.
func tooMuch(err error) error {
	if errors.Is(err, store.ErrFull) {
		return fmt.Errorf("%w: %w", sched.ErrTooMuch, err)
	}
	return err
}

// Sources implements sched.Custody.
func (c *custodian) Sources(ctx context.Context) error {
	given := make(map[steal.Step]bool, len(c.plan.Given))
	k := &keeping{custodian: c, seen: map[digest.Digest]struct{}{}}
	for _, g := range c.plan.Given {
		given[g.Step] = true
		files, dirs := g.Result.Blobs()
		k.files = k.fresh(k.files, files...)
		k.dirs = k.fresh(k.dirs, dirs...)
	}
	steps := c.plan.Graph.Steps()
	for i := range steps {
		if !given[steal.Step(i)] && !steps[i].Inputs.IsZero() {
			k.dirs = k.fresh(k.dirs, steps[i].Inputs)
		}
	}
	return tooMuch(k.all(ctx))
}

// keeping brings trees and files here, each once.
type keeping struct {
	*custodian
	seen        map[digest.Digest]struct{}
	dirs, files []digest.Digest
}

func (k *keeping) fresh(list []digest.Digest, ds ...digest.Digest) []digest.Digest {
	for _, d := range ds {
		if _, seen := k.seen[d]; !seen {
			k.seen[d] = struct{}{}
			list = append(list, d)
		}
	}
	return list
}

func (k *keeping) all(ctx context.Context) error {
	for len(k.dirs) > 0 {
		batch := cut(&k.dirs, maxSpareBytes)
		if err := k.get(ctx, batch); err != nil {
			return err
		}
		for _, d := range batch {
			if err := k.open(ctx, d); err != nil {
				return err
			}
		}
		if len(k.seen) > maxKept {
			return fmt.Errorf("%w plan: it begins with more than %d blobs", action.ErrInvalid, maxKept)
		}
	}
	if err := k.claim(k.files...); err != nil {
		return err
	}
	return k.get(ctx, k.files)
}

func (k *keeping) get(ctx context.Context, ds []digest.Digest) error {
	if err := k.claim(ds...); err != nil {
		return err
	}
	k.run.lease.Hold(ds...)
	_, err := k.spares.Fetch(ctx, ds, []peer.ID{k.initiator})
	return err
}

func (k *keeping) open(ctx context.Context, d digest.Digest) error {
	content, err := store.ReadAll(ctx, k.b.opts.Store, d, maxDirectory)
	if err != nil {
		return err
	}
	var dir repb.Directory
	if err := proto.Unmarshal(content, &dir); err != nil {
		return fmt.Errorf("directory %v: %w", d, err)
	}
	for _, f := range dir.GetFiles() {
		of, err := action.DigestOf(f.GetDigest())
		if err != nil {
			return fmt.Errorf("directory %v: %q: %w", d, f.GetName(), err)
		}
		k.files = k.fresh(k.files, of)
	}
	for _, sub := range dir.GetDirectories() {
		of, err := action.DigestOf(sub.GetDigest())
		if err != nil {
			return fmt.Errorf("directory %v: %q: %w", d, sub.GetName(), err)
		}
		k.dirs = k.fresh(k.dirs, of)
	}
	return nil
}

// Secure implements sched.Custody.
func (c *custodian) Secure(ctx context.Context, s steal.Step, d *steal.Done) error {
	files, dirs := d.Entry.Result.Blobs()
	if err := c.claim(append(files, dirs...)...); err != nil {
		return fmt.Errorf("outputs of %s: %w", c.plan.Graph.Steps()[s].ID, err)
	}
	return tooMuch(c.tells.secure(ctx, s, d))
}

// Inherit implements sched.Custody.
func (c *custodian) Inherit(as steal.BuildID) (o sched.Observer, ended func(error)) {
	c.inherited = true
	c.spares.begin()
	r := c.run
	r.req.ID, r.started = as, time.Now()
	r.in, r.out = r.opts.Moved()
	c.b.enter(r)
	r.begin(c.plan.Graph.Len())
	r.notice(event.Warning, "%s is lost, on which the build was begun: %s goes on with it", r.nameOf(c.initiator), r.nameOf(r.opts.Self))
	for _, g := range c.plan.Given {
		r.giveAgain(g)
	}
	c.tells.watched = newWatched(string(as), r.emit)
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { c.tells.watched.run(ctx) })
	return heirObserver{c.tells}, func(err error) {
		cancel()
		watching.Wait()
		if err == nil && c.tells.failed > 0 {
			err = fmt.Errorf("%d %w", c.tells.failed, errSteps)
		}
		yielded := errors.Is(err, sched.ErrYielded)
		_ = r.finish(context.Background(), err)
		c.b.leave(r, !yielded)
	}
}

// giveAgain tells of a step whose result was known when the build began.
func (r *run) giveAgain(g steal.Given) {
	step := r.graph.Steps()[g.Step].ID
	done := event.StepFinished{Step: string(step), Status: event.CachedMesh}
	if g.Done != nil {
		done.Digest, done.Peer = g.Done.Entry.Action.String(), string(g.Done.Entry.Executor)
	}
	r.outcomes[step] = g.Result
	r.tally.Step(done, false, g.Result.Wall)
}

// Close implements sched.Custody.
func (c *custodian) Close() {
	if !c.inherited {
		c.letGo()
		return
	}
	time.AfterFunc(keptFor, c.letGo)
}

func (c *custodian) letGo() {
	c.run.lease.Release()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.b.kept.Add(-c.bytes)
	c.bytes, c.closed = 0, true
}

// heirObserver tries harder to get what the initiator had announced: it is not
// to be made again because a holder was busy.
type heirObserver struct{ *observer }

// Secure implements sched.Observer.
func (o heirObserver) Secure(ctx context.Context, s steal.Step, d *steal.Done) (err error) {
	for try := range secureTries {
		if err = o.observer.Secure(ctx, s, d); err == nil || try+1 == secureTries {
			return err
		}
		pause := secureAgain << try
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause + rand.N(pause/2)):
		}
	}
	return err
}
