// Package queue is the open build of somebody who does not know at its beginning
// what is going to be asked for: steps are added one by one, and each has somebody
// who waits for it. Its I/O is the scheduler's. Start reading at Queue.Run.
package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/sched"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store"
)

// ErrNoResult says that a step came to nothing for a reason that is not its
// command's.
var ErrNoResult = errors.New("no machine brought a result")

// ErrOver says that the build is over, or never began: a new one may do better. It
// comes with ErrNoResult.
var ErrOver = errors.New("the build is over")

// ErrNoRoom says that there is no room for what a step makes, here or where it ran: to
// ask again at once is of no use. It comes with ErrNoResult.
var ErrNoRoom = errors.New("no room for what it makes")

// Scheduler runs what is asked for.
type Scheduler interface {
	Open(ctx context.Context, b sched.Build, o sched.Observer) (*sched.Session, error)
}

// Options are whose build it is. Emit, Speed, Led and Secure may be called
// concurrently.
type Options struct {
	Build steal.BuildID
	// As is what events call the build; "" is by its ID.
	As        string
	Modes     steal.Modes
	Scheduler Scheduler
	// Settle waits until it is clear who is in the mesh, and returns what a user
	// should know about it, or "".
	Settle func(ctx context.Context) string
	// Emit tells of the build, but not of what came of a step.
	Emit func(event.Event)
	// Speed is what a step gets of a member, in BPU.
	Speed func(peer.ID) float64
	// Led says who leads.
	Led func(leader peer.ID, epoch uint64)
	// Secure brings the outputs of a result here. An error has the step run again.
	Secure func(ctx context.Context, step action.StepID, d *steal.Done) error
}

