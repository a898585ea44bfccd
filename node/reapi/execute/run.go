package execute

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/event/tally"
	"github.com/buildnet/buildnet/node/queue"
	"github.com/buildnet/buildnet/node/reapi/fault"
	"github.com/buildnet/buildnet/node/reapi/invocations"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/costs"
	"github.com/buildnet/buildnet/store/digest"
)

// run is an operation from its beginning to its end. Its error is the status of the
// answer.
func (s *Service) run(ctx context.Context, o *operation, said *repb.RequestMetadata, priority int32) (*repb.ExecuteResponse, error) {
	i := s.opts.Invocations.Enter(said)
	defer i.Leave()
	if !o.force {
		switch m, err := s.lookUp(ctx, o.key); {
		case err == nil:
			i.Known(o.key.Action, said, m.Result)
			return &repb.ExecuteResponse{Result: m.Result, CachedResult: true}, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case !errors.Is(err, store.ErrNotFound):
			s.opts.Log.Warn("a result cannot be looked up", "action", o.key.Action, "error", err)
		}
	}
	o.inputs = s.opts.Inputs.Lease()
	defer o.inputs.Release()
	t, err := s.prepared(ctx, o, priority)
	if err != nil {
		return nil, err
	}
	v := s.enter(visitKey{i.Key(), o.force}, i.ID())
	defer s.leave(v)
	t.ask = invocations.Ask{Action: o.key.Action, Said: said, Outputs: t.spelled()}
	t.step.ID = i.Plan(&t.ask)
	v.share(&t.step)
	r, err := v.execute(ctx, o, i, t)
	if err != nil {
		i.Undone(&t.ask)
	}
	return r, err
}

// prepared is prepare that has lost inputs made again, which the client may not have.
// Of an action that is executed for such a reason itself, others see to them.
func (s *Service) prepared(ctx context.Context, o *operation, priority int32) (*task, error) {
	t, err := s.prepare(ctx, o, priority)
	var missing absent
	if o.again || !errors.As(err, &missing) {
		return t, err
	}
	remade, failed := s.opts.Remake(ctx, missing)
	if failed != nil || len(remade) == 0 {
		return nil, errors.Join(err, failed)
	}
	return s.prepare(ctx, o, priority)
}

// prepare makes a step of the action of an operation.
func (s *Service) prepare(ctx context.Context, o *operation, priority int32) (*task, error) {
	select {
	case s.preparing <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-s.preparing }()
	t, err := s.task(ctx, o, priority)
	if err != nil {
		return nil, err
	}
	named := t.step
	named.ID = "-"
	if err := named.CheckFlat(); err != nil {
		return nil, fault.Errorf(codes.InvalidArgument, "%v", err)
	}
	return t, nil
}

// execute has the step of a task run, and answers with what came of it.
func (v *visit) execute(ctx context.Context, o *operation, i *invocations.Invocation, t *task) (*repb.ExecuteResponse, error) {
	v.hint(&t.step)
	defer v.hold(t.step.ID)()
	o.become(repb.ExecutionStage_QUEUED, "")
	began := time.Now()
	d, err := v.queue.Run(ctx, t.step, func(by peer.ID) { o.become(repb.ExecutionStage_EXECUTING, by) })
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, queue.ErrNoResult):
		if errors.Is(err, queue.ErrOver) {
			v.s.retire(v)
		}
		if errors.Is(err, queue.ErrNoRoom) || errors.Is(err, store.ErrFull) {
			return nil, fault.NoRoom(fmt.Errorf("%s: %w", t.step.ID, err))
		}
		return nil, fault.Errorf(codes.Unavailable, "%s: %v", t.step.ID, err)
	case err != nil:
		return nil, err
	}
	ended := time.Now()
	v.tell(o, i, t, d, began)
	// Trees of what was made are as large as those that are read.
	select {
	case v.s.preparing <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-v.s.preparing }()
	fn := o.key.Action.Function()
	result, err := v.s.result(ctx, t, fn, &d.Entry.Result)
	if err != nil {
		return nil, err
	}
	result.ExecutionMetadata = executed(d, began, ended)
	r := &repb.ExecuteResponse{Result: result, CachedResult: d.How != steal.Executed, Message: d.Entry.Result.Message}
	if t.image != "" && r.Message == "" {
		r.Message = "container-image is not run: the programs are those of the machine"
	}
	if why := causeOf(&d.Entry.Result); why != codes.OK {
		r.Status = fault.Of(fault.Errorf(why, "%s", d.Entry.Result.Message)).Proto()
	}
	v.s.keep(ctx, o, t, result, d)
	return r, nil
}

