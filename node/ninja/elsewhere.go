package ninja

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/project/ninja"
)

// Elsewhere has commands run on other machines, or knows what came of them
// before. It is for one build.
type Elsewhere interface {
	// Begin is called when it is known that a command is to run that need not run
	// here. An error says why all run here; nil and nil say that there is nobody
	// to ask, which is no news.
	Begin(ctx context.Context, b Beginning) (Invocation, error)
}

// Beginning is what an Invocation begins with.
type Beginning struct {
	// Dir is the directory of the build, absolute.
	Dir string
	// Targets are as the user named them.
	Targets []string
	// Jobs bounds what runs at once, anywhere; 0 is no bound.
	Jobs int
}

// Invocation runs the commands of a build. It is used by several goroutines at
// once.
type Invocation interface {
	// Jobs is how many commands are worth being given at once. It may change.
	Jobs() int
	// Run does as a Runner, or has the caller run the job. An error says that the
	// invocation is over before its end.
	Run(ctx context.Context, job Job) (Outcome, error)
	// Hold has nothing begin any more: what has not by now comes back as NotBegun.
	// What runs goes on.
	Hold()
	// End ends it. It is called once, when no Run is under way.
	End(e End)
}

// Outcome is what came of a job that was given to an Invocation.
type Outcome struct {
	Result
	// Release is there if the caller is to run the job, now, for the reasons in
	// Result.Here: it has one of the machine's slots until it calls Release with
	// what came of it.
	Release func(Result)
	// Made, if it is there too, is told of the job's result before Release, and
	// returns what it is then: others may use it.
	Made func(r Result) Result
}

// End is how a build has ended.
type End struct {
	OK        bool
	Cancelled bool
	// Error is why it failed where no command did.
	Error string
	// NotRun is how many commands were still to run.
	NotRun int
}

// shared is a Runner that gives every job to an invocation, and runs those here
// that it has run here.
type shared struct {
	invocation Invocation
	here       Runner
	// alone has room for as many commands as run here once the invocation is lost.
	alone chan struct{}

	held chan struct{} // closed when nothing is to begin any more

	mu   sync.Mutex
	lost error
}

// reasonLost is why commands run here that an invocation has lost.
const reasonLost = "the node was lost"

func newShared(i Invocation, here Runner, jobs int) *shared {
	return &shared{invocation: i, here: here, alone: make(chan struct{}, min(jobs, maxAlone)), held: make(chan struct{})}
}

// maxAlone bounds commands that run here at once where the user gave no bound.
const maxAlone = 1 << 10

// Run implements Runner.
func (s *shared) Run(ctx context.Context, job Job) Result {
	if s.fault() != nil {
		return s.runAlone(ctx, job)
	}
	out, err := s.invocation.Run(ctx, job)
	switch {
	case ctx.Err() != nil:
		if out.Release != nil {
			out.Release(Result{Status: Interrupted})
		}
		return Result{Status: Interrupted}
	case err != nil:
		s.lose(err)
		return s.runAlone(ctx, job)
	case out.Release == nil:
		return out.Result
	}
	res := runHere(ctx, s.here, job, out.Here)
	if out.Made != nil && res.Status == Succeeded {
		res = out.Made(res)
	}
	out.Release(res)
	return res
}

func (s *shared) runAlone(ctx context.Context, job Job) Result {
	select {
	case s.alone <- struct{}{}:
	case <-s.held:
		return Result{Status: NotBegun}
	case <-ctx.Done():
		return Result{Status: Interrupted}
	}
	defer func() { <-s.alone }()
	return runHere(ctx, s.here, job, []string{reasonLost})
}

// runHere runs a job on this machine, and tells why and how long.
func runHere(ctx context.Context, r Runner, job Job, why []string) Result {
	began := time.Now()
	res := r.Run(ctx, job)
	res.Ran = Ran{How: event.Executed, Here: why, Took: time.Since(began)}
	return res
}

