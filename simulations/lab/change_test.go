//go:build lab && linux

package lab

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
)

// elected waits for the first leader of a build.
func elected(b *Build) (first event.LeaderElected) {
	b.Until(func(e event.Event) bool {
		le, ok := e.(event.LeaderElected)
		if ok {
			first = le
		}
		return ok
	})
	return first
}

// ledByAnother starts builds on the first node until another one leads, and
// returns that one's number. The initiator leads where the others have just
// come, or answer late because this machine is busy.
func ledByAnother(t *testing.T, nodes []*Node, start func(try int) *Build) (b *Build, first event.LeaderElected, leader int) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for try := 0; ; try++ {
		b = start(try)
		first = elected(b)
		leader = slices.IndexFunc(nodes, func(n *Node) bool { return n.Peer == first.Leader })
		if leader > 0 {
			return b, first, leader
		}
		b.Interrupt()
		b.Wait()
		if time.Now().After(deadline) {
			t.Fatalf("after %d builds nobody but the initiator has led: %+v", try, first)
		}
		<-time.After(500 * time.Millisecond)
	}
}

// aWorker is a node, not the first, that does not lead b.
func aWorker(b *Build, nodes []*Node) int {
	if nodes[1].Peer == elected(b).Leader {
		return 2
	}
	return 1
}

// TestWorkerIsCutOff takes a worker off the network in the middle of a build
// and brings it back.
func TestWorkerIsCutOff(t *testing.T) {
	l := New(t)
	hosts, nodes := Mesh(t, l, 3, 0.6, "--slots", "3")
	s := Sleepy{Tag: "cut", Parts: 60, Step: 400 * time.Millisecond}
	dir := s.In(t, hosts[0])
	b := hosts[0].Start(dir)
	victim := aWorker(b, nodes)
	finishedSteps(b, 5)
	hosts[victim].Cut()
	if status := b.Wait(); status != 0 {
		t.Errorf("exit status %d: %s %+v", status, b.Stderr(), last(b.Events(), 3))
	}
	s.Check(t, dir)
	Await(t, hosts[0], 2, 30*time.Second)
	hosts[victim].Heal()
	for _, h := range hosts {
		Await(t, h, 3, 60*time.Second)
	}
	takesPart(t, hosts[0], nodes[victim])
}

// takesPart builds until a node executes steps of another's builds. One build
// may end before a node on a busy machine has asked for work.
func takesPart(t *testing.T, h *Host, n *Node) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for try := 0; ; try++ {
		s := Sleepy{Tag: fmt.Sprint("again", n.Peer, time.Now().UnixNano()), Parts: 30, Step: 300 * time.Millisecond}
		_, f := h.Build(s.In(t, h))
		if f.ByPeer[n.Peer] > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("host %s executes nothing of %d builds; the last: %v", n.host.Name, try+1, f.ByPeer)
		}
	}
}

// TestLeaderIsCutOff takes the leader off the network, which it cannot know.
func TestLeaderIsCutOff(t *testing.T) {
	l := New(t)
	hosts, nodes := Mesh(t, l, 4, 0.5, "--slots", "3")
	var s Sleepy
	var dir string
	b, first, victim := ledByAnother(t, nodes, func(try int) *Build {
		s = Sleepy{Tag: fmt.Sprint("leader", try), Parts: 60, Step: 400 * time.Millisecond}
		dir = s.In(t, hosts[0])
		return hosts[0].Start(dir)
	})
	finishedSteps(b, 10)
	hosts[victim].Cut()
	killed := len(b.Events())
	if status := b.Wait(); status != 0 {
		t.Fatalf("exit status %d: %s %+v", status, b.Stderr(), last(b.Events(), 3))
	}
	s.Check(t, dir)
	checkTakeover(t, b, first, killed, nodes)
	hosts[victim].Heal()
	for _, h := range hosts {
		Await(t, h, 4, 60*time.Second)
	}
	takesPart(t, hosts[0], nodes[victim])
}

// TestComingAndGoing builds while members come, go in order, and die.
func TestComingAndGoing(t *testing.T) {
	l := New(t)
	hosts, nodes := Mesh(t, l, 2, 0.6, "--slots", "2")
	token := Invite(t, hosts[0], "--lan")
	guests := []*Host{l.Host(0.4), l.Host(0.4)}
	here := make([]*Node, len(guests))
	s := Sleepy{Tag: "storm", Parts: 120, Step: 400 * time.Millisecond}
	dir := s.In(t, hosts[0])
	b := hosts[0].Start(dir)
	finishedSteps(b, 3)
	moves := 0
	for running(b) {
		g := moves % len(guests)
		switch {
		case here[g] == nil:
			n, err := guests[g].TryUp("--join", token, "--slots", "2")
			if err != nil {
				t.Errorf("guest %d does not come up: %v", g, err)
			}
			here[g] = n
		case moves%4 < 2:
			here[g].Kill()
			here[g] = nil
		default:
			here[g].Stop()
			here[g] = nil
		}
		moves++
	}
	if status := b.Wait(); status != 0 {
		t.Errorf("exit status %d: %s %+v", status, b.Stderr(), last(b.Events(), 3))
	}
	t.Logf("%d comings and goings: %v", moves, b.Finished().ByPeer)
	s.Check(t, dir)
	for action, n := range executedActions(nodes) {
		if n > 1 {
			t.Errorf("the members that stayed executed action %s %d times", action, n)
		}
	}
}

func running(b *Build) bool {
	select {
	case <-b.done:
		return false
	default:
		return true
	}
}
