package sched

import (
	"sync"
	"sync/atomic"
)

// maxIdle goroutines of a gang wait for something to do.
const maxIdle = 64

// gang is goroutines of which each does one thing after the other: one that has
// worked has the stack that the next thing needs, which to grow costs more than
// many a thing.
type gang struct {
	next chan func() // taken by those that wait
	over chan struct{}
	idle atomic.Int32
	work sync.WaitGroup
}

func newGang() *gang { return &gang{next: make(chan func()), over: make(chan struct{})} }

// Go has f done, and does not wait for it.
func (g *gang) Go(f func()) {
	select {
	case g.next <- f:
	default:
		g.work.Go(func() { g.labour(f) })
	}
}

func (g *gang) labour(f func()) {
	for {
		f()
		if g.idle.Add(1) > maxIdle {
			g.idle.Add(-1)
			return
		}
		select {
		case f = <-g.next:
			g.idle.Add(-1)
		case <-g.over:
			return
		}
	}
}

// Wait returns when all is done. Nobody may call Go meanwhile but what is done.
func (g *gang) Wait() {
	close(g.over)
	g.work.Wait()
}
