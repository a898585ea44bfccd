package sched

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/claim"
	"github.com/buildnet/buildnet/sched/registry"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store/digest"
)

// maxPublishing results of a build are given to their owners at once.
const maxPublishing = 256

// turnEvery is how soon a leader takes what has come after it last did: what
// comes between is done together. A few turns in a row follow at once, so that a
// step that comes alone does not wait; what presses nobody always does. In an open
// build a step comes alone more often, and all that is said of it presses: that it is
// there, what action it is, that it is done, that the log is safe. It has its turns
// openEvery, since each of them adds to what a step takes that comes after another.
const (
	turnEvery = 2 * time.Millisecond
	turnBurst = 3
	openEvery = 500 * time.Microsecond
	openBurst = 8
)

// leading drives the Leader of one epoch of a build.
type leading struct {
	s       *Service
	build   steal.BuildID
	opts    steal.LeaderOptions
	scope   registry.Scope
	box     mailbox
	inbox   *inbox // what is for the machine, and takes its turn
	dirs    *directories
	parcels parcels
	publish *semaphore.Weighted

	// Owned by run.
	machine *steal.Leader
	links   map[peer.ID]*link
	over    bool
	turns   turns
	written written
	tenure  *tenure

	ctx    context.Context // of resolving and dialling; ends with the reign
	cancel context.CancelFunc
	// work is resolving and dialling, published what may go on after the end.
	work, published *gang

	mu     sync.Mutex
	claims map[digest.Digest]steal.Step
	// latest is what each step claimed last.
	latest map[steal.Step]digest.Digest
	// asking are the claims that are not answered, in the order of their asking.
	asking map[digest.Digest][]*asking
}

// reign makes this node the leader of a build, as t says.
func (s *Service) reign(build steal.BuildID, t *steal.TakeOver, plan *steal.Plan) error {
	if t.Epoch.Leader != s.opts.Self {
		return fmt.Errorf("lead build %s: epoch %d is of %s: %w", build, t.Epoch.Number, t.Epoch.Leader, errMalformed)
	}
	l := &leading{
		s: s, build: build, box: newMailbox(), inbox: newInbox(), links: map[peer.ID]*link{},
		claims: map[digest.Digest]steal.Step{}, latest: map[steal.Step]digest.Digest{}, turns: newTurns(plan.Open),
		asking: map[digest.Digest][]*asking{},
		work:   newGang(), published: newGang(), publish: semaphore.NewWeighted(maxPublishing),
		scope: registry.Scope{Build: claim.Build(build), Initiator: t.Initiator, Reach: registry.Mesh},
		opts: steal.LeaderOptions{
			Self: s.opts.Self, Initiator: t.Initiator, Epoch: t.Epoch, Plan: plan, PlanDigest: t.Plan,
			Log: t.Log, Predecessor: t.Predecessor, Chance: rand.Float64,
		},
	}
	if plan.Modes.Local {
		l.scope.Reach = registry.Alone
	}
	l.tenure = newTenure(l)
	l.dirs = newDirectories(s, t.Initiator)
	l.dirs.ahead = newAhead(plan.Graph.Steps(), l.work)
	key, limit := ledKey{build, t.Epoch}, maxLed
	if t.Initiator == s.opts.Self {
		limit += maxOwn
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return ErrClosed
	case s.led[key] != nil:
		return nil // it is asked for twice
	case len(s.led) >= limit:
		return fmt.Errorf("lead build %s: this node leads %d builds already; try again later", build, limit)
	}
	s.led[key] = l
	l.ctx, l.cancel = context.WithCancel(s.life)
	s.running.Go(func() {
		defer s.dethrone(key)
		l.run()
	})
	return nil
}

func (s *Service) dethrone(key ledKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.led, key)
}

