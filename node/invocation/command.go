package invocation

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/compile/remote"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/event/tally"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// task is one command on its way.
type task struct {
	v     *invocation
	c     *api.Command
	p     *remote.Prepared // nil where nobody knows the program
	key   *event.Key       // nil where it is for this machine alone
	name  action.StepID
	began time.Time

	failure *event.Failure // where its client ran it; guarded by v.mu
}

// command takes a command through the invocation.
func (v *invocation) command(ctx context.Context, c api.Command) (api.CommandResult, error) {
	if !v.enter() {
		return api.CommandResult{}, errOver(string(v.id))
	}
	defer v.running.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(v.life, cancel)()
	v.tally.Resize(0, 1)
	t := &task{v: v, c: &c, began: time.Now()}
	if len(c.Env) == 0 {
		c.Env = v.req.Env
	}
	res, err := t.do(ctx)
	if err != nil {
		t.finished(event.StepFinished{Status: event.NotRun}, false, 0)
	}
	return res, err
}

// do finds out what is to become of the command, and has it done.
func (t *task) do(ctx context.Context) (api.CommandResult, error) {
	v := t.v
	if uid := v.s.opts.UID; t.c.UID != uid && t.c.UID != api.UnknownUID {
		return t.here(ctx, "the node belongs to another user, who writes no files of yours: start your own with `buildnet node up`")
	}
	if t.c.Local != "" {
		return t.here(ctx, t.c.Local)
	}
	if place := otherFiles(t.c.PID); place != "" {
		return t.here(ctx, "it may see other files in "+place+" than the node does, as in a container")
	}
	if !v.req.Whole {
		if err := v.visit.fresh(ctx); err != nil {
			return api.CommandResult{}, err
		}
	}
	if res, ok, err := t.list(ctx); ok || err != nil {
		return res, err
	}
	p, err := v.visit.Prepare(ctx, t.request())
	switch {
	case errors.Is(err, remote.ErrNotCompiler):
		return t.here(ctx, err.Error())
	case err != nil && ctx.Err() != nil:
		return api.CommandResult{}, ctx.Err()
	case err != nil:
		return t.here(ctx, "it could not be looked into: "+err.Error())
	}
	if t.p = p; len(p.Local) > 0 {
		return t.here(ctx, p.Local...)
	}
	t.setName()
	p.Step.ID = t.name
	if p.Bound != "" {
		t.v.bound(t.name, p.Bound)
	}
	if err := t.note(ctx); err != nil {
		return t.here(ctx, "it could not be noted: "+err.Error())
	}
	if e, err := t.known(ctx); err != nil || e != nil {
		return t.cached(ctx, e, err)
	}
	if res, ok, err := t.alone(ctx); ok || err != nil {
		return res, err
	}
	return t.away(ctx)
}

// note keeps what the command's action is made of, so that it can be said later why
// another is not the same. The directories are kept already.
func (t *task) note(ctx context.Context) error {
	command, err := t.p.Step.Command()
	if err != nil {
		return err
	}
	t.v.lease.Hold(command.Digest)
	if _, err := store.AddBytes(ctx, t.v.s.opts.Store, command.Content); err != nil {
		return err
	}
	t.key = &event.Key{Command: command.Digest.String(), Inputs: t.p.Step.Inputs.String()}
	return nil
}

func (t *task) request() remote.Request {
	outs := t.c.Outputs
	if t.c.Depfile != "" {
		outs = append(slices.Clone(outs), t.c.Depfile)
	}
	r := remote.Request{
		Argv: t.c.Argv, Shell: t.c.Shell, Dir: t.c.Dir, Getenv: t.getenv, Terminal: t.c.Terminal, Umask: t.c.Umask,
		Inputs: t.c.Inputs, Outputs: outs, Response: t.c.Rspfile,
	}
	if t.v.s.opts.PathIndependent {
		r.Checkout = t.v.req.Root
	}
	return r
}

func (t *task) getenv(name string) (string, bool) {
	for _, v := range t.c.Env {
		if len(v) > len(name) && v[len(name)] == '=' && v[:len(name)] == name {
			return v[len(name)+1:], true
		}
	}
	return "", false
}

// argv is the command as a process has it.
func (t *task) argv() []string {
	if len(t.c.Argv) > 0 {
		return t.c.Argv
	}
	return []string{"/bin/sh", "-c", t.c.Shell}
}

// setName names the command for people: by its first output, as seen from the
// root, if the client does not.
func (t *task) setName() {
	if t.name != "" {
		return
	}
	want := t.c.Name
	if outs := t.outputs(); want == "" && len(outs) > 0 {
		want = outs[0]
		if rel, err := filepath.Rel(t.v.req.Root, want); err == nil && !strings.HasPrefix(rel, "../") {
			want = rel
		}
	}
	switch {
	case want != "":
	case len(t.c.Argv) > 0:
		want = path.Base(t.c.Argv[0])
	default:
		want, _, _ = strings.Cut(strings.TrimSpace(t.c.Shell), " ")
	}
	t.name = t.v.name(want)
}

