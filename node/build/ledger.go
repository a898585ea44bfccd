package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
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

const (
	// writeEvery is how often what is new in a build's log is written.
	writeEvery = 500 * time.Millisecond
	// checkpointEvery and checkpointOps are when what is left of a log that does
	// not matter any more goes: all that was written becomes a checkpoint, and the
	// log goes on after it. One that has more ops is followed by as many before the
	// next.
	checkpointEvery = 30 * time.Second
	checkpointOps   = 4096
	// maxUnfinished bounds the builds that can be resumed; beyond it the oldest go.
	maxUnfinished = 64
)

// ErrNothingToResume says that no build of a tree is unfinished.
var ErrNothingToResume = errors.New("no unfinished build")

// unfinished is a build that has begun and not ended.
type unfinished struct {
	ID        steal.BuildID `json:"id"`
	Started   time.Time     `json:"started"`
	Root      string        `json:"root"`
	Targets   []string      `json:"targets"`
	Force     bool          `json:"force,omitempty"`
	KeepGoing bool          `json:"keep_going,omitempty"`
	Local     bool          `json:"local,omitempty"`
	Jobs      int           `json:"jobs,omitempty"`
	Wish      Wish          `json:"wish"`
	// Graph is what the log's steps are of.
	Graph string `json:"graph,omitempty"`
}

// Keys: "m/" and the ID for what a build is; "g/" and the ID for the number of
// its last checkpoint; "l/", the ID, that number, and that of a part for the ops.
const (
	unfinishedPrefix = "m/"
	headPrefix       = "g/"
	logPrefix        = "l/"
)

func partsOf(id steal.BuildID, checkpoint int) string {
	return fmt.Sprintf("%s%s/%08d/", logPrefix, id, checkpoint)
}

// ledger keeps a build's log on disk while it runs.
type ledger struct {
	kv   store.KV
	self peer.ID
	of   unfinished
	warn func(error)

	mu   sync.Mutex
	all  []steal.Op // of the present log
	logs int        // that were begun

	// Owned by run: what is written of which log.
	written, log, checkpoint, part, since int
	kept                                  int // ops of the last checkpoint
	checkpointed                          time.Time
}

// Logged implements sched.Logger.
func (l *ledger) Logged(ops []steal.Op, anew bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if anew {
		l.all = nil
		l.logs++
	}
	l.all = append(l.all, ops...)
}

// run writes until ctx ends.
func (l *ledger) run(ctx context.Context) {
	tick := time.NewTicker(writeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if err := l.write(now); err != nil {
				l.warn(err)
			}
		}
	}
}

// write brings the disk up to date. A log that does not have all of the one
// before yet is not written.
func (l *ledger) write(now time.Time) error {
	l.mu.Lock()
	all, logs := l.all, l.logs
	l.mu.Unlock()
	switch {
	case logs == l.log && len(all) == l.written:
		return nil
	case logs == l.log && len(all)-l.since < max(checkpointOps, l.kept) && now.Sub(l.checkpointed) < checkpointEvery:
		if err := l.put(all[l.written:]); err != nil {
			return err
		}
	case logs != l.log && !slices.ContainsFunc(all, func(op steal.Op) bool { return op.Kind == steal.OpStandbys }):
		return nil
	default:
		if err := l.compact(all, now); err != nil {
			return err
		}
	}
	l.log, l.written = logs, len(all)
	return nil
}

// compact writes all that matters of a log as a checkpoint.
func (l *ledger) compact(all []steal.Op, now time.Time) error {
	before := l.checkpoint
	l.checkpoint, l.part = before+1, 0
	// A node that died while it wrote this one has left some of it.
	if err := remove(l.kv, partsOf(l.of.ID, l.checkpoint)); err != nil {
		return err
	}
	left := steal.Bequest(all, l.self)
	if err := l.put(left); err != nil {
		return err
	}
	if err := l.kv.Put([]byte(headPrefix+l.of.ID), fmt.Append(nil, l.checkpoint)); err != nil {
		return fmt.Errorf("keep the log of build %s: %w", l.of.ID, err)
	}
	l.since, l.kept, l.checkpointed = len(all), len(left), now
	return remove(l.kv, partsOf(l.of.ID, before))
}

