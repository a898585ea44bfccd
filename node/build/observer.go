package build

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/event/tally"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/dead"
	"github.com/buildnet/buildnet/store/digest"
)

// maxOutput is how much of what a step printed is shown, in bytes.
const maxOutput = 8 << 20

// observer is the build as the scheduler's initiator tells of it. Secure is
// called concurrently, the others one at a time.
type observer struct {
	run *run
	// abort ends the build for a cause that no other member can mend.
	abort   context.CancelCauseFunc
	eta     *estimate
	watched *watched
	choices *choices
	elected event.LeaderElected       // as it was told last
	ledger  *ledger                   // nil keeps nothing
	tries   map[steal.Step][]dead.Try // that came to nothing
	failed  int
}

// Logged implements sched.Logger.
func (o *observer) Logged(ops []steal.Op, anew bool) {
	if o.ledger != nil {
		o.ledger.Logged(ops, anew)
	}
}

// Elected implements sched.Observer.
func (o *observer) Elected(leader peer.ID, standbys []peer.ID, epoch uint64) {
	o.run.leader, o.run.epoch = leader, epoch
	o.run.recorder.elected(leader, standbys, epoch)
	names := make([]string, 0, len(standbys))
	for _, id := range standbys {
		names = append(names, string(id))
	}
	if epoch != o.elected.Epoch {
		o.elected.Heir = ""
	}
	o.elected = event.LeaderElected{Build: string(o.run.req.ID), Leader: string(leader), Standbys: names, Heir: o.elected.Heir, Epoch: epoch}
	o.run.emit(o.elected)
}

// bequeathed tells who would go on with the build.
func (o *observer) bequeathed(heir peer.ID) {
	if o.elected.Epoch > 0 && o.elected.Heir != string(heir) {
		o.elected.Heir = string(heir)
		o.run.emit(o.elected)
	}
}

// Started implements sched.Observer.
func (o *observer) Started(s steal.Step, by peer.ID) {
	o.run.recorder.started(s)
	step, now := o.step(s), time.Now()
	expected := o.run.expectedMS(step, by)
	o.eta.started(step.ID, o.run.exp.Speed(by), now)
	o.watched.began(string(step.ID), by, time.Duration(expected)*time.Millisecond, now)
	o.run.emit(event.StepStarted{Build: string(o.run.req.ID), Step: string(step.ID), Peer: string(by), ExpectedMS: expected})
}

func (o *observer) step(s steal.Step) *action.Step { return &o.run.graph.Steps()[s] }

// Secure implements sched.Observer: the outputs come into this node's store
// and stay there while the build runs.
func (o *observer) Secure(ctx context.Context, s steal.Step, d *steal.Done) error {
	began := time.Now()
	err := o.secure(ctx, s, d)
	o.run.recorder.secured(s, time.Since(began))
	if errors.Is(err, store.ErrFull) {
		o.abort(fmt.Errorf("%w; free some of the disk, or give the cache more with cache.max in node.yaml", err))
	}
	return err
}

func (o *observer) secure(ctx context.Context, s steal.Step, d *steal.Done) error {
	r, res := o.run, &d.Entry.Result
	fetch := r.fetch
	if r.keepsNone(d.Entry.Executor) {
		fetch = r.bring
	}
	if err := fetch(ctx, res, d.Holders); err != nil {
		return fmt.Errorf("outputs of %s: %w", o.step(s).ID, err)
	}
	blobs, err := store.Closure(ctx, r.opts.Store, res)
	if err != nil {
		return fmt.Errorf("outputs of %s: %w", o.step(s).ID, err)
	}
	r.lease.Hold(blobs...)
	if !res.OK() || o.step(s).Sharing == action.Unshared {
		return nil
	}
	if err = r.cache(ctx, d.Entry, blobs); err == nil {
		err = r.opts.Store.Push() // what is announced is not run again if this process is killed
	}
	if err != nil {
		return fmt.Errorf("result of %s: %w", o.step(s).ID, err)
	}
	return nil
}

// fetch brings what a result names here, from the holders first.
func (r *run) fetch(ctx context.Context, res *action.Result, holders []peer.ID) error {
	return r.fetchAnd(ctx, res, holders, r.lease.Hold)
}