// outputs are those that are known of the command, by absolute path.
func (t *task) outputs() []string {
	outs := t.c.Outputs
	if len(outs) == 0 && t.p != nil {
		outs, _ = t.p.Writes()
	}
	all := make([]string, len(outs))
	for i, o := range outs {
		if all[i] = o; !path.IsAbs(o) {
			all[i] = path.Join(t.c.Dir, o)
		}
	}
	return all
}

// known returns a result of the own cache that is that of the command, with all
// outputs here; nil if there is none.
func (t *task) known(ctx context.Context) (*action.Entry, error) {
	e, err := t.v.lookUp(ctx, t.p.Action, &t.p.Step)
	if err != nil || e != nil {
		return e, err
	}
	act, ok, err := t.v.visit.Known(ctx, t.p)
	if err != nil || !ok {
		return nil, err
	}
	return t.v.lookUp(ctx, act, &t.p.Step)
}

func (v *invocation) lookUp(ctx context.Context, act digest.Digest, step *action.Step) (*action.Entry, error) {
	e, err := v.s.opts.Actions.Get(ctx, act)
	if errors.Is(err, store.ErrNotFound) && v.s.opts.Private != nil {
		e, err = v.s.opts.Private.Get(ctx, act)
	}
	if err == nil && step.Fits(&e.Result) != nil {
		return nil, nil //nolint:nilerr // a member gave it to this node's cache
	}
	var blobs []digest.Digest
	if err == nil {
		blobs, err = store.Closure(ctx, v.s.opts.Store, &e.Result)
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil // never made, or collected: a member may have it
	case err != nil:
		return nil, fmt.Errorf("look up %s: %w", step.ID, err)
	}
	v.lease.Hold(blobs...)
	return &e, nil
}

// keep keeps a result that is here with all its outputs, and tells the mesh as far
// as the profile says.
func (v *invocation) keep(ctx context.Context, e action.Entry, blobs []digest.Digest) error {
	if v.modes.Exchange == steal.TakeOnly {
		if v.s.opts.Private == nil {
			return nil
		}
		return v.s.opts.Private.Put(ctx, e)
	}
	if err := v.s.opts.Actions.Put(ctx, e); err != nil {
		return err
	}
	v.s.opts.Provide(blobs...)
	return nil
}

// cached answers with a result of the own cache.
func (t *task) cached(ctx context.Context, e *action.Entry, err error) (api.CommandResult, error) {
	if err != nil {
		if ctx.Err() != nil {
			return api.CommandResult{}, ctx.Err()
		}
		return t.here(ctx, "the cache cannot be read: "+err.Error())
	}
	return t.take(ctx, &steal.Done{Entry: *e, How: steal.Found}, event.CachedLocal)
}

// away has the command run by some member.
func (t *task) away(ctx context.Context) (api.CommandResult, error) {
	v := t.v
	if v.s.opts.Lacking != "" && (v.modes.Local || !v.others()) {
		return t.here(ctx, "this machine cannot isolate it: "+v.s.opts.Lacking)
	}
	step := t.p.Step
	step.Rank = min(max(t.c.Rank, 0), action.MaxCost)
	v.hint(&step, t.p.SourceBytes)
	d, err := v.queue.Run(ctx, step, nil)
	switch {
	case err == nil:
		return t.take(ctx, d, v.how(d))
	case ctx.Err() != nil:
		return api.CommandResult{}, ctx.Err()
	default:
		return t.here(ctx, err.Error())
	}
}

// how a result came that the scheduler brought.
func (v *invocation) how(d *steal.Done) event.Status {
	switch {
	case d.How == steal.Executed:
		return event.Executed
	case d.Entry.Executor == v.s.opts.Self:
		return event.CachedLocal
	default:
		return event.CachedMesh
	}
}

// take judges a result, and puts what it made into place.
func (t *task) take(ctx context.Context, d *steal.Done, how event.Status) (api.CommandResult, error) {
	v, res := t.v, &d.Entry.Result
	o, err := v.visit.Finish(ctx, t.p, d.Entry.Action, res)
	switch {
	case err != nil && ctx.Err() != nil:
		return api.CommandResult{}, ctx.Err()
	case err != nil:
		return t.here(ctx, "its result could not be taken: "+err.Error())
	case o.Suspect != "":
		return t.here(ctx, "its result was not believed: "+o.Suspect)
	}
	out := api.CommandResult{
		ExitCode: o.ExitCode, Output: o.Said, How: how, Peer: string(d.Entry.Executor), RunMS: res.Wall.Milliseconds(), Action: d.Entry.Action.String(),
	}
	if d.How == steal.Executed {
		t.remember(ctx)
	}
	t.tell(d, &o, &out)
	return out, nil
}

