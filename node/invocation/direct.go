package invocation

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/compile/remote"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
)

// direct is a command that its client runs itself, as an ordinary process, since
// nobody else could, and whose result is kept if it is known for sure.
type direct struct {
	*task
	run    *remote.Run
	ticket string
	began  time.Time

	mu     sync.Mutex
	told   bool          // what it made
	kept   *action.Entry // of that, with what it printed
	output []byte
}

// lone is why no other member is asked; "" if one is.
func (v *invocation) lone() string {
	switch {
	case v.modes.Local:
		return v.localBy
	case !v.others():
		return aloneHere
	}
	return ""
}

// aloneHere is why all runs here where there is nobody.
const aloneHere = "no other member is there"

// alone has the client run the command itself, if nobody else could, and if it can
// be known afterwards whether what it made is what its action makes.
func (t *task) alone(ctx context.Context) (res api.CommandResult, ok bool, err error) {
	why := t.v.lone()
	if why == "" || !t.c.Tells {
		return res, false, nil
	}
	r := t.request()
	run, unsure := t.v.visit.Directly(&r, t.p, t.c.Env)
	if unsure != "" {
		t.v.s.opts.Log.Debug("a command runs in a sandbox though nobody else could run it", "build", t.v.id, "step", t.name, "why", unsure)
		return res, false, nil
	}
	release, err := t.v.s.slots.occupy(ctx, t.c.PID)
	if err != nil {
		return res, false, err
	}
	if err = settle(ctx, run.Wait); err == nil {
		err = t.v.visit.Began(ctx, run)
	}
	if err != nil {
		release()
		return res, false, err
	}
	d := &direct{task: t, run: run, ticket: newTicket(), began: time.Now()}
	t.v.s.expect(d)
	t.handed()
	t.v.emit(event.StepStarted{Build: string(t.v.id), Step: string(t.name), Peer: string(t.v.s.opts.Self)})
	return api.CommandResult{Local: []string{why}, Step: string(t.name), Ticket: d.ticket, Release: sync.OnceFunc(func() {
		defer t.v.parts()
		d.over(why)
		release()
	})}, true, nil
}

// settle waits.
func settle(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func newTicket() string {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails since Go 1.24
	return hex.EncodeToString(raw[:])
}

func (s *Service) expect(d *direct) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.directs[d.ticket] = d
}

// Made implements api.Invocations.
func (s *Service) Made(ctx context.Context, id, ticket string, m api.Made) (api.Kept, error) {
	s.mu.Lock()
	d := s.directs[ticket]
	s.mu.Unlock()
	if d == nil || string(d.v.id) != id || m.UID != d.c.UID {
		return api.Kept{}, &api.Error{Kind: api.NotFound, Message: "nobody waits for what this command made", Hint: "go on without"}
	}
	if !d.v.enter() {
		return api.Kept{}, errOver(id)
	}
	defer d.v.running.Done()
	return d.made(ctx, m)
}

// made judges what a command made, once.
func (d *direct) made(ctx context.Context, m api.Made) (api.Kept, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.told {
		return api.Kept{}, api.Errorf(api.Conflict, "what this command made was told before")
	}
	d.told = true
	v := d.v
	proof, err := v.visit.Prove(ctx, d.run, remote.Ran{Said: m.Output, Wall: time.Since(d.began), CPU: m.CPU, MaxRSS: m.MaxRSS}, v.lease.Hold)
	switch {
	case ctx.Err() != nil:
		return api.Kept{}, ctx.Err()
	case err != nil:
		return api.Kept{Why: "it could not be looked into: " + err.Error()}, nil
	case proof.Why != "":
		return api.Kept{Why: proof.Why}, nil
	}
	e, err := v.s.opts.Sign(d.p.Action, proof.Result)
	if err == nil {
		err = v.keep(ctx, e, proof.Blobs)
	}
	if err != nil {
		return api.Kept{Why: "it could not be kept: " + err.Error()}, nil
	}
	if v.modes.Exchange != steal.TakeOnly {
		v.s.opts.ProvideRoot(e.Action)
	}
	d.remember(ctx)
	d.kept, d.output = &e, m.Output
	return api.Kept{Action: e.Action.String(), Peer: string(e.Executor)}, nil
}

// over takes note that the client is through with the command.
func (d *direct) over(why string) {
	s := d.v.s
	s.mu.Lock()
	delete(s.directs, d.ticket)
	s.mu.Unlock()
	d.v.visit.Ended(d.run)
	d.mu.Lock()
	defer d.mu.Unlock()
	failed := d.left()
	if d.kept == nil {
		d.wrote()
		d.ranHere(time.Since(d.began), failed, why)
		return
	}
	out := api.CommandResult{How: event.Executed, Peer: string(d.kept.Executor), Action: d.kept.Action.String()}
	d.tell(&steal.Done{Entry: *d.kept, How: steal.Executed, Timings: steal.Timings{Run: d.kept.Result.Wall}}, &remote.Outcome{Said: d.output}, &out)
}