// fetchAnd tells hold of blobs before they are brought.
func (r *run) fetchAnd(ctx context.Context, res *action.Result, holders []peer.ID, hold func(...digest.Digest)) error {
	if r.req.Modes.Local {
		return nil // the store has it, or Closure says what it lacks
	}
	files, dirs := res.Blobs()
	hold(files...)
	if err := r.fetchFiles(ctx, files, holders); err != nil {
		return err
	}
	for _, d := range dirs {
		if _, err := r.opts.Fetcher.FetchTree(ctx, d, holders, hold); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) fetchFiles(ctx context.Context, files []digest.Digest, holders []peer.ID) error {
	if r.batches != nil {
		return r.batches.bring(ctx, files, holders)
	}
	_, err := r.opts.Fetcher.Fetch(ctx, files, holders)
	return err
}

// Finished implements sched.Observer.
func (o *observer) Finished(s steal.Step, d *steal.Done) {
	r, step, res := o.run, o.step(s), &d.Entry.Result
	o.watched.ended(string(step.ID))
	ran := d.How == steal.Executed
	done := event.StepFinished{
		Step: string(step.ID), Digest: d.Entry.Action.String(), Peer: string(d.Entry.Executor), Status: event.Executed,
		QueuedMS: d.Timings.Queued.Milliseconds(), FetchMS: d.Timings.Fetch.Milliseconds(),
		RunMS: d.Timings.Run.Milliseconds(), UploadMS: d.Timings.Upload.Milliseconds(),
	}
	done.ETAMS = o.eta.finished(step.ID, time.Now()).Milliseconds()
	var saved time.Duration
	switch {
	case !res.OK():
		o.failed++
		done.Status = event.Failed
		done.Failure = o.failure(step, res)
	case !ran:
		saved = res.Wall
		done.Status = event.CachedMesh
		if d.Entry.Executor == r.opts.Self {
			done.Status = event.CachedLocal
		}
		if r.tree == nil {
			break // this node goes on with the build of another
		}
		if there, err := r.tree.InPlace(context.Background(), res.Outputs); err == nil && !slices.Contains(there, false) {
			done.Status = event.Skipped
		}
	}
	if ran {
		if why := o.whyHere(step, d); why != "" {
			done.Here = []string{why}
			o.run.tally.Local(why)
		}
		o.print(step, res)
		done.ExpectedMS, done.Choice = r.expectedMS(step, d.Entry.Executor), tally.Choice(d.Choice)
		o.choices.finished(step.ID, d, r.exp.Speed(d.Entry.Executor), time.Now())
		if r.tree != nil { // who goes on with a build was told when its results were made
			r.exp.Learn(step, d.Entry.Executor, &d.Entry.Result, r.started)
		}
	}
	if d.Differs {
		r.differs = append(r.differs, string(step.ID))
	}
	if res.OK() {
		r.outcomes[step.ID] = res
	}
	r.recorder.finished(s, done.Status, d)
	r.tally.Step(done, ran, saved)
}

func (o *observer) failure(step *action.Step, res *action.Result) *event.Failure {
	return &event.Failure{
		Command: step.Argv, Dir: step.Dir, ExitCode: res.ExitCode, Message: res.Message, Output: o.printed(res),
	}
}

// print tells what a successful step printed.
func (o *observer) print(step *action.Step, res *action.Result) {
	if text := o.printed(res); text != "" && res.OK() {
		o.run.emit(event.StepOutput{Build: string(o.run.req.ID), Step: string(step.ID), Output: text})
	}
}

func (o *observer) printed(res *action.Result) string {
	if res.Stdout.IsZero() {
		return ""
	}
	text, err := store.ReadAll(context.Background(), o.run.opts.Store, res.Stdout, maxOutput)
	if err != nil {
		return fmt.Sprintf("[what it printed cannot be read: %v]", err)
	}
	return string(text)
}

// whyHere is why a step ran here and not elsewhere; "" if it did not.
func (o *observer) whyHere(step *action.Step, d *steal.Done) string {
	r := o.run
	if d.Entry.Executor != r.opts.Self {
		return ""
	}
	others := slices.ContainsFunc(r.opts.Members(), func(m peer.Member) bool { return !m.Self && m.State == peer.Alive })
	switch {
	case r.req.Modes.Local:
		return r.localBy
	case step.Reach == action.InitiatorFirst:
		return "minimize_transfer: it reads much"
	case step.Reach == action.InitiatorOnly:
		return "sandbox: none runs on the initiator"
	case !others:
		return "no other member is there"
	case d.Choice != nil && d.Choice.Why == steal.Kept:
		return tally.NotWorthIt
	default:
		return "this node's share"
	}
}

// Failed implements sched.Observer.
func (o *observer) Failed(s steal.Step, why string) {
	step := o.step(s)
	o.failed++
	o.watched.ended(string(step.ID))
	o.bury(s, why)
	o.run.recorder.finished(s, event.Failed, nil)
	o.run.tally.Step(event.StepFinished{
		Step: string(step.ID), Status: event.Failed,
		Failure: &event.Failure{Command: step.Argv, Dir: step.Dir, ExitCode: -1, Message: why},
	}, false, 0)
}

// Note implements sched.Observer.
func (o *observer) Note(text string) { o.run.notice(event.Warning, "%s", text) }
