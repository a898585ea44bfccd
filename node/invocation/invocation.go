package invocation

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/event/tally"
	"github.com/buildnet/buildnet/node/event/told"
	"github.com/buildnet/buildnet/node/experience"
	"github.com/buildnet/buildnet/node/profile"
	"github.com/buildnet/buildnet/node/queue"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/place"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/costs"
)

// maxName bounds the name of a step in bytes.
const maxName = 4 << 10

// invocation is one that goes on.
type invocation struct {
	s       *Service
	id      steal.BuildID
	req     api.InvocationRequest
	started time.Time
	told    *told.Log
	tally   *tally.Tally
	exp     *experience.Build
	profile profile.Chosen
	modes   steal.Modes
	localBy string // why no other machine is asked

	// Set by do before a client hears of the ID.
	visit   *visit
	lease   store.Lease // of what was made
	queue   *queue.Queue
	life    context.Context
	in, out int64 // bytes moved by this node before

	end  chan api.InvocationEnd
	over chan struct{} // closed when no more commands are taken
	// parted is closed by isParted when all clients are through as well.
	parted   chan struct{}
	isParted func()

	mu     sync.Mutex
	closed bool
	names  map[action.StepID]bool
	here   map[action.StepID]*task // those that clients run now
	// clients is how many of these there are, and of those that are not counted yet.
	clients int
	// bounds counts what is for this checkout alone.
	bounds  int
	asked   map[costs.Kind]bool // of members
	leader  peer.ID
	epoch   uint64
	running sync.WaitGroup // commands; none begins once closed
}

func newInvocation(s *Service, r api.InvocationRequest, emit func(event.Event)) *invocation {
	v := &invocation{
		s: s, id: newID(), req: r, started: time.Now(), told: told.New(emit),
		end: make(chan api.InvocationEnd), over: make(chan struct{}), names: map[action.StepID]bool{}, here: map[action.StepID]*task{}, asked: map[costs.Kind]bool{},
	}
	v.parted = make(chan struct{})
	v.isParted = sync.OnceFunc(func() { close(v.parted) })
	v.exp = experience.New(s.opts.Costs, s.opts.Members, s.opts.Log)
	v.tally = tally.New(string(v.id), s.opts.Self, 0, v.emit)
	return v
}

func newID() steal.BuildID {
	var raw [6]byte
	_, _ = rand.Read(raw[:]) // never fails since Go 1.24
	return steal.BuildID(hex.EncodeToString(raw[:]))
}

// choose settles how the invocation uses the mesh.
func (v *invocation) choose() error {
	w := profile.Wishes{Flag: v.req.Profile, Mesh: v.s.opts.Profiles.Mesh()}
	var errs [3]error
	if v.req.Strategy != "" {
		w.Strategy = new(place.Strategy)
		*w.Strategy, errs[0] = place.ParseStrategy(v.req.Strategy)
	}
	if v.req.Partition != "" {
		w.Partition = new(place.Partition)
		*w.Partition, errs[1] = place.ParsePartition(v.req.Partition)
	}
	w.Node, errs[2] = v.s.opts.Profiles.Used()
	err := errors.Join(errs[:]...)
	if err == nil {
		v.profile, err = profile.Choose(w, func(name string) (profile.Profile, error) { return profile.Find(name, v.s.opts.Profiles.Source) })
	}
	if err != nil {
		return &api.Error{Kind: api.Invalid, Message: err.Error()}
	}
	v.modes = steal.Modes{
		KeepGoing: true, Local: v.req.Local, Jobs: v.req.Jobs,
		Policy: v.profile.Policy(), Exchange: v.profile.Exchange(), Copies: steal.BothKeep,
	}
	v.localBy = "--local was given"
	if !v.modes.Local && v.profile.CPU == profile.LocalOnly {
		v.modes.Local, v.localBy = true, fmt.Sprintf("cpu_strategy of profile %s", v.profile.Name)
	}
	return nil
}

