package cli

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"sync"
	"syscall"
	"time"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/ninja"
)

// ninjaClient is what a node is told runs the commands.
const ninjaClient = "ninja"

// manifest is a build of a build.ninja: it gives ninja's commands to a node, and
// keeps what is told of them.
type manifest struct {
	app     *app
	find    finder
	request api.InvocationRequest
	began   time.Time

	// Used by the one goroutine that ninja is.
	invocation *invocation // once begun
	lost       error       // why there is no summary of its node

	mu     sync.Mutex
	show   *shown
	failed error                // of showing
	alone  *event.BuildFinished // what ran before there was a node, or without
	// told is what the node has told of commands that ran here, and came is what
	// came of them, of which it knows nothing: until both are there.
	told map[string]event.StepFinished
	came map[string]ninja.Finished
	// begins are the commands that have not begun, and how to withdraw each. None
	// begins once held is set.
	begins map[string]context.CancelCauseFunc
	held   bool
}

func newManifest(a *app, find finder, show *shown, r api.InvocationRequest) *manifest {
	return &manifest{app: a, find: find, request: r, began: time.Now(), show: show, told: map[string]event.StepFinished{}, came: map[string]ninja.Finished{}, begins: map[string]context.CancelCauseFunc{}}
}

// Begin implements ninja.Elsewhere.
func (m *manifest) Begin(ctx context.Context, b ninja.Beginning) (ninja.Invocation, error) {
	r := m.request
	r.Client, r.Root, r.Targets, r.Jobs = ninjaClient, b.Dir, b.Targets, bounded(b.Jobs)
	r.Whole = true // ninja has every command that writes anything
	i, err := m.app.invoke(ctx, m.find, r, m.line)
	if err != nil {
		return nil, err
	}
	m.invocation = i
	return given{m, i, b.Dir, umask()}, nil
}

// maxJobs is what no bound that a user gives is beyond.
const maxJobs = 1 << 20

// bounded is a number of jobs as a node takes it: 0 is no bound.
func bounded(jobs int) int {
	if jobs > maxJobs {
		return 0
	}
	return jobs
}

// given is the ninja.Invocation of a manifest.
type given struct {
	*manifest
	to    *invocation
	dir   string
	umask *fs.FileMode
}

// Jobs implements ninja.Invocation.
func (g given) Jobs() int { return g.to.jobs() }

// Run implements ninja.Invocation.
func (g given) Run(ctx context.Context, job ninja.Job) (ninja.Outcome, error) {
	res, err := g.ask(ctx, g.command(job))
	switch {
	case errors.Is(err, errHeld):
		return notBegun, nil
	case err != nil:
		return ninja.Outcome{}, err
	}
	if len(res.Local) > 0 {
		out := ninja.Outcome{Result: ninja.Result{Ran: ninja.Ran{Here: res.Local}}, Release: func(r ninja.Result) { g.release(res, r) }}
		if res.Ticket != "" {
			out.Made = func(r ninja.Result) ninja.Result { return g.made(ctx, res.Ticket, r) }
		}
		return out, nil
	}
	return ninja.Outcome{Result: ninja.Result{
		Status: statusOf(res), Output: res.Output,
		Ran: ninja.Ran{How: res.How, Peer: res.Peer, Took: time.Duration(res.RunMS) * time.Millisecond, Action: res.Action},
	}}, nil
}

// ask asks for a command, which is withdrawn with errHeld if nothing is to begin any
// more before it does.
func (g given) ask(ctx context.Context, c api.Command) (api.CommandResult, error) {
	ctx, withdraw := context.WithCancelCause(ctx)
	defer withdraw(nil)
	if !g.waits(c.Name, withdraw) {
		return api.CommandResult{}, errHeld
	}
	defer g.begun(c.Name)
	res, err := g.to.run(ctx, c)
	if errors.Is(err, api.ErrTooLong) { // it has a slot all the same, and the others their node
		res, err = g.to.run(ctx, api.Command{Dir: c.Dir, Shell: ":", Name: c.Name, Why: c.Why, Local: "it has too many files, or too long a text, for a node"})
	}
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, errHeld) {
		err = cause
	}
	return res, err
}

