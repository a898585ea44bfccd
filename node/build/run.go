package build

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/event/tally"
	"github.com/buildnet/buildnet/node/experience"
	"github.com/buildnet/buildnet/node/profile"
	"github.com/buildnet/buildnet/node/project"
	"github.com/buildnet/buildnet/node/worktree"
	"github.com/buildnet/buildnet/sched"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store"
)

// errSteps says that steps failed; each was told of by its event.
var errSteps = errors.New("steps failed")

// run is one build on its way. Its fields are set phase by phase, by the
// goroutine of do.
type run struct {
	opts    Options
	req     Request
	emit    func(event.Event)
	started time.Time
	lease   store.Lease

	trees      *trees
	tree       *worktree.Tree
	config     *project.Config
	configName string
	source     []byte // of config
	profile    profile.Chosen
	localBy    string   // why no other machine is asked
	batches    *batches // nil: each result for itself
	brought    brought
	silent     map[peer.ID]bool // who did not give what it had made
	plan       *project.Plan
	reuses     bool // sources that an earlier build made
	selected   []*project.Step
	snapshot   *worktree.Snapshot

	tally    *tally.Tally
	journal  *journal
	told     atomic.Pointer[journal] // the same, for those who follow
	recorder *recorder
	dirs     *directories
	sources  []string    // that selected steps read, sorted
	sizes    []inputSize // of the steps of graph
	graph    *action.Graph
	specs    []sealedSpec

	// outcomes has a result for each step that has a good one.
	outcomes map[action.StepID]*action.Result
	differs  []string
	exp      *experience.Build
	forecast *event.Forecast
	choices  *event.Choices
	leader   peer.ID
	epoch    uint64
	blame    blame
	in, out  int64 // bytes moved by this node before the build
}

// do takes the build through its phases. Once BuildStarted is told,
// BuildFinished follows whatever happens.
func (r *run) do(ctx context.Context) error {
	r.in, r.out = r.opts.Moved()
	if err := r.open(ctx); err != nil {
		return err
	}
	if err := r.checkWish(ctx); err != nil {
		return err
	}
	if !r.req.Modes.Force {
		skipped, err := r.instantSkip(ctx)
		if err != nil || skipped {
			return err
		}
	}
	if err := r.choose(ctx); err != nil {
		return err
	}
	if err := r.chooseProfile(ctx); err != nil {
		return err
	}
	r.begin(len(r.selected))
	return r.finish(ctx, r.work(ctx))
}

// begin tells that the build runs.
func (r *run) begin(steps int) {
	r.journal = newJournal(r.emit)
	r.told.Store(r.journal)
	r.emit = r.journal.add
	r.tally = tally.New(string(r.req.ID), r.opts.Self, steps, r.emit)
	r.dirs = newDirectories(r.opts.Store)
	r.silent = map[peer.ID]bool{}
	r.outcomes = make(map[action.StepID]*action.Result, steps)
	started := event.BuildStarted{
		Build: string(r.req.ID), Root: r.req.Root, Targets: r.req.Targets, Steps: steps,
		Members: r.members(), Names: map[string]string{},
	}
	for _, m := range r.opts.Members() {
		started.Names[string(m.ID)] = m.Name
	}
	r.emit(started)
}

// members counts those that are alive, this node included.
func (r *run) members() int {
	n := 1
	for _, m := range r.opts.Members() {
		if m.State == peer.Alive && !m.Self {
			n++
		}
	}
	return n
}

// work is everything between BuildStarted and BuildFinished.
func (r *run) work(ctx context.Context) error {
	if err := r.preBuild(ctx); err != nil {
		return err
	}
	steps, err := r.prepare(ctx)
	if err != nil {
		return err
	}
	if r.graph, err = graphOf(steps); err != nil {
		return err
	}
	given, err := r.known(ctx)
	if err != nil {
		return err
	}
	if len(given) < r.graph.Len() {
		err = r.schedule(ctx, given)
	}
	return r.conclude(ctx, err)
}

