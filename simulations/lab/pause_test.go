//go:build lab && linux

package lab

import (
	"fmt"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
)

// pauses are shorter and longer than a lease, longer than a member is suspected,
// and longer than a build.
var pauses = []time.Duration{700 * time.Millisecond, 3 * time.Second, 12 * time.Second, minute}

// minute is what no build waits for: that of these tests takes some seconds.
const minute = time.Minute

// TestWorkerIsStopped stops a worker's process in the middle of a build, as a
// laptop's lid or a debugger does, and lets it go on.
func TestWorkerIsStopped(t *testing.T) {
	l := New(t)
	hosts, nodes := Mesh(t, l, 4, 0.45, "--slots", "3")
	for _, pause := range pauses {
		stop(t, hosts, nodes, pause, func(start func(int) *Build) (*Build, int) {
			b := start(0)
			return b, aWorker(b, nodes)
		})
	}
}

// TestLeaderIsStopped stops the leader, which on going on takes itself for one.
func TestLeaderIsStopped(t *testing.T) {
	l := New(t)
	hosts, nodes := Mesh(t, l, 4, 0.45, "--slots", "3")
	for _, pause := range pauses {
		var first event.LeaderElected
		f := stop(t, hosts, nodes, pause, func(start func(int) *Build) (b *Build, leader int) {
			b, first, leader = ledByAnother(t, nodes, start)
			return b, leader
		})
		if pause > 2*time.Second && f.Epoch <= first.Epoch {
			t.Errorf("%v without its leader, and epoch %d of %s still", pause, f.Epoch, f.Leader)
		}
	}
}

// stop builds on the first host, stops the node that choose names for as long
// as pause in the middle of the build, and checks that neither the build nor
// the mesh takes harm. choose gets what starts the build, with a number for
// each try.
func stop(t *testing.T, hosts []*Host, nodes []*Node, pause time.Duration, choose func(start func(try int) *Build) (*Build, int)) event.BuildFinished {
	t.Helper()
	var s Sleepy
	var dir string
	b, victim := choose(func(try int) *Build {
		s = Sleepy{Tag: fmt.Sprint("stopped", pause, try), Parts: 90, Step: 400 * time.Millisecond}
		dir = s.In(t, hosts[0])
		return hosts[0].Start(dir)
	})
	finishedSteps(b, 10)
	nodes[victim].Pause()
	events := len(b.Events())
	<-time.After(pause)
	if pause == minute && running(b) {
		t.Errorf("%v after a node was stopped the build still waits: %+v", pause, last(b.Events(), 3))
	}
	nodes[victim].Resume()
	if status := b.Wait(); status != 0 {
		t.Errorf("%v: exit status %d: %s %+v", pause, status, b.Stderr(), last(b.Events(), 3))
	}
	s.Check(t, dir)
	onceEach(t, b, events, nodes)
	for _, h := range hosts {
		Await(t, h, len(hosts), 30*time.Second)
	}
	takesPart(t, hosts[0], nodes[victim])
	// What it still had to say, it has said by now.
	s.Check(t, dir)
	Sound(t, hosts[0])
	Sound(t, hosts[victim])
	return b.Finished()
}
