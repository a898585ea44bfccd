package execute

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/event/tally"
	"github.com/buildnet/buildnet/node/event/told"
	"github.com/buildnet/buildnet/node/experience"
	"github.com/buildnet/buildnet/node/queue"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/history"
)

const (
	// idleTime ends the build of an invocation for which nothing is executed: Bazel
	// loads and analyses for longer, but a second build costs little.
	idleTime = 30 * time.Second
	// maxSteps of one build; the next one takes over.
	maxSteps = 50_000
	// endTime bounds what is done after its end.
	endTime = 10 * time.Second
	// maxName bounds the name of a step in bytes.
	maxName = 1 << 10
)

// visitKey is an invocation, and how it treats what is known.
type visitKey struct {
	invocation string
	force      bool
}

// visit is an invocation of a client while its actions are executed: an open build.
type visit struct {
	s       *Service
	key     visitKey
	id      steal.BuildID
	client  string
	started time.Time
	told    *told.Log
	tally   *tally.Tally
	exp     *experience.Build
	queue   *queue.Queue
	end     context.CancelFunc // of its build
	in, out int64              // bytes moved by this node before

	// users, steps, idle and left are guarded by s.mu.
	users, steps int
	idle         *time.Timer
	left         time.Time // by its last user

	mu     sync.Mutex
	names  map[action.StepID]action.Sharing
	leases map[action.StepID]store.Lease // of what steps make
	leader peer.ID
	epoch  uint64
}

// enter finds the build of an invocation, or begins one.
func (s *Service) enter(k visitKey, said *repb.RequestMetadata) *visit {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.visits[k]
	if v == nil || v.steps >= maxSteps {
		v = s.begin(k, said)
		s.visits[k], s.open[v] = v, true
	}
	v.users++
	v.steps++
	if v.idle != nil {
		v.idle.Stop()
		v.idle = nil
	}
	return v
}

// leave is the end of an operation. A build that nobody uses goes on for a while.
func (s *Service) leave(v *visit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.users--; v.users == 0 {
		v.left = time.Now()
		v.idle = time.AfterFunc(idleTime, func() { s.close(v) })
	}
}

// retire has the next action of the invocation begin another build.
func (s *Service) retire(v *visit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.visits[v.key] == v {
		delete(s.visits, v.key)
	}
}

// close ends a build that nobody uses.
func (s *Service) close(v *visit) {
	s.mu.Lock()
	if v.idle == nil || s.closed {
		s.mu.Unlock()
		return // it is used again, or ended with all others
	}
	s.ending.Add(1)
	defer s.ending.Done()
	if s.visits[v.key] == v {
		delete(s.visits, v.key)
	}
	delete(s.open, v)
	s.mu.Unlock()
	v.finish()
}

// closeAll ends all builds when nobody executes any more.
func (s *Service) closeAll() {
	s.mu.Lock()
	open := s.open
	s.open = nil
	s.mu.Unlock()
	var all sync.WaitGroup
	for v := range open {
		if v.idle != nil {
			v.idle.Stop()
		}
		all.Go(v.finish)
	}
	all.Wait()
}

// begin is called with s.mu held.
func (s *Service) begin(k visitKey, said *repb.RequestMetadata) *visit {
	var raw [6]byte
	_, _ = rand.Read(raw[:]) // never fails since Go 1.24
	v := &visit{
		s: s, key: k, id: steal.BuildID(hex.EncodeToString(raw[:])), started: time.Now(), told: told.New(func(event.Event) {}),
		leases: map[action.StepID]store.Lease{}, names: map[action.StepID]action.Sharing{}, client: clientOf(said),
	}
	v.in, v.out = s.opts.Moved()
	v.exp = experience.New(s.opts.Costs, s.opts.Members, s.opts.Log)
	v.tally = tally.New(string(v.id), s.opts.Self, 0, v.told.Emit)
	life, end := context.WithCancel(context.Background())
	v.end = end
	v.queue = queue.New(life, queue.Options{
		Build: v.id, Scheduler: s.opts.Scheduler, Settle: s.opts.Settle, Emit: v.told.Emit, Speed: v.exp.Speed, Led: v.led, Secure: v.secure,
		Modes: steal.Modes{KeepGoing: true, Force: k.force, Copies: steal.BothKeep},
	})
	started := event.BuildStarted{Build: string(v.id), Client: v.client, Root: v.root(), Targets: []string{}, Names: map[string]string{}}
	for _, m := range s.opts.Members() {
		if m.State == peer.Alive || m.Self {
			started.Members++
			started.Names[string(m.ID)] = m.Name
		}
	}
	v.told.Emit(started)
	return v
}

