package invocations

import (
	"sync/atomic"

	"github.com/buildnet/buildnet/node/event"
)

// counts are of all invocations since the start.
type counts struct{ invocations, executed, cached, failed, brought atomic.Int64 }

// count counts a step that is over.
func (b *Book) count(e *event.StepFinished) {
	c := &b.counts
	switch {
	case e.Status == event.Failed:
		c.failed.Add(1)
	case e.Status == event.CachedLocal, e.Status == event.CachedMesh:
		c.cached.Add(1)
	case e.Peer == "": // nobody of the mesh
		c.brought.Add(1)
	default:
		c.executed.Add(1)
	}
}

// Counters are figures since the start, by name. An invocation that was quiet and goes
// on counts again.
func (b *Book) Counters() map[string]int64 {
	c := &b.counts
	return map[string]int64{
		"client_invocations": c.invocations.Load(), "client_steps_executed": c.executed.Load(), "client_steps_cached": c.cached.Load(),
		"client_steps_failed": c.failed.Load(), "client_steps_brought": c.brought.Load(),
	}
}
