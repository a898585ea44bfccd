package invocation

import (
	"context"
	"os"
	"time"

	"github.com/buildnet/buildnet/node/compile/remote"
	"github.com/buildnet/buildnet/node/event"
)

// handed says that the client runs the command.
func (t *task) handed() {
	t.v.mu.Lock()
	defer t.v.mu.Unlock()
	t.v.here[t.name] = t
	t.v.clients++
}

// left says that the client does not run the command any more, and returns how it
// failed if it did.
func (t *task) left() *event.Failure {
	t.v.mu.Lock()
	defer t.v.mu.Unlock()
	delete(t.v.here, t.name)
	return t.failure
}

// lingering is a command whose client has become it, so that nobody says how it ended.
type lingering struct {
	t *task
	p *process
}

// lingers looks after the process that asked for the command, if that is another one
// than has begun the invocation: that one says itself what fails.
func (t *task) lingers() *lingering {
	if t.c.PID == t.v.req.PID {
		return nil
	}
	return &lingering{t, watch(t.c.PID)}
}

// ended returns how the command failed, if it did, once its slot came back.
func (l *lingering) ended() *event.Failure {
	if l == nil {
		return nil
	}
	defer l.p.close()
	status, known := l.p.ended()
	if !known && l.t.unmade() {
		status = -1
	}
	if status == 0 {
		return nil
	}
	return &event.Failure{Command: l.t.argv(), Dir: l.t.c.Dir, ExitCode: status}
}

// unmade reports whether outputs of a compile are missing: compilers remove them when
// they fail. It is for systems that cannot tell how a process of others has ended.
func (t *task) unmade() bool {
	if t.p == nil || t.p.Work != remote.Compiles {
		return false
	}
	for _, o := range t.outputs() {
		if _, err := os.Lstat(o); os.IsNotExist(err) {
			return true
		}
	}
	return false
}

// part waits a moment for the clients of commands that run yet: what runs last of a
// build is heard of only after its end.
func (v *invocation) part(ctx context.Context) {
	timer := time.NewTimer(partTime)
	defer timer.Stop()
	select {
	case <-v.parted:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// partTime is how long they may take to be heard of.
const partTime = time.Second

// parts says that the client of a command is through with it, and that is counted.
func (v *invocation) parts() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.clients--
	v.mayPart()
}

// mayPart is called with mu held.
func (v *invocation) mayPart() {
	if v.closed && v.clients == 0 {
		v.isParted()
	}
}