// hold has nothing begin any more. It is called once.
func (s *shared) hold() {
	close(s.held)
	if s.fault() == nil {
		s.invocation.Hold()
	}
}

func (s *shared) lose(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost == nil {
		s.lost = err
	}
}

// fault is why the invocation is lost, nil while it is not.
func (s *shared) fault() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost
}

// local is a Runner that tells why commands run here.
type local struct {
	here Runner
	// why is the reason where a job has none of its own.
	why string
}

// Run implements Runner.
func (l local) Run(ctx context.Context, job Job) Result {
	why := l.why
	if job.HereOnly != "" {
		why = job.HereOnly
	}
	return runHere(ctx, l.here, job, []string{why})
}

// begin has the commands of the plan run elsewhere, if there is somebody and
// anything for them. The function that it returns is to be told how the build
// has ended.
func (b *builder) begin(ctx context.Context, s *session) (end func(error), err error) {
	end = func(error) {}
	b.jobs, b.shared = b.opts.jobsHere, nil
	b.runner = local{s.Runner, s.HereBecause}
	if s.Elsewhere == nil || b.opts.DryRun {
		return end, nil
	}
	some, err := b.plan.Some(b.mayLeave)
	if err != nil || !some {
		return end, err
	}
	i, err := s.Elsewhere.Begin(ctx, Beginning{Dir: s.Dir, Targets: b.opts.Targets, Jobs: b.opts.Jobs})
	switch {
	case ctx.Err() != nil:
		return end, errInterrupted
	case err != nil:
		b.status.warning("all runs on this machine: %v", err)
		b.runner = local{s.Runner, "no node"}
		return end, nil
	case i == nil:
		return end, nil
	}
	b.plan.Prioritize(b.costs())
	b.shared = newShared(i, s.Runner, b.opts.jobsHere())
	b.runner, b.jobs = b.shared, func() int { return b.jobsOf(i) }
	return func(err error) { i.End(b.endOf(err)) }, nil
}

// mayLeave reports whether an edge's command may run elsewhere.
func (b *builder) mayLeave(e *ninja.Edge) (bool, error) {
	job, err := jobOf(e, b.dir)
	return job.HereOnly == "", err
}

// jobsOf is how many commands run at once with an invocation.
func (b *builder) jobsOf(i Invocation) int {
	switch {
	case b.opts.Jobs > 0:
		return b.opts.Jobs
	case b.shared.fault() != nil:
		return b.opts.jobsHere()
	default:
		return max(i.Jobs(), b.opts.jobsHere())
	}
}

func (b *builder) endOf(err error) End {
	e := End{OK: err == nil, NotRun: b.plan.Commands() - b.status.finished - b.notBegun}
	switch {
	case err == nil:
		e.NotRun = 0
	case errors.Is(err, errInterrupted):
		e.Cancelled = true
	case b.status.failed == 0:
		e.Error = err.Error()
	}
	return e
}

// tellLost says once that the invocation is lost.
func (b *builder) tellLost() {
	if b.shared == nil || b.toldLost {
		return
	}
	if err := b.shared.fault(); err != nil {
		b.toldLost = true
		b.status.warning("the rest runs on this machine: %v", err)
	}
}

// costs returns what a command is expected to take, in seconds: what it took the
// last time, or as much as those of which that is known take on average.
func (b *builder) costs() func(*ninja.Edge) float64 {
	const unit = 1000 // ms
	took := func(e *ninja.Edge) (float64, bool) {
		if len(e.Outputs) == 0 {
			return 0, false
		}
		c, known := b.logs.commands.Lookup(e.Outputs[0].Path)
		return float64(max(c.End-c.Start, 1)) / unit, known
	}
	total, known := 0., 0
	for _, e := range b.scan.Edges() {
		if t, ok := took(e); ok {
			total, known = total+t, known+1
		}
	}
	mean := 1.
	if known > 0 {
		mean = total / float64(known)
	}
	return func(e *ninja.Edge) float64 {
		if t, ok := took(e); ok {
			return t
		}
		return mean
	}
}
