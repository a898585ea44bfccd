//go:build lab && linux

package lab

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

// pauses are shorter and longer than a lease, and longer than a member is
// suspected.
var pauses = []time.Duration{700 * time.Millisecond, 3 * time.Second, 12 * time.Second}

// TestWorkerIsStopped stops a worker's process in the middle of a build, as a
// laptop's lid or a debugger does, and lets it go on.
func TestWorkerIsStopped(t *testing.T) {
	l := New(t)
	hosts, nodes := mesh(t, l, 4, 0.45, "--slots", "3")
	for _, pause := range pauses {
		s := Sleepy{Tag: fmt.Sprint("worker", pause), Parts: 90, Step: 400 * time.Millisecond}
		dir := filepath.Join(hosts[0].Dir, s.Tag)
		s.Make(t, dir)
		b := hosts[0].Start(dir)
		leader := elected(b).Leader
		victim := 1
		if nodes[1].Peer == leader {
			victim = 2
		}
		finishedSteps(b, 10)
		nodes[victim].Pause()
		before, events := announced(b), len(b.Events())
		<-time.After(pause)
		nodes[victim].Resume()
		if status := b.Wait(); status != 0 {
			t.Errorf("%v: exit status %d: %s %+v", pause, status, b.Stderr(), last(b.Events(), 3))
		}
		s.Check(t, dir)
		onceEach(t, b, before, events, nodes)
		for _, h := range hosts {
			await(t, h, 4, 30*time.Second)
		}
		takesPart(t, hosts[0], nodes[victim])
	}
}

// TestLeaderIsStopped stops the leader, which on going on takes itself for one.
func TestLeaderIsStopped(t *testing.T) {
	l := New(t)
	hosts, nodes := mesh(t, l, 4, 0.45, "--slots", "3")
	for _, pause := range pauses {
		var s Sleepy
		var dir string
		b, first, victim := ledByAnother(t, nodes, func(try int) *Build {
			s = Sleepy{Tag: fmt.Sprint("leader", pause, try), Parts: 90, Step: 400 * time.Millisecond}
			dir = filepath.Join(hosts[0].Dir, s.Tag)
			s.Make(t, dir)
			return hosts[0].Start(dir)
		})
		finishedSteps(b, 10)
		nodes[victim].Pause()
		before, events := announced(b), len(b.Events())
		<-time.After(pause)
		nodes[victim].Resume()
		if status := b.Wait(); status != 0 {
			t.Errorf("%v: exit status %d: %s %+v", pause, status, b.Stderr(), last(b.Events(), 3))
		}
		s.Check(t, dir)
		onceEach(t, b, before, events, nodes)
		if f := b.Finished(); pause > 2*time.Second && f.Epoch <= first.Epoch {
			t.Errorf("%v without its leader, and epoch %d of %s still", pause, f.Epoch, f.Leader)
		}
		for _, h := range hosts {
			await(t, h, 4, 30*time.Second)
		}
		takesPart(t, hosts[0], nodes[victim])
	}
}
