//go:build lab && linux

package lab

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
)

// TestAllOthersDie leaves the initiator alone in the middle of a build.
func TestAllOthersDie(t *testing.T) {
	l := New(t)
	hosts, nodes := Mesh(t, l, 4, 0.5, "--slots", "2")
	s := Sleepy{Tag: "all", Parts: 60, Step: 300 * time.Millisecond}
	dir := s.In(t, hosts[0])
	b := hosts[0].Start(dir)
	finishedSteps(b, 10)
	for _, n := range nodes[1:] {
		killPID(n.cmd.Process.Pid)
	}
	for _, n := range nodes[1:] {
		n.Kill()
	}
	killed := len(b.Events())
	if status := b.Wait(); status != 0 {
		t.Fatalf("exit status %d: %s %+v", status, b.Stderr(), last(b.Events(), 5))
	}
	s.Check(t, dir)
	onceEach(t, b, killed, nodes)
}

// TestEndOfOneBuildDoesNotHarmAnother ends one of two builds of the same
// actions, in every way in which a build ends.
func TestEndOfOneBuildDoesNotHarmAnother(t *testing.T) {
	l := New(t)
	hosts, nodes := Mesh(t, l, 3, 0.6, "--slots", "2")
	for i, end := range []struct {
		name string
		do   func(*Build)
	}{
		{"interrupt", (*Build).Interrupt},
		{"kill of the command", (*Build).Kill},
		{"kill of the node", func(*Build) { nodes[0].Kill() }},
	} {
		t.Run(end.name, func(t *testing.T) {
			s := Sleepy{Tag: fmt.Sprint("ends", i), Parts: 40, Step: 400 * time.Millisecond}
			second := s.In(t, hosts[1])
			a := hosts[0].Start(s.In(t, hosts[0]))
			b := hosts[1].Start(second)
			finishedSteps(a, 5)
			finishedSteps(b, 1)
			end.do(a)
			if status := b.Wait(); status != 0 {
				t.Errorf("the other build: exit status %d: %s %+v", status, b.Stderr(), last(b.Events(), 5))
			}
			a.Wait()
			s.Check(t, second)
		})
	}
}

// TestFirstStartIsKilled kills a node while it makes its home, at any moment.
func TestFirstStartIsKilled(t *testing.T) {
	l := New(t)
	h, other := l.Host(1), l.Host(1)
	other.Up()
	token := Invite(t, other, "--lan")
	for range 15 {
		p := h.Spawn(append(program(t), "node", "up", "--join", token)...)
		<-time.After(time.Duration(rand.IntN(400)) * time.Millisecond)
		p.Kill() // it may not have come into the host yet
		p.Wait()
		h.Kill()
	}
	n := h.Up("--join", token)
	Await(t, other, 2, 10*time.Second)
	n.Kill()
	h.Up()
	Await(t, other, 2, 10*time.Second)
	Sound(t, h)
}

// TestBuildWithoutItsMeshSaysSo builds without a node where no other member
// answers.
func TestBuildWithoutItsMeshSaysSo(t *testing.T) {
	l := New(t)
	hosts, nodes := Mesh(t, l, 2, 0.6)
	for _, n := range nodes {
		n.Stop()
	}
	s := Sleepy{Tag: "alone", Parts: 3, Step: 50 * time.Millisecond}
	dir := s.In(t, hosts[0])
	b, f := hosts[0].Build(dir)
	s.Check(t, dir)
	said := b.Until(func(e event.Event) bool {
		n, ok := e.(event.Notice)
		return ok && strings.Contains(n.Text, "works alone")
	})
	if !said || f.RunLocal != s.Steps() {
		t.Errorf("it is not said that this machine works alone: %+v", b.Events())
	}
}