// clientOf is what program a client says that it is.
func clientOf(said *repb.RequestMetadata) string {
	tool := said.GetToolDetails()
	if tool.GetToolName() == "" {
		return "reapi"
	}
	return strings.TrimSpace(tool.GetToolName() + " " + tool.GetToolVersion())
}

// root stands where the tree of another build does, which this node does not know.
func (v *visit) root() string {
	if v.key.invocation == "" {
		return v.client
	}
	return v.client + " " + v.key.invocation
}

// name returns a name for a step that no other of the build has.
func (v *visit) name(t *task, said *repb.RequestMetadata) action.StepID {
	want := strings.TrimSpace(said.GetActionMnemonic() + " " + said.GetTargetId())
	if len(t.step.Outputs) > 0 {
		want = strings.TrimSpace(said.GetActionMnemonic() + " " + t.step.Outputs[0])
	}
	return v.unique(want, t.step.Sharing)
}

func (v *visit) unique(want string, sharing action.Sharing) action.StepID {
	want = strings.Map(func(r rune) rune {
		if r == 0 || r == '\n' {
			return ' '
		}
		return r
	}, want)
	want = strings.ToValidUTF8(want[:min(len(want), maxName)], "")
	v.mu.Lock()
	defer v.mu.Unlock()
	id := action.StepID(want)
	for n := 2; id == "" || v.names[id] != 0; n++ {
		id = action.StepID(fmt.Sprintf("%s#%d", want, n))
	}
	v.names[id] = sharing
	return id
}

func (v *visit) led(leader peer.ID, epoch uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.leader, v.epoch = leader, epoch
}

// hold has what a step makes stay here until release is called. Then its client was
// told, and what it was told of is promised: to hold all that a build makes would
// need room for all of it.
func (v *visit) hold(step action.StepID) (release func()) {
	l := v.s.opts.Leases.Lease()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.leases[step] = l
	return func() {
		l.Release()
		v.mu.Lock()
		defer v.mu.Unlock()
		delete(v.leases, step)
	}
}

// secure brings what a step made into this node's store.
func (v *visit) secure(ctx context.Context, step action.StepID, d *steal.Done) error {
	o, res := &v.s.opts, &d.Entry.Result
	v.mu.Lock()
	lease, wanted := v.leases[step]
	v.mu.Unlock()
	if !wanted { // nobody waits for it any more
		lease = o.Leases.Lease()
		defer lease.Release()
	}
	files, dirs := res.Blobs()
	lease.Hold(files...)
	if _, err := o.Fetcher.Fetch(ctx, files, d.Holders); err != nil {
		return fmt.Errorf("outputs of %s: %w", step, err)
	}
	for _, dir := range dirs {
		if _, err := o.Fetcher.FetchTree(ctx, dir, d.Holders, lease.Hold); err != nil {
			return fmt.Errorf("outputs of %s: %w", step, err)
		}
	}
	blobs, err := store.Closure(ctx, o.Blobs, res)
	if err != nil {
		return fmt.Errorf("outputs of %s: %w", step, err)
	}
	lease.Hold(blobs...)
	v.mu.Lock()
	shared := v.names[step] == action.Shared
	v.mu.Unlock()
	if res.OK() && shared {
		if err := o.Actions.Put(ctx, d.Entry); err != nil {
			return fmt.Errorf("result of %s: %w", step, err)
		}
	}
	o.Provide(blobs...)
	return nil
}

// finish ends the build, and writes it down.
func (v *visit) finish() {
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	v.queue.Close(ctx)
	v.end()
	v.queue.Wait()
	if kinds := v.exp.Keep(); len(kinds) > 0 {
		v.s.opts.Hearsay.Tell(kinds)
	}
	f := v.tally.Close()
	f.OK = f.Failed+f.NotRun == 0
	v.mu.Lock()
	f.Leader, f.Epoch = string(v.leader), v.epoch
	v.mu.Unlock()
	in, out := v.s.opts.Moved()
	f.BytesIn, f.BytesOut = in-v.in, out-v.out
	f.WallMS = float64(v.left.Sub(v.started).Microseconds()) / 1000
	v.told.End(f)
	summary, err := json.Marshal(f)
	if err == nil {
		err = v.s.opts.History.Put(history.Record{ID: string(v.id), Started: v.started, Root: v.root(), Summary: summary, Events: v.told.All(f)})
	}
	if err != nil {
		v.s.opts.Log.Warn("a client's invocation is missing in the history", "build", v.id, "error", err)
	}
}
