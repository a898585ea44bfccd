//go:build lab && linux

package lab

import (
	"fmt"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
)

// TestBuildsOfOneTreeQueue has two commands build one tree at once.
func TestBuildsOfOneTreeQueue(t *testing.T) {
	h := New(t).Host(1)
	h.Up()
	s := Sleepy{Tag: "queue", Parts: 8, Step: 300 * time.Millisecond}
	dir := s.In(t, h)
	first := h.Start(dir)
	var running string
	first.Until(func(e event.Event) bool {
		b, ok := e.(event.BuildStarted)
		running = b.Build
		return ok
	})
	second := h.Start(dir)
	var behind string
	second.Until(func(e event.Event) bool {
		q, ok := e.(event.BuildQueued)
		if ok {
			behind = q.Behind
		}
		return ok
	})
	if behind != running {
		t.Errorf("the second build waits behind %q, want %q", behind, running)
	}
	if a, b := first.Wait(), second.Wait(); a != 0 || b != 0 {
		t.Fatalf("exit statuses %d and %d: %s%s", a, b, first.Stderr(), second.Stderr())
	}
	if f := second.Finished(); f.Executed != 0 {
		t.Errorf("the second build: %+v", f)
	}
	s.Check(t, dir)
}

// TestTwoHostsBuildTheSameAtOnce checks that nothing is executed twice.
func TestTwoHostsBuildTheSameAtOnce(t *testing.T) {
	l := New(t)
	hosts, nodes := Mesh(t, l, 3, 0.6, "--slots", "3")
	s := Sleepy{Tag: "twice", Parts: 30, Step: 400 * time.Millisecond}
	var builds []*Build
	var dirs []string
	for _, h := range hosts[:2] {
		dir := s.In(t, h)
		dirs = append(dirs, dir)
	}
	for i, h := range hosts[:2] {
		builds = append(builds, h.Start(dirs[i]))
	}
	executed := 0
	for i, b := range builds {
		if status := b.Wait(); status != 0 {
			t.Fatalf("exit status %d: %s", status, b.Stderr())
		}
		executed += b.Finished().Executed
		s.Check(t, dirs[i])
	}
	if executed != s.Steps() {
		t.Errorf("both builds say that they executed %d steps, want each of %d once", executed, s.Steps())
	}
	for action, n := range executedActions(nodes) {
		if n != 1 {
			t.Errorf("action %s was executed %d times", action, n)
		}
	}
}

// executedActions counts the executions that nodes have logged, by action.
func executedActions(nodes []*Node) map[string]int {
	counts := map[string]int{}
	for _, n := range nodes {
		for _, x := range n.Executions("") {
			counts[x.Action]++
		}
	}
	return counts
}

// TestManyBuildsAtOnce has every host start builds of its own, each with its
// own leader, and kills a host.
func TestManyBuildsAtOnce(t *testing.T) {
	l := New(t)
	hosts, nodes := Mesh(t, l, 4, 0.5, "--slots", "3")
	type running struct {
		*Build
		s   Sleepy
		dir string
	}
	var all []running
	for i, h := range hosts {
		for j := range 2 {
			s := Sleepy{Tag: fmt.Sprintf("many %d %d", i, j), Parts: 25, Step: 400 * time.Millisecond}
			dir := s.In(t, h)
			all = append(all, running{h.Start(dir), s, dir})
		}
	}
	for _, b := range all {
		finishedSteps(b.Build, 3)
	}
	nodes[3].Kill()
	for _, b := range all[:6] {
		if status := b.Wait(); status != 0 {
			t.Errorf("%s: exit status %d: %s %+v", b.s.Tag, status, b.Stderr(), last(b.Events(), 5))
		}
		if f := b.Finished(); f.Executed != b.s.Steps() {
			t.Errorf("%s: %+v", b.s.Tag, f)
		}
		b.s.Check(t, b.dir)
	}
}