// schedule gives the build to the leader that will be elected for it.
func (r *run) schedule(ctx context.Context, given []steal.Given) error {
	if text := r.opts.Settle(ctx); text != "" {
		r.notice(event.Warning, "%s", text)
	}
	r.expect(ctx, given)
	r.stay()
	r.req.Modes = r.modes()
	r.recorder = newRecorder(r, given)
	defer r.recorder.mark(func(m *event.Marks) *int64 { return &m.ScheduledUS })
	plan := &steal.Plan{Graph: r.graph, Given: given, Modes: r.req.Modes}
	var watching sync.WaitGroup
	defer watching.Wait()
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	if r.profile.Network == profile.BatchTransfers {
		r.batches = &batches{fetch: r.opts.Fetcher.Fetch, ctx: ctx}
	}
	o := &observer{run: r, abort: abort, eta: r.estimate(given), watched: newWatched(string(r.req.ID), r.emit), choices: newChoices(time.Now())}
	watching.Go(func() { o.watched.run(ctx) })
	build := sched.Build{ID: r.req.ID, Plan: plan}
	if r.opts.Unfinished != nil {
		build.Log, build.Lost = r.resumed(given), r.opts.Self
		o.ledger = r.beginLedger()
		watching.Go(func() { o.ledger.run(ctx) })
		defer func() {
			if err := finished(r.opts.Unfinished, r.req.ID); err != nil {
				o.ledger.warn(err)
			}
		}()
	}
	defer r.tellCosts()
	if err := r.opts.Scheduler.Build(ctx, build, o); err != nil {
		return fmt.Errorf("build %s: %w", r.req.Root, errors.Join(aborted(ctx), err))
	}
	if o.failed > 0 {
		return fmt.Errorf("%d %w", o.failed, errSteps)
	}
	r.forecast = o.eta.forecast(r.started, time.Now())
	r.choices = o.choices.summary(r.graph.Steps(), r.hereAlone())
	return nil
}

// aborted returns why the build itself ended its scheduling, if it did.
func aborted(ctx context.Context) error {
	if cause := context.Cause(ctx); errors.Is(cause, store.ErrFull) {
		return cause
	}
	return nil
}

// conclude brings into the tree what was made, and after a success makes the
// state that the next instant skip compares with. cause is why the build did
// not succeed.
func (r *run) conclude(ctx context.Context, cause error) error {
	if err := ctx.Err(); err != nil {
		return errors.Join(cause, err)
	}
	if cause != nil && !errors.Is(cause, errSteps) {
		return cause
	}
	if err := r.place(ctx, cause == nil); err != nil || cause != nil {
		return errors.Join(cause, err)
	}
	if err := r.postBuild(ctx); err != nil {
		return err
	}
	return r.seal(ctx)
}

// finish tells the end of the build and writes it down.
func (r *run) finish(ctx context.Context, err error) error {
	r.accuse()
	r.exhume()
	f := r.tally.Close()
	f.OK = err == nil
	f.Cancelled = ctx.Err() != nil
	if err != nil && !errors.Is(err, errSteps) && !f.Cancelled {
		f.Error = err.Error()
	}
	f.Forecast, f.Choices = r.forecast, r.choices
	f.Policy = r.policy()
	f.Differs, f.Leader, f.Epoch = r.differs, string(r.leader), r.epoch
	r.measure(&f)
	r.record(f)
	r.emit(f)
	return err
}

func (r *run) measure(f *event.BuildFinished) {
	in, out := r.opts.Moved()
	f.BytesIn, f.BytesOut = in-r.in, out-r.out
	f.WallMS = float64(time.Since(r.started).Microseconds()) / 1000
}

func (r *run) notice(level event.Level, format string, args ...any) {
	r.emit(event.Notice{Build: string(r.req.ID), Level: level, Text: fmt.Sprintf(format, args...)})
}
