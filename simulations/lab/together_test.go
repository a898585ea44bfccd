//go:build lab && linux

package lab

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
)

// TestBuildsOfOneTreeQueue has two commands build one tree at once.
func TestBuildsOfOneTreeQueue(t *testing.T) {
	h := New(t).Host(1)
	h.Up()
	s := Sleepy{Tag: "queue", Parts: 8, Step: 300 * time.Millisecond}
	dir := filepath.Join(h.Dir, "sleepy")
	s.Make(t, dir)
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
	hosts, nodes := mesh(t, l, 3, 0.6, "--slots", "3")
	s := Sleepy{Tag: "twice", Parts: 30, Step: 400 * time.Millisecond}
	var builds []*Build
	var dirs []string
	for _, h := range hosts[:2] {
		dir := filepath.Join(h.Dir, "sleepy")
		s.Make(t, dir)
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

var actionField = regexp.MustCompile(`action"?[=:]"?([a-z0-9:]+)`)

// executedActions counts the executions that nodes have logged, by action.
func executedActions(nodes []*Node) map[string]int {
	counts := map[string]int{}
	for _, n := range nodes {
		for line := range strings.Lines(n.Log()) {
			if m := actionField.FindStringSubmatch(line); m != nil && strings.Contains(line, "executed") {
				counts[m[1]]++
			}
		}
	}
	return counts
}