// made tells what a command has made that ran here. What becomes of it is no
// matter of the build.
func (g given) made(ctx context.Context, ticket string, r ninja.Result) ninja.Result {
	if len(r.Output) > api.MaxMadeOutput {
		return r
	}
	kept, err := g.to.Made(ctx, g.to.id, ticket, api.Made{Output: r.Output, CPU: r.CPU, MaxRSS: r.MaxRSS})
	if err == nil && kept.Why == "" {
		r.Action, r.Peer = kept.Action, kept.Peer
	}
	return r
}

// release gives back the slot of a command that has run here. What its node cannot
// be told is missing in its records alone.
func (g given) release(res api.CommandResult, r ninja.Result) {
	if r.Status == ninja.Failed {
		g.to.failed(api.CommandFailure{Step: res.Step, ExitCode: r.ExitCode, Output: string(r.Output)})
	}
	res.Release()
}

func (g given) command(job ninja.Job) api.Command {
	inputs := job.Ins
	if job.HereOnly != "" {
		inputs = nil // nobody looks into it
	}
	return api.Command{
		Dir: g.dir, Shell: job.Command, Name: job.Outs[0], Rank: job.Rank, Umask: g.umask, Inputs: inputs, Outputs: job.Outs,
		Depfile: job.Depfile, Rspfile: job.Rspfile, Local: job.HereOnly, Why: job.Why, Tells: true,
	}
}

// notBegun is the Outcome of a command that was withdrawn.
var notBegun = ninja.Outcome{Result: ninja.Result{Status: ninja.NotBegun}}

// errHeld is why one is.
var errHeld = errors.New("the build has failed")

// waits notes that a command is about to begin; it may not if all are held.
func (m *manifest) waits(name string, withdraw context.CancelCauseFunc) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.held {
		m.begins[name] = withdraw
	}
	return !m.held
}

// begun notes that a command has begun, or has come to its end.
func (m *manifest) begun(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.begins, name)
}

// Hold implements ninja.Invocation: what the node has not told of is withdrawn.
func (g given) Hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = true
	for _, withdraw := range g.begins {
		withdraw(errHeld)
	}
}

// statusOf is how a command ended that ran elsewhere. A signal with which users
// end things ends the build, as if it had come to a command here.
func statusOf(res api.CommandResult) ninja.Status {
	switch syscall.Signal(res.Signal) {
	case syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP:
		return ninja.Interrupted
	case 0:
		if res.ExitCode == 0 {
			return ninja.Succeeded
		}
	}
	return ninja.Failed
}

// End implements ninja.Invocation.
func (g given) End(e ninja.End) {
	_, g.lost = g.to.end(g.app, api.InvocationEnd{OK: e.OK, Cancelled: e.Cancelled, Error: e.Error, NotRun: e.NotRun})
}

// line shows an event of the node.
func (m *manifest) line(line []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, err := event.Decode(line)
	switch e := e.(type) {
	case event.StepStarted:
		delete(m.begins, e.Step)
	case event.StepFinished:
		if len(e.Here) > 0 && e.Digest == "" {
			m.told[e.Step] = e
			m.join(e.Step)
			return m.failed
		}
	case event.BuildFinished:
		for _, step := range sortedKeys(m.told) { // nothing came of them
			m.tell(m.told[step])
		}
		m.tell(m.withAlone(e))
		return m.failed
	}
	_ = err // an event that a newer node added is shown as it is
	return m.show.line(line)
}

// watch takes note of a command that has ended.
func (m *manifest) watch(f ninja.Finished) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.invocation == nil || m.show.summary != nil:
		m.count(f)
	case len(f.Here) > 0 && f.Action == "": // else the node knows all
		m.came[f.Outs[0]] = f
		m.join(f.Outs[0])
	}
}