func (l *ledger) put(ops []steal.Op) error {
	for part := range slices.Chunk(ops, checkpointOps) {
		encoded, err := sched.EncodeOps(part)
		if err == nil {
			err = l.kv.Put(fmt.Appendf(nil, "%s%08d", partsOf(l.of.ID, l.checkpoint), l.part), encoded)
		}
		if err != nil {
			return fmt.Errorf("keep the log of build %s: %w", l.of.ID, err)
		}
		l.part++
	}
	return nil
}

// remove deletes all below a prefix.
func remove(kv store.KV, prefix string) error {
	var keys [][]byte
	err := kv.Scan([]byte(prefix), func(key, _ []byte) bool {
		keys = append(keys, slices.Clone(key))
		return true
	})
	for _, key := range keys {
		err = errors.Join(err, kv.Delete(key))
	}
	return err
}

// finished forgets a build that can be resumed.
func finished(kv store.KV, id steal.BuildID) error {
	return errors.Join(kv.Delete([]byte(unfinishedPrefix+id)), kv.Delete([]byte(headPrefix+id)), remove(kv, fmt.Sprintf("%s%s/", logPrefix, id)))
}

// listUnfinished returns the builds that can be resumed, the newest first.
func listUnfinished(kv store.KV) ([]unfinished, error) {
	var all []unfinished
	err := kv.Scan([]byte(unfinishedPrefix), func(_, value []byte) bool {
		var u unfinished
		if json.Unmarshal(value, &u) == nil {
			all = append(all, u)
		}
		return true
	})
	slices.SortFunc(all, func(a, b unfinished) int { return b.Started.Compare(a.Started) })
	return all, err
}

// headOf returns the number of the last checkpoint of a build's log, or 0.
func headOf(kv store.KV, id steal.BuildID) (int, error) {
	head, err := kv.Get([]byte(headPrefix + id))
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	checkpoint, err := strconv.Atoi(string(head))
	if err != nil {
		return 0, fmt.Errorf("log of build %s: %w", id, err)
	}
	return checkpoint, nil
}

// logOf reads the log of a build.
func logOf(kv store.KV, id steal.BuildID) (ops []steal.Op, err error) {
	checkpoint, err := headOf(kv, id)
	if err != nil || checkpoint == 0 {
		return nil, err
	}
	var bad error
	err = kv.Scan([]byte(partsOf(id, checkpoint)), func(_, value []byte) bool {
		var part []steal.Op
		if part, bad = sched.DecodeOps(value); bad == nil {
			ops = append(ops, part...)
		}
		return bad == nil
	})
	return ops, errors.Join(err, bad)
}

// sumOf names a graph by what its steps are, without what is expected of them.
func sumOf(g *action.Graph) (string, error) {
	steps := slices.Clone(g.Steps())
	for i := range steps {
		steps[i].Cost, steps[i].Memory, steps[i].OutputBytes = 0, 0, 0
	}
	plain, err := action.NewGraph(steps)
	if err != nil {
		return "", err
	}
	encoded, err := plain.Marshal()
	if err != nil {
		return "", err
	}
	return digest.Of(digest.BLAKE3, encoded).String(), nil
}