// remember keeps what the action was made of, for whoever asks why it was run. No
// build needs it: it goes when there is no room.
func (t *task) remember(ctx context.Context) {
	for _, m := range t.p.Messages {
		if _, err := store.AddBytes(ctx, t.v.s.opts.Store, m.Content); err != nil {
			t.v.s.opts.Log.Debug("why a step was run cannot be told later", "build", t.v.id, "step", t.name, "error", err)
		}
	}
}

// tell tells of a result that was taken.
func (t *task) tell(d *steal.Done, o *remote.Outcome, out *api.CommandResult) {
	v, ran := t.v, d.How == steal.Executed
	if ran {
		v.exp.Learn(&t.p.Step, d.Entry.Executor, &d.Entry.Result, t.began)
		v.exp.LearnSize(&t.p.Step, t.p.SourceBytes, d.Entry.Executor, &d.Entry.Result, t.began)
	}
	e := event.StepFinished{
		Digest: out.Action, Peer: out.Peer, Status: out.How,
		QueuedMS: d.Timings.Queued.Milliseconds(), FetchMS: d.Timings.Fetch.Milliseconds(),
		RunMS: d.Timings.Run.Milliseconds(), UploadMS: d.Timings.Upload.Milliseconds(),
	}
	if ran {
		e.Choice = tally.Choice(d.Choice)
	}
	if ran && d.Entry.Executor == v.s.opts.Self {
		why := v.whyHere(d)
		e.Here = []string{why}
		v.tally.Local(why)
	}
	var saved time.Duration
	if !ran {
		saved = d.Entry.Result.Wall
	}
	switch {
	case o.ExitCode != 0:
		e.Status = event.Failed
		e.Failure = &event.Failure{Command: t.argv(), Dir: t.c.Dir, ExitCode: o.ExitCode, Output: string(o.Said)}
	case len(o.Said) > 0:
		v.emit(event.StepOutput{Build: string(v.id), Step: string(t.name), Output: string(o.Said)})
	}
	t.finished(e, ran, saved)
}

// whyHere is why a step ran here and not elsewhere.
func (v *invocation) whyHere(d *steal.Done) string {
	if why := v.lone(); why != "" {
		return why
	}
	if d.Choice != nil && d.Choice.Why == steal.Kept {
		return tally.NotWorthIt
	}
	return "this node's share"
}

// here has the client run the command, with a slot of this machine.
func (t *task) here(ctx context.Context, reasons ...string) (api.CommandResult, error) {
	v := t.v
	t.setName()
	release, err := v.s.slots.occupy(ctx, t.c.PID)
	if err != nil {
		return api.CommandResult{}, err
	}
	v.emit(event.StepStarted{Build: string(v.id), Step: string(t.name), Peer: string(v.s.opts.Self)})
	began, client := time.Now(), t.lingers()
	t.handed()
	return api.CommandResult{Local: reasons, Step: string(t.name), Release: sync.OnceFunc(func() {
		defer t.v.parts()
		ran := time.Since(began)
		t.wrote()
		release()
		failed := t.left()
		if how := client.ended(); failed == nil {
			failed = how
		}
		t.ranHere(ran, failed, reasons...)
	})}, nil
}

// ranHere tells of a command that its client has run.
func (t *task) ranHere(ran time.Duration, failed *event.Failure, reasons ...string) {
	for _, r := range reasons {
		t.v.tally.Local(r)
	}
	e := event.StepFinished{
		Status: event.Executed, Peer: string(t.v.s.opts.Self), RunMS: ran.Milliseconds(), Here: reasons, Failure: failed,
	}
	if failed != nil {
		e.Status = event.Failed
	}
	t.finished(e, true, 0)
}

// wrote says that the client has run the command: a compile made its outputs,
// anything else may have written anywhere.
func (t *task) wrote() {
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	v := t.v
	var err error
	switch {
	case !v.req.Whole: // the next command expects anything
	case !t.confined():
		err = v.visit.Stir(ctx)
	default:
		made, _ := t.p.Writes()
		err = v.visit.Made(ctx, made...)
	}
	if err != nil {
		v.s.opts.Log.Warn("what a command wrote is not known", "build", v.id, "step", t.name, "error", err)
	}
}

// confined reports whether the command writes what is known of it, and nothing
// else.
func (t *task) confined() bool {
	if t.p == nil {
		return false
	}
	_, known := t.p.Writes()
	return known
}

func (t *task) finished(e event.StepFinished, ran bool, saved time.Duration) {
	t.setName()
	e.Step, e.Why, e.Key = string(t.name), t.c.Why, t.key
	t.v.tally.Step(e, ran, saved)
}
