package execute

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/experience"
	"github.com/buildnet/buildnet/node/queue"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store"
)

const (
	// idleTime ends the build of an invocation for which nothing is executed: Bazel
	// loads and analyses for longer, but its invocation can have another one.
	idleTime = 30 * time.Second
	// maxVisits invocations have a build of their own at once.
	maxVisits = 200
	// maxSteps of one build; the next one takes over.
	maxSteps = 50_000
	// maxIdle builds wait for more at once; beyond it the one that waits for longest
	// ends.
	maxIdle = 256
	// endTime bounds what is done after its end.
	endTime = 10 * time.Second
)

// visitKey is an invocation, and how it treats what is known.
type visitKey struct {
	invocation string
	force      bool
}

// visit is an open build of a client's invocation: the first, or one more where that
// took what is known otherwise, was silent for a while, or had too many steps.
type visit struct {
	s     *Service
	key   visitKey
	id    steal.BuildID
	exp   *experience.Build
	queue *queue.Queue
	end   context.CancelFunc // of its build

	// users, steps, idle and left are guarded by s.mu.
	users, steps int
	idle         *time.Timer
	left         time.Time // by its last user

	mu     sync.Mutex
	names  map[action.StepID]action.Sharing
	leases map[action.StepID]store.Lease // of what steps make
}

// enter finds a build of an invocation, or begins one. as is what the invocation is
// called.
func (s *Service) enter(k visitKey, as string) *visit {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.visits[k]
	if v == nil && len(s.open) >= maxVisits {
		k.invocation = "" // one build for all that are too many
		v = s.visits[k]
	}
	if v == nil || v.steps >= maxSteps {
		s.room()
		v = s.begin(k, as)
		s.visits[k], s.open[v] = v, true
	}
	v.users++
	v.steps++
	if v.idle != nil {
		v.idle.Stop()
		v.idle = nil
	}
	return v
}

// room ends the build that waits for longest if too many do. It is called with s.mu
// held.
func (s *Service) room() {
	var longest *visit
	idle := 0
	for v := range s.open {
		if v.idle == nil {
			continue
		}
		if idle++; longest == nil || v.left.Before(longest.left) {
			longest = v
		}
	}
	if idle >= maxIdle {
		longest.idle.Reset(0)
	}
}

// leave is the end of an operation. A build that nobody uses goes on for a while.
func (s *Service) leave(v *visit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.users--; v.users == 0 {
		v.left = time.Now()
		v.idle = time.AfterFunc(idleTime, func() { s.close(v) })
	}
}

// retire has the next action of the invocation begin another build.
func (s *Service) retire(v *visit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.visits[v.key] == v {
		delete(s.visits, v.key)
	}
}

// close ends a build that nobody uses.
func (s *Service) close(v *visit) {
	s.mu.Lock()
	if v.idle == nil || s.closed {
		s.mu.Unlock()
		return // it is used again, or ended with all others
	}
	s.ending.Add(1)
	defer s.ending.Done()
	if s.visits[v.key] == v {
		delete(s.visits, v.key)
	}
	delete(s.open, v)
	s.mu.Unlock()
	v.finish()
}

// closeAll ends all builds when nobody executes any more.
func (s *Service) closeAll() {
	s.mu.Lock()
	open := s.open
	s.open = nil
	s.mu.Unlock()
	var all sync.WaitGroup
	for v := range open {
		if v.idle != nil {
			v.idle.Stop()
		}
		all.Go(v.finish)
	}
	all.Wait()
}

// begin is called with s.mu held.
func (s *Service) begin(k visitKey, as string) *visit {
	v := &visit{
		s: s, key: k, id: steal.BuildID(as + "-" + strings.ToLower(rand.Text()[:8])),
		leases: map[action.StepID]store.Lease{}, names: map[action.StepID]action.Sharing{},
	}
	v.exp = experience.New(s.opts.Costs, s.opts.Members, s.opts.Log)
	life, end := context.WithCancel(context.Background())
	v.end = end
	v.queue = queue.New(life, queue.Options{
		Build: v.id, As: as, Scheduler: s.opts.Scheduler, Settle: s.opts.Settle, Speed: v.exp.Speed, Secure: v.secure,
		Emit: func(e event.Event) { s.opts.Invocations.Tell(k.invocation, e) }, Led: func(peer.ID, uint64) {},
		Modes: steal.Modes{KeepGoing: true, Force: k.force, Copies: steal.BothKeep},
	})
	return v
}

// share notes who may use what a step makes.
func (v *visit) share(step *action.Step) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.names[step.ID] = step.Sharing
}

// hold has what a step makes stay here until release is called. Then its client was
// told, and what it was told of is promised: to hold all that a build makes would
// need room for all of it.
func (v *visit) hold(step action.StepID) (release func()) {
	l := v.s.opts.Leases.Lease()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.leases[step] = l
	return func() {
		l.Release()
		v.mu.Lock()
		defer v.mu.Unlock()
		delete(v.leases, step)
	}
}

// secure brings what a step made into this node's store.
func (v *visit) secure(ctx context.Context, step action.StepID, d *steal.Done) error {
	o, res := &v.s.opts, &d.Entry.Result
	v.mu.Lock()
	lease, wanted := v.leases[step]
	v.mu.Unlock()
	if !wanted { // nobody waits for it any more
		lease = o.Leases.Lease()
		defer lease.Release()
	}
	files, dirs := res.Blobs()
	lease.Hold(files...)
	if _, err := o.Fetcher.Fetch(ctx, files, d.Holders); err != nil {
		return fmt.Errorf("outputs of %s: %w", step, err)
	}
	for _, dir := range dirs {
		if _, err := o.Fetcher.FetchTree(ctx, dir, d.Holders, lease.Hold); err != nil {
			return fmt.Errorf("outputs of %s: %w", step, err)
		}
	}
	blobs, err := store.Closure(ctx, o.Blobs, res)
	if err != nil {
		return fmt.Errorf("outputs of %s: %w", step, err)
	}
	lease.Hold(blobs...)
	v.mu.Lock()
	shared := v.names[step] == action.Shared
	v.mu.Unlock()
	if res.OK() && shared {
		if err := o.Actions.Put(ctx, d.Entry); err != nil {
			return fmt.Errorf("result of %s: %w", step, err)
		}
	}
	o.Provide(blobs...)
	return nil
}

// finish ends the build.
func (v *visit) finish() {
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	v.queue.Close(ctx)
	v.end()
	v.queue.Wait()
	if kinds := v.exp.Keep(); len(kinds) > 0 {
		v.s.opts.Hearsay.Tell(kinds)
	}
}
