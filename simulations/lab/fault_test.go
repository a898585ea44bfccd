//go:build lab && linux

package lab

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
)

// kills is how often a kill in mid-build is repeated, at varying moments.
const kills = 10

// reference builds the demo project on a host outside of any mesh.
func reference(t *testing.T) map[string]string {
	t.Helper()
	h := New(t).Host(2)
	dir := filepath.Join(h.Dir, "reference")
	Project(t, dir)
	h.Build(dir, "--local", "--force")
	return Outputs(t, dir)
}

// finishedSteps waits until n steps of b were announced.
func finishedSteps(b *Build, n int) bool {
	return b.Until(func(e event.Event) bool {
		if _, ok := e.(event.StepFinished); ok {
			n--
		}
		return n <= 0
	})
}

// TestWorkerDies kills a worker at varying moments: the build succeeds with the
// same bytes.
func TestWorkerDies(t *testing.T) {
	want := reference(t)
	l := New(t)
	hosts, nodes := mesh(t, l, 3, 0.6)
	for round := range kills {
		dir := filepath.Join(hosts[0].Dir, fmt.Sprintf("worker%d", round))
		Project(t, dir)
		b := hosts[0].Start(dir, "--force")
		leader := elected(b).Leader
		victim := 1
		if leader == nodes[1].Peer {
			victim = 2
		}
		finishedSteps(b, 1+rand.IntN(30))
		nodes[victim].Kill()
		if status := b.Wait(); status != 0 {
			t.Fatalf("round %d: exit status %d after a worker's death: %s %+v", round, status, b.Stderr(), last(b.Events(), 3))
		}
		SameOutputs(t, Outputs(t, dir), want)
		nodes[victim] = hosts[victim].Up()
		await(t, hosts[0], 3, 10*time.Second)
	}
}

// TestLeaderDies kills the leader at varying moments: a standby goes on, and
// nothing announced runs again.
func TestLeaderDies(t *testing.T) {
	want := reference(t)
	l := New(t)
	hosts, nodes := mesh(t, l, 4, 0.5)
	for round := range kills {
		var dir string
		b, first, victim := ledByAnother(t, nodes, func(try int) *Build {
			dir = filepath.Join(hosts[0].Dir, fmt.Sprintf("leader%d-%d", round, try))
			Project(t, dir)
			return hosts[0].Start(dir, "--force")
		})
		if len(first.Standbys) == 0 {
			t.Fatalf("round %d: no standby keeps the log: %+v", round, first)
		}
		finishedSteps(b, 1+rand.IntN(30))
		nodes[victim].Kill()
		before := announced(b)
		killed := len(b.Events())
		if status := b.Wait(); status != 0 {
			t.Fatalf("round %d: exit status %d after the leader's death: %s %+v", round, status, b.Stderr(), last(b.Events(), 3))
		}
		checkTakeover(t, b, first, before, killed, nodes)
		SameOutputs(t, Outputs(t, dir), want)
		nodes[victim] = hosts[victim].Up()
		await(t, hosts[0], 4, 10*time.Second)
	}
}

// checkTakeover checks what a build promises when its leader has died: a
// higher epoch under one of the standbys, and no execution of what was
// announced before.
func checkTakeover(t *testing.T, b *Build, first event.LeaderElected, before map[string]bool, killed int, nodes []*Node) {
	t.Helper()
	f := b.Finished()
	if f.Epoch <= first.Epoch || f.Leader == first.Leader {
		t.Errorf("epoch %d of %s follows epoch %d of %s", f.Epoch, f.Leader, first.Epoch, first.Leader)
	}
	if !slices.Contains(first.Standbys, f.Leader) {
		t.Errorf("%s leads and was no standby: %v", f.Leader, first.Standbys)
	}
	onceEach(t, b, before, killed, nodes)
}

// onceEach checks that what a build had announced at a moment, by when it had
// said so many events, is not announced again, and was executed once.
func onceEach(t *testing.T, b *Build, before map[string]bool, events int, nodes []*Node) {
	t.Helper()
	f := b.Finished()
	for _, e := range b.Events()[events:] {
		if s, ok := e.(event.StepFinished); ok && before[s.Digest] {
			t.Errorf("%s was announced twice", s.Step)
		}
	}
	counts := map[string]int{}
	for _, n := range nodes {
		for line := range strings.Lines(n.Log()) {
			if !strings.Contains(line, "executed") || !strings.Contains(line, f.Build) {
				continue
			}
			for action := range before {
				if strings.Contains(line, action) {
					counts[action]++
				}
			}
		}
	}
	for action, n := range counts {
		if n > 1 {
			t.Errorf("action %s had been announced and was executed %d times", action, n)
		}
	}
}

// TestBuildEnds ends the command in mid-build: nothing of it runs anywhere 2 s
// later, and what had finished is used again.
func TestBuildEnds(t *testing.T) {
	for name, end := range map[string]func(*Build){"interrupt": (*Build).Interrupt, "kill": (*Build).Kill} {
		t.Run(name, func(t *testing.T) {
			l := New(t)
			hosts, _ := mesh(t, l, 3, 0.6)
			dir := filepath.Join(hosts[0].Dir, "zstd")
			Project(t, dir)
			b := hosts[0].Start(dir)
			finishedSteps(b, 10)
			finished := len(announced(b))
			end(b)
			ended := time.Now()
			if status := b.Wait(); name == "interrupt" && status != 130 {
				t.Errorf("exit status %d, want 130: %s", status, b.Stderr())
			}
			<-time.After(time.Until(ended.Add(2 * time.Second)))
			for _, h := range hosts {
				for _, p := range h.Processes() {
					if strings.Contains(p, "cc1") || strings.Contains(p, "-DZSTD_LEGACY_SUPPORT") {
						t.Errorf("host %s still runs %q", h.Name, p)
					}
				}
			}
			if halves, _ := filepath.Glob(filepath.Join(dir, "lib", "obj", ".*")); len(halves) > 0 {
				t.Errorf("half-written files: %v", halves)
			}
			_, f := hosts[0].Build(dir)
			if f.Steps-f.Executed < finished {
				t.Errorf("%d steps had finished, the next build executed %d of %d", finished, f.Executed, f.Steps)
			}
		})
	}
}
