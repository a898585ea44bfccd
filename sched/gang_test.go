package sched

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestAGangDoesAllAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGang()
		var done atomic.Int32
		for range 10 {
			for range 3 * maxIdle {
				g.Go(func() { done.Add(1) })
			}
			synctest.Wait()
			if idle := g.idle.Load(); idle > maxIdle {
				t.Errorf("%d wait for something to do", idle)
			}
		}
		g.Go(func() { g.Go(func() { done.Add(1) }) })
		g.Wait()
		if got := done.Load(); got != 30*maxIdle+1 {
			t.Errorf("%d things were done", got)
		}
	})
}

func TestNobodyWaitsForTheOthersOfAGang(t *testing.T) {
	synctest.Test(t, func(*testing.T) {
		g := newGang()
		first := make(chan struct{})
		g.Go(func() { <-first })
		g.Go(func() { close(first) })
		g.Wait()
	})
}
