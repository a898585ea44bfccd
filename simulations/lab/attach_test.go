//go:build lab && linux

package lab

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
)

// Attach begins to follow a build from a host, with its outputs to come to dir.
func (h *Host) Attach(build, dir string) *Build {
	h.t.Helper()
	return h.Invoke("builds", "attach", build, "--json", "--output-dir", dir)
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
	hosts, _ := Mesh(t, l, 2, 0.6, "--slots", "3")
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
