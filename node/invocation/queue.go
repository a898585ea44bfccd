package invocation

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/sched"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// errNoResult says that a step came to nothing for a reason that is not its
// command's.
var errNoResult = errors.New("no machine brought a result")

// queue is the open build of an invocation, begun with its first step. It is the
// observer of it.
type queue struct {
	v *invocation
	// turn is held by whoever adds a step, and uses the fields below.
	turn    chan struct{}
	session *sched.Session
	failed  error // there is no build
	next    steal.Step
	ended   chan struct{} // closed when the build is over; nil before it began

	mu      sync.Mutex
	over    error // why nothing more comes
	tickets map[steal.Step]*ticket
}

var _ sched.Observer = (*queue)(nil)

// ticket is who waits for a step.
type ticket struct {
	name action.StepID
	cost float64
	done chan struct{} // closed when what follows is set
	d    *steal.Done
	err  error
}

func newQueue(v *invocation) *queue {
	return &queue{v: v, turn: make(chan struct{}, 1), tickets: map[steal.Step]*ticket{}}
}

// run has a step run by some member, and brings its outputs here. errNoResult
// says that it has to be run otherwise.
func (q *queue) run(ctx context.Context, step action.Step) (*steal.Done, error) {
	at, t, err := q.add(ctx, step)
	if err != nil {
		return nil, err
	}
	select {
	case <-t.done:
		return t.d, t.err
	case <-ctx.Done():
		q.session.Cancel(at)
		return nil, ctx.Err()
	}
}

func (q *queue) add(ctx context.Context, step action.Step) (steal.Step, *ticket, error) {
	select {
	case q.turn <- struct{}{}:
	case <-ctx.Done():
		return 0, nil, ctx.Err()
	}
	defer func() { <-q.turn }()
	if q.session == nil && q.failed == nil {
		q.begin()
	}
	if q.failed != nil {
		return 0, nil, q.failed
	}
	t := &ticket{name: step.ID, cost: step.Cost, done: make(chan struct{})}
	if err := q.expect(q.next, t); err != nil {
		return 0, nil, err
	}
	at, err := q.session.Add(step)
	if err != nil {
		q.answer(q.next, nil, err)
		return 0, nil, fmt.Errorf("%w: %w", errNoResult, err)
	}
	q.next++
	return at, t, nil
}

// expect has a ticket told of the next step.
func (q *queue) expect(at steal.Step, t *ticket) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.over != nil {
		return q.over
	}
	q.tickets[at] = t
	return nil
}

// begin begins the build. It goes on until the invocation ends.
func (q *queue) begin() {
	v := q.v
	if text := v.s.opts.Settle(v.life); text != "" {
		v.notice(event.Warning, "%s", text)
	}
	none, err := action.NewGraph(nil)
	if err == nil {
		q.session, err = v.s.opts.Scheduler.Open(v.life, sched.Build{ID: v.id, Plan: &steal.Plan{Graph: none, Modes: v.modes}}, q)
	}
	if err != nil {
		q.failed = fmt.Errorf("%w: %w", errNoResult, err)
		return
	}
	q.ended = make(chan struct{})
	go func() {
		defer close(q.ended)
		err := q.session.Run()
		if err == nil {
			err = sched.ErrEnded
		}
		q.end(fmt.Errorf("%w: %w", errNoResult, err))
	}()
}

// end tells all who wait that nothing more comes.
func (q *queue) end(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.over = err
	for at, t := range q.tickets {
		t.err = err
		close(t.done)
		delete(q.tickets, at)
	}
}

// close lets the build come to its end by itself, for a short while: then all of
// its members part in order.
func (q *queue) close(ctx context.Context) {
	q.turn <- struct{}{} // nobody adds any more
	defer func() { <-q.turn }()
	if q.ended == nil {
		return
	}
	q.session.Close()
	ctx, cancel := context.WithTimeout(ctx, closeTime)
	defer cancel()
	select {
	case <-q.ended:
	case <-ctx.Done():
	}
}