func (l *leading) run() {
	defer l.leave()
	l.opts.Members = l.s.alive()
	machine, err := steal.NewLeader(l.opts)
	if err != nil {
		l.s.opts.Log.Warn("build not led", "build", l.build, "error", err)
		return
	}
	l.machine, l.opts = machine, steal.LeaderOptions{Initiator: l.opts.Initiator, Epoch: l.opts.Epoch, Plan: l.opts.Plan}
	l.s.opts.Log.Info("leading", "build", l.build, "epoch", l.opts.Epoch.Number)
	changes, end := l.s.opts.Changes()
	defer end()
	beat := time.NewTicker(steal.BeatEvery)
	defer beat.Stop()
	defer l.turns.stop()
	l.do(l.machine.Tick(time.Now()))
	for !l.over {
		select {
		case <-l.s.life.Done():
			return
		case <-l.inbox.filled:
			if l.turns.due(time.Now(), l.inbox.presses()) {
				l.takeTurn()
			}
		case <-l.turns.timer.C:
			l.takeTurn()
		case <-beat.C:
			l.takeTurn()
			l.do(l.machine.Tick(time.Now()))
			l.tenure.look(time.Now())
		case <-changes:
			l.do(l.machine.Meet(time.Now(), l.s.alive()))
		case f := <-l.box.in:
			l.takeTurn() // what came before it
			f()
		}
	}
}

// takeTurn does all that has come as one.
func (l *leading) takeTurn() {
	all, urgent := l.inbox.take()
	now := time.Now()
	if l.turns.begin(now, urgent); len(all) == 0 {
		return
	}
	l.do(l.machine.Together(now, func() {
		for _, f := range all {
			f()
		}
	}))
}

// leave ends what is left of a reign. What was executed is still published.
func (l *leading) leave() {
	close(l.box.done)
	l.inbox.close()
	l.cancel()
	for _, k := range l.links {
		k.finish()
	}
	l.work.Wait()
	l.tenure.end()
	l.published.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	for a := range l.claims {
		l.s.opts.Results.Release(l.scope, a)
	}
}

// do carries out what the machine wants, in its order.
func (l *leading) do(out steal.Output) {
	for _, d := range out.Dials {
		l.dial(d)
	}
	for _, m := range out.Sends {
		l.send(m)
	}
	for _, id := range out.Hangups {
		if k, ok := l.links[id]; ok {
			delete(l.links, id)
			k.finish()
		}
	}
	for _, a := range out.Releases {
		l.release(a) // before a step is resolved that may claim it again
	}
	for _, r := range out.Resolves {
		l.work.Go(func() {
			if resolved, tell := l.resolve(l.ctx, r); tell {
				l.resolved(resolved)
			}
		})
	}
	for _, p := range out.Publishes {
		waits := l.made(p.Entry.Action)
		l.published.Go(func() {
			for _, b := range waits {
				<-b.over
			}
			l.tell(p.Entry)
		})
	}
	l.over = l.over || out.Over
}

func (l *leading) send(m steal.Send) {
	k, ok := l.links[m.To]
	if !ok {
		return // it broke; the machine hears of it in its turn
	}
	if a, ok := m.Msg.(steal.Assign); ok {
		a.Messages = l.parcels.of(a.Action)
		m.Msg = a
	}
	if err := k.send(m.Msg); err != nil {
		l.s.opts.Log.Debug("message not sent", "build", l.build, "peer", m.To, "error", err)
	}
}

var errOccupied = errors.New("it is occupied")

// dial opens a stream beside, and reads it. Of a member that serves what this
// build goes on with, the initiator is told, who may have to give it up.
func (l *leading) dial(d steal.Dial) {
	l.work.Go(func() {
		var first steal.Message
		k, err := l.s.dial(l.ctx, d.To, envelope{l.build, l.opts.Epoch, d.Hello})
		if err == nil {
			first, err = k.answer(l.ctx)
		}
		if o, ok := first.(steal.Occupied); ok && err == nil {
			l.occupied(d.To, k, o)
			return
		}
		if err != nil {
			l.s.opts.Log.Debug("member not reached", "build", l.build, "peer", d.To, "error", err)
			l.box.post(func() { l.do(l.machine.Closed(time.Now(), d.To)) })
			return
		}
		if !l.box.post(func() { l.opened(d.To, k, first) }) {
			k.reset(ErrClosed)
		}
	})
}

// occupied ends a stream to a member that does not join.
func (l *leading) occupied(to peer.ID, k *link, o steal.Occupied) {
	err := fmt.Errorf("%w by build %s of %s", errOccupied, o.Build, o.Initiator)
	k.reset(err)
	l.s.opts.Log.Debug("member not reached", "build", l.build, "peer", to, "error", err)
	l.box.post(func() {
		l.send(steal.Send{To: l.opts.Initiator, Msg: o})
		l.do(l.machine.Occupied(time.Now(), to))
	})
}