// join tells of a command that ran here, once all is known of it.
func (m *manifest) join(step string) {
	e, told := m.told[step]
	f, came := m.came[step]
	if !told || !came {
		return
	}
	delete(m.told, step)
	delete(m.came, step)
	m.finished(e, f)
}

// finished tells of a command that ran here.
func (m *manifest) finished(e event.StepFinished, f ninja.Finished) {
	if f.Status != ninja.Succeeded {
		e.Status = event.Failed
		e.Failure = &event.Failure{Command: []string{"/bin/sh", "-c", f.Command}, Dir: m.request.Root, ExitCode: f.ExitCode, Output: string(f.Output)}
	}
	m.tell(e)
	if f.Status == ninja.Succeeded && len(f.Output) > 0 {
		m.tell(event.StepOutput{Build: e.Build, Step: e.Step, Output: string(f.Output)})
	}
}

// count counts a command of which no node knows, and tells of it.
func (m *manifest) count(f ninja.Finished) {
	if m.alone == nil {
		m.alone = &event.BuildFinished{ByPeer: map[string]int{}, LocalReasons: map[string]int{}}
		m.tell(event.BuildStarted{Root: m.request.Root, Targets: m.request.Targets, Steps: f.Total, Members: 1, Client: ninjaClient})
	}
	s := m.alone
	s.Steps, s.RunLocal = s.Steps+1, s.RunLocal+1
	for _, why := range f.Here {
		s.LocalReasons[why]++
	}
	if f.Status == ninja.Succeeded {
		s.Executed++
	} else {
		s.Failed++
	}
	m.finished(event.StepFinished{
		Step: f.Outs[0], Status: event.Executed, RunMS: f.Took.Milliseconds(), Done: f.Done, Steps: f.Total, Here: f.Here, Why: f.Why,
	}, f)
}

// tell shows an event of this process.
func (m *manifest) tell(e event.Event) {
	if line, err := event.Encode(e); err == nil && m.failed == nil {
		m.failed = m.show.line(line)
	}
}

// finish tells what came of it all, if the node has not: code is ninja's.
func (m *manifest) finish(ctx context.Context, code int) event.BuildFinished {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.show.summary != nil {
		return *m.show.summary
	}
	if m.alone == nil && m.invocation == nil {
		m.tell(event.BuildStarted{Root: m.request.Root, Targets: m.request.Targets, Members: 1, Client: ninjaClient})
	}
	f := m.withAlone(event.BuildFinished{ByPeer: map[string]int{}})
	f.OK, f.Cancelled = code == exitOK, code == ninja.ExitInterrupted || wasSignalled(ctx)
	f.Tier, f.WallMS = tierOf(f), float64(time.Since(m.began).Microseconds())/1000
	m.tell(f)
	return f
}

// withAlone is a summary with what no node knows of.
func (m *manifest) withAlone(f event.BuildFinished) event.BuildFinished {
	if s := m.alone; s != nil {
		f.Steps, f.RunLocal, f.Executed, f.Failed = f.Steps+s.Steps, f.RunLocal+s.RunLocal, f.Executed+s.Executed, f.Failed+s.Failed
		f.LocalReasons = merged(f.LocalReasons, s.LocalReasons)
	}
	return f
}

func tierOf(f event.BuildFinished) event.Tier {
	if f.Steps == 0 {
		return event.InstantSkip
	}
	return event.Incremental
}

func merged(a, b map[string]int) map[string]int {
	all := maps.Clone(a)
	if all == nil {
		return b
	}
	for why, n := range b {
		all[why] += n
	}
	return all
}

// aside is the view of a build of which ninja's words tell: it keeps what is to
// be said when these have ended.
type aside struct {
	names    names
	warnings []string
}

// event implements view.
func (v *aside) event(e event.Event) {
	switch e := e.(type) {
	case event.BuildStarted:
		if e.Names != nil {
			v.names = e.Names
		}
	case event.Notice:
		if e.Level == event.Warning {
			v.warnings = append(v.warnings, v.names.describe(e))
		}
	}
}

// close implements view.
func (*aside) close() {}
