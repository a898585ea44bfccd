package ninja

import (
	"context"
	"errors"
	"time"

	"github.com/buildnet/buildnet/node/project/ninja"
	"github.com/buildnet/buildnet/node/project/ninja/plan"
	"github.com/buildnet/buildnet/node/project/ninja/record"
)

// errInterrupted ends a build that the user has ended.
var errInterrupted = errors.New("interrupted by user")

// errSaid ends a build whose fault has been told already.
var errSaid = errors.New("")

// fatalError ends the program at once, in ninja's manner.
type fatalError struct{ error }

func (e fatalError) Unwrap() error { return e.error }

// builder carries out one plan.
type builder struct {
	opts   Options
	disk   Disk
	dir    string // of the build, absolute
	runner Runner
	// jobs returns how many commands may run at once now.
	jobs func() int
	// shared is runner while an invocation is there; toldLost is set once the user
	// knows that it is lost.
	shared   *shared
	toldLost bool
	// notBegun counts those that were still to begin when the build had failed.
	notBegun int
	// watch is told of every command that has ended, if it is not nil.
	watch  func(Finished)
	logs   *logs
	status *status
	scan   *plan.Scan
	plan   *plan.Plan
	// load returns the load average of the machine.
	load func() float64
	// begun is when the times in the record are counted from.
	begun time.Time

	running map[*ninja.Edge]*started
	// ended gets every command that was started, and owed is how many are still
	// to come. A dry run's are in dry.
	ended chan ended
	owed  int
	dry   []ended
	// stop ends what runs.
	stop context.CancelCauseFunc
}

// started is an edge whose command runs.
type started struct {
	job   Job
	since int64 // in milliseconds
}

// ended is a command that has come to its end.
type ended struct {
	edge *ninja.Edge
	Result
}

func (b *builder) now() int64 { return time.Since(b.begun).Milliseconds() }

// build runs the plan to its end. Whatever it returns, no command runs then.
func (b *builder) build(ctx context.Context) error {
	if err := b.status.begin(b.plan.Commands); err != nil {
		return err
	}
	b.running = map[*ninja.Edge]*started{}
	b.ended = make(chan ended, 1)
	jobs, stop := context.WithCancelCause(ctx)
	b.stop = stop
	err := b.loop(ctx, jobs)
	if err != nil {
		b.abandon(ctx)
	}
	stop(nil)
	b.status.end()
	return err
}

// loop starts as many commands as it may, waits for one, and starts over.
func (b *builder) loop(ctx, jobs context.Context) error {
	allowed := b.opts.KeepGoing
	for b.plan.More() {
		if allowed > 0 && b.mayStart() {
			if e := b.plan.Next(); e != nil {
				if err := b.start(jobs, e); err != nil {
					return err
				}
				continue
			}
		}
		if len(b.running) == 0 {
			return b.stuck(allowed)
		}
		end, err := b.wait(ctx)
		if err != nil {
			return err
		}
		ok, err := b.finish(end)
		if err != nil {
			return err
		}
		if !ok && allowed > 0 {
			if allowed--; allowed == 0 && b.shared != nil {
				b.shared.hold()
			}
		}
	}
	return nil
}

func (b *builder) stuck(allowed int) error {
	switch {
	case allowed == 0 && b.opts.KeepGoing > 1:
		return errors.New("subcommands failed")
	case allowed == 0:
		return errors.New("subcommand failed")
	case allowed < b.opts.KeepGoing:
		return errors.New("cannot make progress due to previous errors")
	default:
		return errors.New("stuck [this is a bug]")
	}
}

func (b *builder) mayStart() bool {
	return b.opts.DryRun || len(b.running) < b.jobs() &&
		(len(b.running) == 0 || b.opts.MaxLoad <= 0 || b.load() < b.opts.MaxLoad)
}

// start starts an edge. A phony one is finished with that.
func (b *builder) start(jobs context.Context, e *ninja.Edge) error {
	if e.Phony() {
		return b.plan.Finished(e)
	}
	job, err := jobOf(e, b.dir)
	if err != nil {
		return err
	}
	job.Rank, job.Why = b.plan.Rank(e), b.scan.Why(e)
	if job.Generator {
		// It may want to see the record.
		if err := b.logs.touch(); err != nil {
			return err
		}
	}
	s := &started{job: job, since: b.now()}
	b.running[e] = s
	if err := b.status.start(e, s.since); err != nil {
		delete(b.running, e)
		return err
	}
	if b.opts.DryRun {
		b.dry = append(b.dry, ended{e, Result{Status: Succeeded}})
		return nil
	}
	if err := b.prepare(job); err != nil {
		delete(b.running, e)
		b.status.error("%v", err)
		return errSaid
	}
	b.owed++
	go func() { b.ended <- ended{e, b.runner.Run(jobs, job)} }()
	return nil
}

