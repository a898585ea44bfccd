//go:build lab && linux

package lab

import (
	"fmt"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
)

// TestCrashAtAnyMoment kills the initiator's node and workers, starts them
// again at once, and builds on: the stores need no repair and serve what had
// finished.
func TestCrashAtAnyMoment(t *testing.T) {
	l, r := New(t), drawn(t)
	hosts, nodes := Mesh(t, l, 3, 0.6, "--slots", "3")
	for round := range 2 * roundsOf(t) {
		victim := round % 2 // the initiator and a worker by turns
		s := Sleepy{Tag: fmt.Sprint("crash", round), Parts: 90, Step: 300 * time.Millisecond}
		dir := s.In(t, hosts[0])
		b := hosts[0].Start(dir)
		if !b.Until(func(e event.Event) bool { _, ok := e.(event.BuildStarted); return ok }) {
			t.Fatalf("round %d: the build did not start: %s", round, b.Stderr())
		}
		moment := between(r, 0, 3500*time.Millisecond)
		<-time.After(moment)
		nodes[victim].Kill()
		nodes[victim] = hosts[victim].Up()
		status := b.Wait()
		if victim != 0 && status != 0 {
			t.Errorf("round %d: exit status %d after a worker's crash: %s", round, status, b.Stderr())
		}
		Sound(t, hosts[victim])
		finished := len(b.Announced(len(b.Events())))
		_, f := hosts[0].Build(dir)
		s.Check(t, dir)
		if f.Executed > s.Steps()-finished {
			t.Errorf("round %d: %d of %d steps were announced %v after the start, the next build executed %d", round, finished, s.Steps(), moment, f.Executed)
		}
		t.Logf("round %d: host %d killed after %v, %d steps announced, the next build executed %d", round, victim+1, moment, finished, f.Executed)
		Await(t, hosts[0], 3, 15*time.Second)
	}
	for _, h := range hosts {
		Sound(t, h)
	}
}

// TestBuildThatIsItsOwnNodeCrashes is the same where no node runs: the command
// is the node.
func TestBuildThatIsItsOwnNodeCrashes(t *testing.T) {
	h := New(t).Host(1)
	s := Sleepy{Tag: "alone", Parts: 20, Step: 200 * time.Millisecond}
	dir := s.In(t, h)
	for _, after := range []int{1, 5, 10} {
		b := h.Start(dir)
		if !finishedSteps(b, after) {
			t.Fatalf("the build ended early: %s", b.Stderr())
		}
		<-time.After(200 * time.Millisecond) // what is younger may be lost
		h.Kill()
		if status := b.Wait(); status == 0 {
			t.Error("a build that was killed says that it succeeded")
		}
		Sound(t, h)
	}
	_, f := h.Build(dir)
	s.Check(t, dir)
	if f.Executed > s.Steps()-10 {
		t.Errorf("10 steps were announced before the last crash, %d of %d were executed after it", f.Executed, s.Steps())
	}
}

// TestNodeDiesUnderTheCommand kills a node, and not the command that waits for
// a build of it.
func TestNodeDiesUnderTheCommand(t *testing.T) {
	l := New(t)
	hosts, nodes := Mesh(t, l, 2, 0.6, "--slots", "3")
	s := Sleepy{Tag: "under", Parts: 12, Step: 3 * time.Second}
	dir := s.In(t, hosts[0])
	b := hosts[0].Start(dir)
	for deadline := time.Now().Add(20 * time.Second); sleepers(hosts[1:], "3.00") < 2; {
		if time.Now().After(deadline) {
			t.Fatalf("the other host does not work: %+v", last(b.Events(), 5))
		}
		<-time.After(50 * time.Millisecond)
	}
	killPID(nodes[0].cmd.Process.Pid)
	died := time.Now()
	<-nodes[0].done
	if status := b.Wait(); status != 3 || b.Stderr() == "" {
		t.Errorf("exit status %d, said %q", status, b.Stderr())
	}
	if took := time.Since(died); took > 2*time.Second {
		t.Errorf("the command took %v to notice", took)
	}
	// The other host may go on with the build, if it was ready to.
	nodes[0] = hosts[0].Up()
	hosts[0].Build(dir)
	s.Check(t, dir)
}
