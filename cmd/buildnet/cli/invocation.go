package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/api/client"
	"github.com/buildnet/buildnet/node/event"
)

// endTime bounds how long a node may take to tell how an invocation has ended.
const endTime = 10 * time.Second

// finder returns a node to work with.
type finder func(ctx context.Context) (session, error)

// runningOnly finds a node that runs, and starts none.
func (a *app) runningOnly(ctx context.Context) (session, error) {
	c, err := a.running(ctx)
	return session{Client: c}, err
}

// errForeign says that a node cannot run commands of ours.
var errForeign = errors.New("the node belongs to another user, who may not run commands of yours; start one of your own with `buildnet node up --home DIR`")

// invocation is one of a node, from its first event to its last.
type invocation struct {
	session
	id string
	// cancel ends it without a word, and over ends with it.
	cancel context.CancelFunc
	over   context.Context //nolint:containedctx // it is what runs of it wait for
	err    error           // once it is over: what was wrong with it

	mu      sync.Mutex
	started event.BuildStarted
	summary *event.BuildFinished
}

// invoke begins an invocation on a node. show gets its events, the first one
// before invoke returns, never two at a time. A node that is about to end is
// waited for.
func (a *app) invoke(ctx context.Context, find finder, r api.InvocationRequest, show func(line []byte) error) (*invocation, error) {
	deadline := time.Now().Add(drainTime)
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		s, err := find(ctx)
		if err != nil {
			return nil, err
		}
		if s.Foreign() {
			return nil, errors.Join(errForeign, s.close(a, nothing))
		}
		i, err := begin(ctx, s, r, show)
		if err == nil {
			return i, nil
		}
		err = errors.Join(err, s.close(a, nothing))
		if !ending(err) || time.Now().After(deadline) {
			return nil, err
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return nil, errInterrupted
		}
	}
}

// begin begins an invocation on this node.
func begin(ctx context.Context, s session, r api.InvocationRequest, show func(line []byte) error) (*invocation, error) {
	// Not ctx: an interrupt ends the commands first, then the invocation is told.
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	over, end := context.WithCancel(context.Background())
	i := &invocation{session: s, cancel: cancel, over: over}
	began := make(chan struct{})
	go func() {
		defer end()
		i.err = s.Invoke(running, r, func(line []byte) error {
			first, err := i.take(line, show)
			if first {
				close(began)
			}
			return err
		})
	}()
	select {
	case <-began:
		return i, nil
	case <-i.over.Done():
		cancel()
		if i.err == nil {
			i.err = client.ErrLost
		}
		return nil, i.err
	case <-ctx.Done():
		cancel()
		<-i.over.Done()
		return nil, errInterrupted
	}
}

// take takes note of an event, and reports whether it is the one that says that
// commands may come.
func (i *invocation) take(line []byte, show func(line []byte) error) (first bool, err error) {
	if e, err := event.Decode(line); err == nil { // else one that a newer node added
		i.mu.Lock()
		switch e := e.(type) {
		case event.BuildStarted:
			first = i.id == ""
			i.id, i.started = e.Build, e
		case event.BuildFinished:
			i.summary = &e
		}
		i.mu.Unlock()
	}
	return first, show(line)
}

// jobs is how many commands are worth being given at once.
func (i *invocation) jobs() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.started.Jobs
}

// run runs a command. It fails at once if the invocation is over.
func (i *invocation) run(ctx context.Context, c api.Command) (api.CommandResult, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(i.over, cancel)()
	res, err := i.RunCommand(ctx, i.id, c)
	if err != nil && i.over.Err() != nil {
		return res, errors.Join(client.ErrLost, i.err)
	}
	return res, err
}

// maxOutput bounds what is told of what a command printed that has failed, in bytes.
const maxOutput = 1 << 20

// failed tells the node how a command failed that ran here.
func (i *invocation) failed(f api.CommandFailure) {
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	f.Output = f.Output[:min(len(f.Output), maxOutput)]
	_ = i.FailCommand(ctx, i.id, f) // a node that is lost is noticed otherwise
}

// end tells how it has come to its end, and returns the summary of the node.
func (i *invocation) end(a *app, e api.InvocationEnd) (*event.BuildFinished, error) {
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	err := i.EndInvocation(ctx, i.id, e)
	if err == nil {
		select {
		case <-i.over.Done():
			err = i.err
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	i.cancel()
	<-i.over.Done()
	if errors.Is(i.err, client.ErrLost) {
		err = i.err // what could not be told then follows from that
	}
	err = errors.Join(err, i.close(a, nothing))
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.summary != nil {
		return i.summary, nil
	}
	return nil, fmt.Errorf("end the build on the node: %w", err)
}

// variables are those of an environment that a command can have.
func variables(environ []string) []string {
	var all []string
	for _, v := range environ {
		if name, _, ok := strings.Cut(v, "="); ok && name != "" {
			all = append(all, v)
		}
	}
	return all
}