// keep promises what came of the action, and lets others find it. A result that is
// not kept is good nevertheless.
func (s *Service) keep(ctx context.Context, o *operation, t *task, r *repb.ActionResult, d *steal.Done) {
	m, missing, err := s.opts.Results.Made(ctx, o.key.Action.Function(), r)
	switch {
	case err != nil || len(missing) > 0:
	case d.Entry.Result.OK() && !t.uncached:
		err = s.opts.Results.Keep(ctx, o.key, t.toolchain, m, &d.Entry)
	default:
		s.opts.Results.Promise(m)
	}
	if err != nil || len(missing) > 0 {
		s.opts.Log.Warn("result of a client's action not kept", "action", o.key.Action, "missing", len(missing), "error", err)
	}
}

// causeOf is the status of an action that failed in another way than by its exit
// code (remote_execution.proto, Execution.Execute).
func causeOf(r *action.Result) codes.Code {
	switch r.Cause {
	case action.TimedOut:
		return codes.DeadlineExceeded
	case action.OverLimit:
		return codes.ResourceExhausted
	case action.BadOutputs:
		return codes.FailedPrecondition
	default:
		return codes.OK
	}
}

// hint sets what is known of a step: by its name, else by its rule.
func (v *visit) hint(step *action.Step) {
	h, ok := v.exp.Hints(costs.StepOf(step))
	if !ok {
		h, ok = v.exp.Hints(costs.RuleOf(step))
	}
	if ok {
		step.Hint(h)
	}
}

// tell tells of a step that is over.
func (v *visit) tell(o *operation, i *invocations.Invocation, t *task, d *steal.Done, began time.Time) {
	res, ran := &d.Entry.Result, d.How == steal.Executed
	e := event.StepFinished{
		Step: string(t.step.ID), Digest: d.Entry.Action.String(), Peer: string(d.Entry.Executor), Status: event.Executed,
		QueuedMS: d.Timings.Queued.Milliseconds(), FetchMS: d.Timings.Fetch.Milliseconds(),
		RunMS: d.Timings.Run.Milliseconds(), UploadMS: d.Timings.Upload.Milliseconds(), Asked: t.ask.Asked(),
	}
	e.Asked.Toolchain = t.toolchain
	var saved time.Duration
	switch {
	case ran:
		e.Choice, e.Why = tally.Choice(d.Choice), why(o, t)
		v.exp.Learn(&t.step, d.Entry.Executor, res, began)
	case d.Entry.Executor == v.s.opts.Self:
		e.Status, saved = event.CachedLocal, res.Wall
	default:
		e.Status, saved = event.CachedMesh, res.Wall
	}
	if ran && d.Entry.Executor == v.s.opts.Self {
		e.Here = []string{v.s.whyHere(d)}
		i.Here(e.Here[0])
	}
	if !res.OK() {
		e.Status = event.Failed
		e.Failure = &event.Failure{Command: t.step.Argv, Dir: t.step.Dir, ExitCode: res.ExitCode, Message: res.Message, Output: v.printed(res)}
	}
	i.Done(e, ran, saved)
}

// why is why no known result of an action was taken, if that is not for want of one.
func why(o *operation, t *task) string {
	switch {
	case o.again:
		return "what it makes was lost in the whole mesh, and is needed"
	case o.force:
		return "its client asked for no known result (skip_cache_lookup)"
	case t.uncached:
		return "its client wants it executed each time (do_not_cache)"
	default:
		return ""
	}
}

// whyHere is why this node executed a step itself.
func (s *Service) whyHere(d *steal.Done) string {
	others := slices.ContainsFunc(s.opts.Members(), func(m peer.Member) bool { return !m.Self && m.State == peer.Alive })
	switch {
	case !others:
		return "no other member is there"
	case d.Choice != nil && d.Choice.Why == steal.Kept:
		return tally.NotWorthIt
	default:
		return "this node's share"
	}
}

// maxShown bounds what of each stream of a failed command is told, in bytes.
const maxShown = 64 << 10

// printed is what a command printed, for people.
func (v *visit) printed(res *action.Result) (text string) {
	for _, d := range []digest.Digest{res.Stdout, res.Stderr} {
		if d.IsZero() {
			continue
		}
		if d.Size() > maxShown {
			text += "(it printed more than is kept here)\n"
			continue
		}
		content, err := store.ReadAll(context.WithoutCancel(v.s.life), v.s.opts.Blobs, d, maxShown)
		if err == nil {
			text += string(content)
		}
	}
	return text
}