// do is the invocation from its beginning to its end.
func (v *invocation) do(ctx context.Context) (err error) {
	after := context.WithoutCancel(ctx)
	life, cancel := context.WithCancel(ctx)
	defer cancel()
	if v.visit, err = v.s.desks.enter(ctx); err != nil {
		return fmt.Errorf("begin an invocation: %w", err)
	}
	v.life, v.lease = life, v.s.opts.Store.Lease()
	v.queue = v.newQueue()
	v.in, v.out = v.s.opts.Moved()
	v.begin()
	var end api.InvocationEnd
	select {
	case end = <-v.end:
	case <-ctx.Done():
		end.Cancelled = true
	}
	v.close()
	if !end.Cancelled {
		v.part(ctx)
		v.queue.Close(ctx)
	}
	cancel()
	v.running.Wait()
	v.queue.Wait()
	after, stop := context.WithTimeout(after, endTime)
	defer stop()
	v.sayChanged(after, end)
	v.visit.leave(after)
	v.lease.Release()
	v.tellCosts()
	v.finish(end)
	return nil
}

// begin tells that the invocation goes on.
func (v *invocation) begin() {
	members := v.s.alive()
	e := event.BuildStarted{
		Build: string(v.id), Client: v.req.Client, Root: v.req.Root, Targets: v.req.Targets, Members: len(members),
		Names: map[string]string{}, Jobs: jobs(members, v.modes),
	}
	for _, m := range members {
		e.Names[string(m.ID)] = m.Name
	}
	v.emit(e)
}

// close takes no more commands.
func (v *invocation) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed = true
	close(v.over)
	v.mayPart()
}

// enter counts a command that is looked after, unless no more are.
func (v *invocation) enter() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return false
	}
	v.running.Add(1)
	return true
}

// name returns a name for a step that no other has.
func (v *invocation) name(want string) action.StepID {
	want = strings.ToValidUTF8(want, "?")
	want = strings.ToValidUTF8(want[:min(len(want), maxName)], "")
	v.mu.Lock()
	defer v.mu.Unlock()
	id := action.StepID(want)
	for n := 2; id == "" || v.names[id]; n++ {
		id = action.StepID(fmt.Sprintf("%s#%d", want, n))
	}
	v.names[id] = true
	return id
}

// sayChanged warns of files that changed after commands were given them.
func (v *invocation) sayChanged(ctx context.Context, end api.InvocationEnd) {
	if end.Cancelled || !v.req.Whole {
		return // what else runs may well change what was read
	}
	changed, err := v.visit.Changed(ctx)
	if err != nil || len(changed) == 0 {
		return
	}
	shown := changed[:min(len(changed), 3)]
	v.notice(event.Warning, "%d files changed while commands read them: %s; build again", len(changed), strings.Join(shown, ", "))
}

// finish tells the end, and writes it down.
func (v *invocation) finish(end api.InvocationEnd) {
	v.tally.Resize(0, end.Skipped+end.NotRun)
	v.tally.Note(func(f *event.BuildFinished) { f.Skipped += end.Skipped })
	f := v.tally.Close()
	f.NotRun -= end.Skipped // they are among those that nothing was heard of
	f.OK, f.Cancelled, f.Error = end.OK, end.Cancelled, end.Error
	f.Policy = v.profile.Event()
	v.mu.Lock()
	f.Leader, f.Epoch = string(v.leader), v.epoch
	v.mu.Unlock()
	in, out := v.s.opts.Moved()
	f.BytesIn, f.BytesOut = in-v.in, out-v.out
	f.WallMS = float64(time.Since(v.started).Microseconds()) / 1000
	v.s.record(v, f)
	v.told.End(f)
}

func (v *invocation) emit(e event.Event) { v.told.Emit(e) }

func (v *invocation) notice(level event.Level, format string, args ...any) {
	v.emit(event.Notice{Build: string(v.id), Level: level, Text: fmt.Sprintf(format, args...)})
}

// others reports whether another member answers.
func (v *invocation) others() bool {
	return slices.ContainsFunc(v.s.opts.Members(), func(m peer.Member) bool { return !m.Self && m.State == peer.Alive })
}

// maxBounds is of how many steps it is told that they are for this checkout alone.
const maxBounds = 10

// bound tells the user that a result is for this checkout alone.
func (v *invocation) bound(name action.StepID, why string) {
	v.mu.Lock()
	v.bounds++
	n := v.bounds
	v.mu.Unlock()
	switch {
	case n <= maxBounds:
		v.notice(event.Info, "%s is for this checkout alone: %s", name, why)
	case n == maxBounds+1:
		v.notice(event.Info, "further steps are for this checkout alone, too")
	}
}
