//go:build lab && linux

package lab

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
)

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

// TestWorkerDies kills a worker of a build of a C project at drawn moments: it
// succeeds with the same bytes.
func TestWorkerDies(t *testing.T) {
	want, r := reference(t), drawn(t)
	l := New(t)
	hosts, nodes := Mesh(t, l, 3, 0.6)
	for round := range roundsOf(t) {
		dir := filepath.Join(hosts[0].Dir, fmt.Sprintf("worker%d", round))
		Project(t, dir)
		b := hosts[0].Start(dir, "--force")
		victim := aWorker(b, nodes)
		finishedSteps(b, 1+r.IntN(30))
		nodes[victim].Kill()
		if status := b.Wait(); status != 0 {
			t.Fatalf("round %d: exit status %d after a worker's death: %s %+v", round, status, b.Stderr(), last(b.Events(), 3))
		}
		SameOutputs(t, Outputs(t, dir), want)
		nodes[victim] = hosts[victim].Up()
		Await(t, hosts[0], 3, 10*time.Second)
	}
}

// checkTakeover checks what a build promises when its leader has died: a
// higher epoch under another, and no execution of what was announced before.
// It reports whether a standby leads next, and not the initiator, which is the
// last in line: on a busy machine the standbys may be as silent as the dead.
func checkTakeover(t *testing.T, b *Build, first event.LeaderElected, events int, nodes []*Node) bool {
	t.Helper()
	onceEach(t, b, events, nodes)
	for _, e := range b.Events() {
		next, ok := e.(event.LeaderElected)
		if !ok || next.Epoch <= first.Epoch {
			continue
		}
		stands := slices.Contains(first.Standbys, next.Leader)
		if !stands && next.Leader != nodes[0].Peer {
			t.Errorf("%s leads and was no standby: %v", next.Leader, first.Standbys)
		}
		return stands
	}
	t.Errorf("nobody follows %s in epoch %d", first.Leader, first.Epoch)
	return false
}

// onceEach checks that what a build had announced by its first events was not
// announced again, and that no node has begun to execute it since. That it was
// executed twice before is no fault: a worker may have been taken for dead.
func onceEach(t *testing.T, b *Build, events int, nodes []*Node) {
	t.Helper()
	before := b.Announced(events)
	for _, e := range b.Events()[events:] {
		s, ok := e.(event.StepFinished)
		if _, again := before[s.Digest]; ok && again {
			t.Errorf("%s was announced twice", s.Step)
		}
	}
	logged := 0
	for _, n := range nodes {
		for _, x := range n.Executions(b.Finished().Build) {
			logged++
			if at, announced := before[x.Action]; announced && x.Began.After(at) {
				t.Errorf("action %s was announced at %v, and begun at %v on %s", x.Action, at, x.Began, n.host.Name)
			}
		}
	}
	if logged == 0 {
		t.Error("no node has logged an execution")
	}
}

// TestBuildEnds ends the command in mid-build: nothing of it runs anywhere 2 s
// later, and what had finished is used again.
func TestBuildEnds(t *testing.T) {
	for name, end := range map[string]func(*Build){"interrupt": (*Build).Interrupt, "kill": (*Build).Kill} {
		t.Run(name, func(t *testing.T) {
			l := New(t)
			hosts, _ := Mesh(t, l, 3, 0.6)
			dir := filepath.Join(hosts[0].Dir, "zstd")
			Project(t, dir)
			b := hosts[0].Start(dir)
			finishedSteps(b, 10)
			finished := len(b.Announced(len(b.Events())))
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