// Queue is such a build, begun with its first step. It is the observer of it. All
// methods but those of sched.Observer may be called concurrently.
type Queue struct {
	opts Options
	life context.Context
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

var _ sched.Observer = (*Queue)(nil)

// ticket is who waits for a step.
type ticket struct {
	name    action.StepID
	cost    float64
	started func(by peer.ID)
	done    chan struct{} // closed when what follows is set
	d       *steal.Done
	err     error
}

// New returns a queue whose build ends with life, if not before.
func New(life context.Context, opts Options) *Queue {
	if opts.As == "" {
		opts.As = string(opts.Build)
	}
	return &Queue{opts: opts, life: life, turn: make(chan struct{}, 1), tickets: map[steal.Step]*ticket{}}
}

// Run has a step run by some member, and brings its outputs here. ErrNoResult
// says that it has to be run otherwise. started, unless nil, is called without
// waiting when a member begins to run it, which may happen more than once.
func (q *Queue) Run(ctx context.Context, step action.Step, started func(by peer.ID)) (*steal.Done, error) {
	at, t, err := q.add(ctx, step, started)
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

func (q *Queue) add(ctx context.Context, step action.Step, started func(peer.ID)) (steal.Step, *ticket, error) {
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
	t := &ticket{name: step.ID, cost: step.Cost, started: started, done: make(chan struct{})}
	if err := q.expect(q.next, t); err != nil {
		return 0, nil, err
	}
	at, err := q.session.Add(step)
	if err != nil {
		q.answer(q.next, nil, err)
		if errors.Is(err, sched.ErrEnded) || errors.Is(err, steal.ErrShut) {
			err = fmt.Errorf("%w: %w", ErrOver, err)
		}
		return 0, nil, fmt.Errorf("%w: %w", ErrNoResult, err)
	}
	q.next++
	return at, t, nil
}

// expect has a ticket told of the next step.
func (q *Queue) expect(at steal.Step, t *ticket) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.over != nil {
		return q.over
	}
	q.tickets[at] = t
	return nil
}

// begin begins the build. It goes on until the life of the queue ends.
func (q *Queue) begin() {
	if text := q.opts.Settle(q.life); text != "" {
		q.Note(text)
	}
	none, err := action.NewGraph(nil)
	if err == nil {
		q.session, err = q.opts.Scheduler.Open(q.life, sched.Build{ID: q.opts.Build, Plan: &steal.Plan{Graph: none, Modes: q.opts.Modes}}, q)
	}
	if err != nil {
		q.failed = fmt.Errorf("%w: %w: %w", ErrNoResult, ErrOver, err)
		return
	}
	q.ended = make(chan struct{})
	go func() {
		defer close(q.ended)
		err := q.session.Run()
		if err == nil {
			err = sched.ErrEnded
		}
		q.end(fmt.Errorf("%w: %w: %w", ErrNoResult, ErrOver, err))
	}()
}

// end tells all who wait that nothing more comes.
func (q *Queue) end(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.over = err
	for at, t := range q.tickets {
		t.err = err
		close(t.done)
		delete(q.tickets, at)
	}
}

// Close lets the build come to its end by itself, for a short while: then all of
// its members part in order.
func (q *Queue) Close(ctx context.Context) {
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

// Wait returns when the build is over, which it is soon after its life.
func (q *Queue) Wait() {
	q.turn <- struct{}{} // nobody adds any more
	defer func() { <-q.turn }()
	if q.ended != nil {
		<-q.ended
	}
}

// answer tells whoever waits for a step what came of it.
func (q *Queue) answer(at steal.Step, d *steal.Done, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if t := q.tickets[at]; t != nil {
		t.d, t.err = d, err
		close(t.done)
		delete(q.tickets, at)
	}
}

// known returns the ticket of a step that somebody waits for.
func (q *Queue) known(at steal.Step) (ticket, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if t := q.tickets[at]; t != nil {
		return *t, true
	}
	return ticket{}, false
}

// Elected implements sched.Observer.
func (q *Queue) Elected(leader peer.ID, standbys []peer.ID, epoch uint64) {
	q.opts.Led(leader, epoch)
	q.opts.Emit(event.LeaderElected{Build: q.opts.As, Leader: string(leader), Standbys: texts(standbys), Epoch: epoch})
}

func texts(ids []peer.ID) []string {
	out := make([]string, 0, len(ids))
	for _, id := range ids {
		out = append(out, string(id))
	}
	return out
}

// Started implements sched.Observer.
func (q *Queue) Started(at steal.Step, by peer.ID) {
	t, ok := q.known(at)
	if !ok {
		return
	}
	q.opts.Emit(event.StepStarted{Build: q.opts.As, Step: string(t.name), Peer: string(by), ExpectedMS: int64(1000 * t.cost / q.opts.Speed(by))})
	if t.started != nil {
		t.started(by)
	}
}

// Secure implements sched.Observer: the outputs come into this node's store. If there
// is no room for them the step is over: to run it elsewhere brings them here again.
func (q *Queue) Secure(ctx context.Context, at steal.Step, d *steal.Done) error {
	t, _ := q.known(at)
	err := q.opts.Secure(ctx, t.name, d)
	if errors.Is(err, store.ErrFull) {
		q.answer(at, nil, fmt.Errorf("%w: %w: %w", ErrNoResult, ErrNoRoom, err))
		q.session.Cancel(at)
	}
	return err
}

// Finished implements sched.Observer.
func (q *Queue) Finished(at steal.Step, d *steal.Done) { q.answer(at, d, nil) }

// Failed implements sched.Observer.
func (q *Queue) Failed(at steal.Step, why string) {
	if strings.Contains(why, steal.NoRoom) || strings.Contains(why, store.ErrFull.Error()) {
		q.answer(at, nil, fmt.Errorf("%w: %w: %s", ErrNoResult, ErrNoRoom, why))
		return
	}
	q.answer(at, nil, fmt.Errorf("%w: %s", ErrNoResult, why))
}

// Note implements sched.Observer.
func (q *Queue) Note(text string) {
	q.opts.Emit(event.Notice{Build: q.opts.As, Level: event.Warning, Text: text})
}

// Weakened implements sched.Observer.
func (q *Queue) Weakened(mode steal.Mode, lost []peer.ID) {
	q.opts.Emit(event.BuildWeakened{Build: q.opts.As, Mode: mode.String(), Lost: texts(lost)})
}

// Watched implements sched.Observer: whoever watches a build that grows sees its
// steps begin and end.
func (q *Queue) Watched(*steal.Event) {}
