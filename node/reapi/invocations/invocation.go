package invocations

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/event/tally"
	"github.com/buildnet/buildnet/node/event/told"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/history"
)

const (
	// maxNames of steps are remembered of an invocation, to tell a step that is asked
	// for again from another one. Beyond it each has a number.
	maxNames = 50_000
	// maxUnfinished bounds the steps that came to nothing and may be asked for again.
	maxUnfinished = 1_000
)

// Invocation is one of a client, while this node knows of it.
type Invocation struct {
	b               *Book
	key, id, client string
	after           <-chan struct{} // its record is written down when this is closed; nil if it is
	gone            chan struct{}   // closed when it is itself; made by Book.close
	once            sync.Once       // of begin, which sets what follows
	ready           chan struct{}   // closed by it

	started time.Time
	log     *told.Log
	tally   *tally.Tally
	in, out int64 // of the node, before

	// users and last are guarded by b.mu.
	users int
	last  time.Time // when the last one left

	// saving is held while the record is written, over its I/O, and guards ended and
	// saved.
	saving sync.Mutex
	ended  bool
	saved  time.Time

	mu         sync.Mutex
	names      names
	unfinished map[digest.Digest]bool
	numbered   bool // each step has a number
	planned    int
	leader     string
	epoch      uint64
	followers  map[*follower]bool
}

// ID is that of the build.
func (i *Invocation) ID() string { return i.id }

// Key is the client's ID of it; "" of all that have none.
func (i *Invocation) Key() string { return i.key }

// clientOf is what program a client says that it is.
func clientOf(said *repb.RequestMetadata) string {
	tool := said.GetToolDetails()
	if tool.GetToolName() == "" {
		return "reapi"
	}
	return strings.TrimSpace(printable(tool.GetToolName() + " " + tool.GetToolVersion()))
}

// root stands where the tree of another build does, which this node does not know.
func (i *Invocation) root() string {
	return strings.TrimSpace(i.client + " " + printable(i.key))
}

// begin goes on where the history ends.
func (i *Invocation) begin() {
	defer close(i.ready)
	if i.after != nil {
		<-i.after
	}
	i.names, i.unfinished, i.followers = newNames(), map[digest.Digest]bool{}, map[*follower]bool{}
	i.in, i.out = i.b.opts.Moved()
	i.started, i.saved = time.Now(), time.Now()
	if r, ok := i.b.past.find(i.id); ok && i.key != "" && i.resume(r) {
		return
	}
	i.log = told.Resume(i.pass, nil, i.b.budget)
	i.tally = tally.New(i.id, i.b.opts.Self, 0, i.log.Emit)
	e := event.BuildStarted{Build: i.id, Client: i.client, Invocation: printable(i.key), Root: i.root(), Targets: []string{}, Names: map[string]string{}}
	for _, m := range i.b.opts.Members() {
		if m.State == peer.Alive || m.Self {
			e.Members++
			e.Names[string(m.ID)] = m.Name
		}
	}
	i.log.Emit(e)
}

// resume reports whether a record can be gone on with.
func (i *Invocation) resume(r history.Record) bool {
	var last event.BuildFinished
	if json.Unmarshal(r.Summary, &last) != nil {
		return false
	}
	i.started, i.client, i.planned = r.Started, r.Client, last.Steps
	i.in, i.out = i.in-last.BytesIn, i.out-last.BytesOut
	i.leader, i.epoch = last.Leader, last.Epoch
	for line := range bytes.Lines(r.Events) {
		if !bytes.Contains(line, []byte(`"step.finished"`)) {
			continue
		}
		if e, err := event.Decode(line); err == nil {
			i.remember(e)
		}
	}
	i.numbered = len(i.names.taken) < last.Steps-last.NotRun
	i.log = told.Resume(i.pass, r.Events, i.b.budget)
	i.tally = tally.Resume(i.id, i.b.opts.Self, last, i.log.Emit)
	return true
}

// remember is called before anybody else knows of the invocation.
func (i *Invocation) remember(e event.Event) {
	s, ok := e.(event.StepFinished)
	if !ok {
		return
	}
	var act digest.Digest // none if it is not said
	if s.Asked != nil {
		act, _ = digest.Parse(s.Asked.Action)
	}
	i.names.remember(action.StepID(s.Step), act)
}

// tell passes an event on.
func (i *Invocation) tell(e event.Event) {
	if led, ok := e.(event.LeaderElected); ok {
		i.mu.Lock()
		i.leader, i.epoch = led.Leader, led.Epoch
		i.mu.Unlock()
	}
	i.log.Emit(e)
}

// summary is what came of it until now.
func (i *Invocation) summary() event.BuildFinished {
	f := i.tally.Sum()
	in, out := i.b.opts.Moved()
	i.b.mu.Lock()
	last := i.last
	if i.users > 0 {
		last = time.Now()
	}
	i.b.mu.Unlock()
	i.mu.Lock()
	defer i.mu.Unlock()
	f.Steps, f.NotRun = f.Steps+len(i.unfinished), f.NotRun+len(i.unfinished)
	f.OK, f.Cancelled = f.Failed+f.NotRun == 0, f.Failed == 0 && f.NotRun > 0
	f.Leader, f.Epoch = i.leader, i.epoch
	f.BytesIn, f.BytesOut = in-i.in, out-i.out
	f.WallMS = float64(last.Sub(i.started).Microseconds()) / 1000
	return f
}

// record is what there is to show.
func (i *Invocation) record(f event.BuildFinished) (history.Record, error) {
	summary, err := json.Marshal(f)
	return history.Record{
		ID: i.id, Started: i.started, Root: i.root(), Client: i.client, Summary: summary, Events: i.log.All(f),
	}, err
}

// finish tells of the end, and writes all down.
func (i *Invocation) finish() {
	i.saving.Lock()
	defer i.saving.Unlock()
	f := i.summary()
	i.ended = true
	i.log.End(f)
	i.save(f)
	i.log.Release()
}

// saveIfDue writes down what there is so far.
func (i *Invocation) saveIfDue() {
	i.saving.Lock()
	defer i.saving.Unlock()
	i.b.mu.Lock()
	idle := i.users == 0 && i.last.Before(i.saved)
	i.b.mu.Unlock()
	if i.ended || idle || time.Since(i.saved) < saveEvery {
		return
	}
	i.save(i.summary())
}

// save is called with saving held. Of an invocation without steps nothing is kept:
// whatever a client asked for, it got nothing.
func (i *Invocation) save(f event.BuildFinished) {
	i.saved = time.Now()
	if f.Steps == 0 {
		return
	}
	r, err := i.record(f)
	if err == nil {
		err = i.b.past.put(r)
	}
	if err != nil {
		i.b.opts.Log.Warn("a client's invocation is missing in the history", "build", i.id, "error", err)
	}
}