// prepare makes what a command may take for granted.
func (b *builder) prepare(job Job) error {
	for _, o := range job.Outs {
		if err := b.disk.MakeDirs(o); err != nil {
			return err
		}
	}
	if job.Rspfile == "" {
		return nil
	}
	return b.disk.WriteFile(job.Rspfile, []byte(job.RspfileContent))
}

// wait waits for a command to end, or for the user to end the build.
func (b *builder) wait(ctx context.Context) (ended, error) {
	if ctx.Err() != nil {
		return ended{}, errInterrupted
	}
	if len(b.dry) > 0 {
		end := b.dry[0]
		b.dry = b.dry[1:]
		return end, nil
	}
	select {
	case <-ctx.Done():
		return ended{}, errInterrupted
	case end := <-b.ended:
		b.owed--
		if ctx.Err() == nil && end.Status != Interrupted {
			return end, nil
		}
		if ctx.Err() == nil {
			// It was ended by a signal that only it has got: its outputs stay.
			delete(b.running, end.edge)
		}
		return ended{}, errInterrupted
	}
}

// abandon ends what runs and removes what it may have left half made.
func (b *builder) abandon(ctx context.Context) {
	b.stop(context.Cause(ctx))
	for ; b.owed > 0; b.owed-- {
		<-b.ended
	}
	if b.opts.DryRun {
		return
	}
	for _, e := range sortedEdges(b.running) {
		job := b.running[e].job
		for _, o := range e.Outputs {
			mtime, err := b.disk.Stat(o.Path)
			if err != nil {
				b.status.error("%v", err)
			}
			// A file that did not change may be needed: think of the manifest. But
			// what has a depfile may be out of date because of what that says, and
			// the depfile may be new already.
			if job.Depfile != "" || b.scan.Mtime(o) != mtime {
				b.remove(o.Path)
			}
		}
		if job.Depfile != "" {
			b.remove(job.Depfile)
		}
	}
	clear(b.running)
}

// remove removes a file, and says so if it cannot.
func (b *builder) remove(path string) {
	if _, err := b.disk.Remove(path); err != nil {
		b.status.error("%v", err)
	}
}

// finish takes note of a command that has ended, and reports whether it counts as
// succeeded.
func (b *builder) finish(end ended) (ok bool, err error) {
	e, s := end.edge, b.running[end.edge]
	delete(b.running, e)
	b.tellLost()
	if end.Status == NotBegun {
		b.withdraw(e, s.job)
		return true, nil
	}
	found, result, err := b.discover(s.job, end.Result)
	if err != nil {
		return false, err
	}
	until := b.now()
	if result.Took > 0 {
		// The time that it waited for a place to run is none of its own.
		s.since = max(0, until-result.Took.Milliseconds())
	}
	if err := b.status.finish(e, until, result); err != nil {
		return false, err
	}
	if b.watch != nil {
		b.watch(Finished{Job: s.job, Result: result, Done: b.status.finished, Total: b.plan.Commands()})
	}
	if result.Status != Succeeded {
		b.plan.Failed(e)
		return false, nil
	}
	var mtime int64
	if !b.opts.DryRun {
		if mtime, err = b.plan.Restat(e); err != nil {
			return false, err
		}
	}
	if err := b.plan.Finished(e); err != nil {
		return false, err
	}
	if s.job.Rspfile != "" && !b.opts.KeepRspfile && !b.opts.DryRun {
		b.remove(s.job.Rspfile)
	}
	return true, b.record(e, s, record.Command{Start: int(s.since), End: int(until), Mtime: mtime}, found)
}

// withdraw takes it that an edge was not begun after all: in ninja, where as many run
// as are started, it would not have been.
func (b *builder) withdraw(e *ninja.Edge, job Job) {
	b.notBegun++
	b.status.withdraw(e)
	if job.Rspfile != "" && !b.opts.KeepRspfile {
		b.remove(job.Rspfile)
	}
}

// record writes down that an edge has succeeded, and what it read.
func (b *builder) record(e *ninja.Edge, s *started, c record.Command, found []string) error {
	command, err := e.AppendCommand(nil, ninja.WithRspfile)
	if err != nil {
		return err
	}
	c.Hash = record.Hash(command)
	// A dyndep file may have added outputs after the command was made.
	if err := b.logs.recordCommand(paths(e.Outputs), c); err != nil {
		return err
	}
	if s.job.Deps == "" || b.opts.DryRun {
		return nil
	}
	for _, o := range e.Outputs {
		mtime, err := b.disk.Stat(o.Path)
		if err != nil {
			return err
		}
		if err := b.logs.recordDeps(o.Path, mtime, found); err != nil {
			return err
		}
	}
	return nil
}