// beginLedger writes down that a build has begun; what cannot be written is not
// resumed, and no build fails of it.
func (r *run) beginLedger() *ledger {
	sum, err := sumOf(r.graph)
	u := unfinished{
		ID: r.req.ID, Started: r.started, Root: r.req.Root, Targets: r.req.Targets, Graph: sum, Wish: r.req.Wish,
		Force: r.req.Modes.Force, KeepGoing: r.req.Modes.KeepGoing, Local: r.req.Modes.Local, Jobs: r.req.Modes.Jobs,
	}
	l := &ledger{kv: r.opts.Unfinished, self: r.opts.Self, of: u, warn: func(err error) {
		r.opts.Log.Warn("build could not be resumed", "build", u.ID, "error", err)
	}}
	if err == nil {
		err = l.begin(r.req.resumes)
	}
	var meta []byte
	if err == nil {
		meta, err = json.Marshal(u)
	}
	if err == nil {
		err = l.kv.Put([]byte(unfinishedPrefix+u.ID), meta)
	}
	var others []unfinished
	if err == nil {
		others, err = listUnfinished(l.kv)
	}
	for _, old := range others[min(len(others), maxUnfinished):] {
		err = errors.Join(err, finished(l.kv, old.ID))
	}
	if err != nil {
		l.warn(err)
	}
	return l
}

// begin makes room for the log of a build that goes on with before, if that is
// not nil. The log that it goes on with is there until the next is complete; one
// of other steps goes at once, or it would be taken for one of these.
func (l *ledger) begin(before *unfinished) (err error) {
	if before != nil && before.Graph != l.of.Graph {
		return finished(l.kv, l.of.ID)
	}
	l.checkpoint, err = headOf(l.kv, l.of.ID)
	return err
}

// resumed is the log of the build that this one resumes, if it is of the same
// steps: without those whose results are given.
func (r *run) resumed(given []steal.Given) []steal.Op {
	if r.req.resumes == nil {
		return nil
	}
	if sum, err := sumOf(r.graph); err != nil || r.req.resumes.Graph != sum {
		return nil
	}
	ops, err := logOf(r.opts.Unfinished, r.req.ID)
	if err != nil {
		r.opts.Log.Warn("log of a build cannot be read", "build", r.req.ID, "error", err)
		return nil
	}
	known := make(map[steal.Step]bool, len(given))
	for _, g := range given {
		known[g.Step] = true
	}
	var left []steal.Op
	for _, op := range steal.Bequest(ops, r.opts.Self) {
		switch op.Kind {
		case steal.OpFailed: // it may come to more now
		case steal.OpNote, steal.OpQuarantined, steal.OpTrusted:
		default:
			// While nobody else was there it was signed without a look at that.
			good := op.Done == nil || op.Done.Entry.Verify() == nil
			if good && !known[op.Step] {
				left = append(left, op)
			}
		}
	}
	return left
}

// Resume goes on with an unfinished build of the request's tree: the newest, or
// the one that id means. Targets and Modes of the request do not count. It
// returns ErrNothingToResume if there is none.
func (b *Builder) Resume(ctx context.Context, r Request, id string, emit func(event.Event)) error {
	all, err := listUnfinished(b.opts.Unfinished)
	if err != nil {
		return fmt.Errorf("look for unfinished builds: %w", err)
	}
	at := slices.IndexFunc(all, func(u unfinished) bool {
		return u.Root == r.Root && (id == "" || strings.HasPrefix(string(u.ID), id)) && !b.has(u.ID, true)
	})
	if at < 0 {
		return fmt.Errorf("resume a build of %s: %w", r.Root, ErrNothingToResume)
	}
	u := &all[at]
	r.ID, r.Targets, r.Wish, r.resumes = u.ID, u.Targets, u.Wish, u
	r.Modes.Force, r.Modes.KeepGoing, r.Modes.Local, r.Modes.Jobs = u.Force, u.KeepGoing, u.Local, u.Jobs
	if err := b.Build(ctx, r, emit); err != nil {
		return err
	}
	// A build with nothing left to do has scheduled nothing.
	if err := finished(b.opts.Unfinished, u.ID); err != nil {
		b.opts.Log.Warn("build is not forgotten that has ended", "build", u.ID, "error", err)
	}
	return nil
}
