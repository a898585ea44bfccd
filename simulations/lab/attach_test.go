//go:build lab && linux

package lab

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
)

// Attach begins to follow a build from a host, with its outputs to come to dir.
func (h *Host) Attach(build, dir string) *Build {
	h.t.Helper()
	return h.start("builds", "attach", build, "--json", "--output-dir", dir)
}

// readyAfter is how long after its election a build has an heir that is ready,
// also on a busy machine.
const readyAfter = 2 * time.Second

// idOf returns the ID of a build that has begun, when it is led for so long.
func idOf(t *testing.T, b *Build, ledFor time.Duration) string {
	t.Helper()
	led := b.Until(func(e event.Event) bool { _, ok := e.(event.LeaderElected); return ok })
	if !led {
		t.Fatalf("the build ended before it was led: %s %+v", b.Stderr(), last(b.Events(), 3))
	}
	<-time.After(ledFor)
	for _, e := range b.Events() {
		if s, ok := e.(event.BuildStarted); ok {
			return s.Build
		}
	}
	t.Fatal("the build has no beginning")
	return ""
}

// TestInitiatorDies kills the node and the command of a build at varying
// moments: another member goes on, nothing announced runs again, and whoever
// attaches gets the same bytes.
func TestInitiatorDies(t *testing.T) {
	l := New(t)
	hosts, nodes := mesh(t, l, 4, 0.6, "--slots", "3")
	for round := range kills {
		s := Sleepy{Tag: fmt.Sprint("orphan", round), Parts: 90, Step: 500 * time.Millisecond}
		dir := s.In(t, hosts[0])
		b := hosts[0].Start(dir)
		id := idOf(t, b, readyAfter+time.Duration(rand.IntN(4000))*time.Millisecond)
		nodes[0].Kill()
		died := time.Now()
		b.Wait()
		before := b.Announced(len(b.Events()))
		to := filepath.Join(hosts[1+round%3].Dir, fmt.Sprintf("rescued%d", round))
		at := hosts[1+round%3].Attach(id, to)
		status := at.Wait()
		switch {
		case b.ended():
			t.Logf("round %d: the build ended before its initiator died", round)
		case status != 0:
			t.Errorf("round %d: attach: exit status %d: %s %+v", round, status, at.Stderr(), last(at.Events(), 3))
		default:
			s.Check(t, to)
		}
		for _, n := range nodes[1:] {
			for _, x := range n.Executions(id + ".2") {
				if _, announced := before[x.Action]; announced {
					t.Errorf("round %d: action %s was announced before its initiator died, and begun at %v on %s", round, x.Action, x.Began, n.host.Name)
				}
			}
		}
		t.Logf("round %d: %d announced before, attached and done %v after", round, len(before), time.Since(died))
		nodes[0] = hosts[0].Up("--slots", "3")
		await(t, hosts[0], 4, 15*time.Second)
	}
}

// ended reports whether a build told its end.
func (b *Build) ended() bool {
	for _, e := range b.Events() {
		if _, ok := e.(event.BuildFinished); ok {
			return true
		}
	}
	return false
}

// TestAttachToALivingBuild follows a build from another host while it runs, and
// after its end.
func TestAttachToALivingBuild(t *testing.T) {
	l := New(t)
	hosts, _ := mesh(t, l, 2, 0.6, "--slots", "3")
	s := Sleepy{Tag: "living", Parts: 20, Step: 500 * time.Millisecond}
	b := hosts[0].Start(s.In(t, hosts[0]))
	id := idOf(t, b, 0)
	for _, when := range []string{"during", "after"} {
		to := filepath.Join(hosts[1].Dir, when)
		at := hosts[1].Attach(id[:6], to)
		if status := at.Wait(); status != 0 {
			t.Fatalf("%s: exit status %d: %s", when, status, at.Stderr())
		}
		s.Check(t, to)
		if f := at.Finished(); f.Build != id || f.Steps != s.Steps() {
			t.Errorf("%s: %+v", when, f)
		}
	}
	if status := b.Wait(); status != 0 {
		t.Errorf("the build itself: exit status %d", status)
	}
	none := hosts[1].Attach("0123456789ab", filepath.Join(hosts[1].Dir, "none"))
	if status := none.Wait(); status != 1 && status != 2 {
		t.Errorf("a build that is none: exit status %d: %s", status, none.Stderr())
	}
}