func (l *leading) opened(to peer.ID, k *link, first steal.Message) {
	if old, ok := l.links[to]; ok {
		old.reset(ErrClosed)
	}
	l.links[to], k.written = k, &l.written
	spawned := l.s.spawn(k.write) && l.s.spawn(func() {
		err := k.read(func(msg steal.Message) bool {
			return l.inbox.put(func() { l.received(to, k, msg) }, k.size, l.presses(msg))
		})
		k.reset(err)
		l.box.post(func() { l.closed(to, k, err) })
	})
	if !spawned {
		k.reset(ErrClosed)
	}
	l.do(l.machine.Opened(time.Now(), to))
	l.received(to, k, first)
}

func (l *leading) received(from peer.ID, k *link, msg steal.Message) {
	if l.links[from] == k {
		l.do(l.machine.Receive(time.Now(), from, msg))
	}
}

// presses reports whether somebody may wait for what comes of a message: a worker
// for work, or the user of an open build for an announcement, behind which comes the
// next step.
func (l *leading) presses(msg steal.Message) pressing {
	switch msg.(type) {
	case steal.Ack:
		return pressing(l.opts.Plan.Open)
	case steal.Beat, steal.Started, steal.Secured, steal.Progress, steal.Status:
		return false
	default:
		return true
	}
}

func (l *leading) closed(from peer.ID, k *link, why error) {
	if l.links[from] != k {
		return
	}
	delete(l.links, from)
	l.s.opts.Log.Debug("member's stream ended", "build", l.build, "peer", from, "error", why)
	l.do(l.machine.Closed(time.Now(), from))
}

// claimed notes a claim at once, so that it is let go however the reign ends.
// A step that has become another action needs what it claimed before no more.
func (l *leading) claimed(step steal.Step, a digest.Digest) {
	l.mu.Lock()
	before, ok := l.latest[step]
	_, held := l.claims[before]
	stale := ok && held && before != a
	if stale {
		delete(l.claims, before)
		l.withdraw(before)
	}
	l.claims[a], l.latest[step] = step, a
	l.mu.Unlock()
	if stale {
		l.s.opts.Results.Release(l.scope, before)
	}
}

// wants reports whether a claim is still of use.
func (l *leading) wants(a digest.Digest) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.claims[a]
	return ok
}

func (l *leading) unclaimed(a digest.Digest) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	step, had := l.claims[a]
	delete(l.claims, a)
	if had && l.latest[step] == a {
		delete(l.latest, step)
	}
	return had
}

// release ends the claim of an action, and what is asked for it.
func (l *leading) release(a digest.Digest) {
	if !l.unclaimed(a) {
		return
	}
	l.mu.Lock()
	l.withdraw(a)
	l.mu.Unlock()
	l.s.opts.Results.Release(l.scope, a)
}

// withdraw ends what is asked for an action; l.mu is held.
func (l *leading) withdraw(a digest.Digest) {
	for _, c := range l.asking[a] {
		c.withdraw()
	}
}

// tell gives a result to the mesh. The initiator is named as a holder of the
// outputs because it is bringing them to itself.
func (l *leading) tell(e action.Entry) {
	if err := l.publish.Acquire(l.s.life, 1); err != nil {
		return
	}
	defer l.publish.Release(1)
	modes := l.opts.Plan.Modes
	if modes.Exchange == steal.TakeOnly {
		return
	}
	holders := []peer.ID{e.Executor}
	switch {
	case modes.Copies == steal.InitiatorKeeps:
		holders = []peer.ID{l.opts.Initiator}
	case modes.Copies == steal.BothKeep && l.opts.Initiator != e.Executor:
		holders = append(holders, l.opts.Initiator)
	}
	if err := l.s.opts.Results.Publish(l.s.life, l.scope, e, holders); err != nil {
		l.s.opts.Log.Warn("result not published", "build", l.build, "action", e.Action, "error", err)
	}
	l.unclaimed(e.Action)
}