// closeTime is how long a build may take to end of which all steps have.
const closeTime = time.Second

// wait returns when the build is over, which it is soon after the invocation's
// life.
func (q *queue) wait() {
	q.turn <- struct{}{} // nobody adds any more
	defer func() { <-q.turn }()
	if q.ended != nil {
		<-q.ended
	}
}

// answer tells whoever waits for a step what came of it.
func (q *queue) answer(at steal.Step, d *steal.Done, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if t := q.tickets[at]; t != nil {
		t.d, t.err = d, err
		close(t.done)
		delete(q.tickets, at)
	}
}

func (q *queue) nameOf(at steal.Step) action.StepID {
	name, _ := q.known(at)
	return name
}

// known returns the name of a step that somebody waits for, and its expected cost.
func (q *queue) known(at steal.Step) (action.StepID, float64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if t := q.tickets[at]; t != nil {
		return t.name, t.cost
	}
	return "", 0
}

// Elected implements sched.Observer.
func (q *queue) Elected(leader peer.ID, standbys []peer.ID, epoch uint64) {
	v := q.v
	v.mu.Lock()
	v.leader, v.epoch = leader, epoch
	v.mu.Unlock()
	v.emit(event.LeaderElected{Build: string(v.id), Leader: string(leader), Standbys: texts(standbys), Epoch: epoch})
}

func texts(ids []peer.ID) []string {
	out := make([]string, 0, len(ids))
	for _, id := range ids {
		out = append(out, string(id))
	}
	return out
}

// Started implements sched.Observer.
func (q *queue) Started(at steal.Step, by peer.ID) {
	if name, cost := q.known(at); name != "" {
		q.v.emit(event.StepStarted{Build: string(q.v.id), Step: string(name), Peer: string(by), ExpectedMS: int64(1000 * cost / q.v.exp.Speed(by))})
	}
}

// Secure implements sched.Observer: the outputs come into this node's store and
// stay there while the invocation goes on.
func (q *queue) Secure(ctx context.Context, at steal.Step, d *steal.Done) error {
	v, res := q.v, &d.Entry.Result
	var blobs []digest.Digest
	for _, o := range res.Outputs {
		if o.Kind != action.File {
			return nil // it is not believed later on
		}
		blobs = append(blobs, o.Digest)
	}
	if !res.Stdout.IsZero() {
		blobs = append(blobs, res.Stdout)
	}
	v.lease.Hold(blobs...)
	if !v.modes.Local {
		if _, err := v.s.opts.Fetcher.Fetch(ctx, blobs, d.Holders); err != nil {
			return fmt.Errorf("outputs of %s: %w", q.nameOf(at), err)
		}
	}
	if _, err := store.Closure(ctx, v.s.opts.Store, res); err != nil {
		return fmt.Errorf("outputs of %s: %w", q.nameOf(at), err)
	}
	if !res.OK() {
		return nil
	}
	if err := v.keep(ctx, d.Entry, blobs); err != nil {
		return fmt.Errorf("result of %s: %w", q.nameOf(at), err)
	}
	return nil
}

// Finished implements sched.Observer.
func (q *queue) Finished(at steal.Step, d *steal.Done) { q.answer(at, d, nil) }

// Failed implements sched.Observer.
func (q *queue) Failed(at steal.Step, why string) {
	q.answer(at, nil, fmt.Errorf("%w: %s", errNoResult, why))
}

// Note implements sched.Observer.
func (q *queue) Note(text string) { q.v.notice(event.Warning, "%s", text) }

// Weakened implements sched.Observer.
func (q *queue) Weakened(mode steal.Mode, lost []peer.ID) {
	q.v.emit(event.BuildWeakened{Build: string(q.v.id), Mode: mode.String(), Lost: texts(lost)})
}

// Watched implements sched.Observer: whoever watches a build that grows sees its
// steps begin and end.
func (q *queue) Watched(*steal.Event) {}
