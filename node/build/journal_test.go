package build

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/event"
)

func TestWhoFollowsHearsAllThatIsKeptAndWhatPassesMeanwhile(t *testing.T) {
	j := newJournal(func(event.Event) {})
	progress := func(percent int) { j.add(event.TaskProgress{Build: "b", Step: "s", Percent: percent}) }
	j.add(event.BuildStarted{Build: "b"})
	progress(1) // before anybody follows
	heard, done := make(chan string), make(chan error, 1)
	go func() {
		done <- j.follow(t.Context(), func(line []byte) error {
			heard <- string(line)
			return nil
		})
	}()
	expect := func(kind, has string) {
		t.Helper()
		if line := <-heard; !strings.HasPrefix(line, `{"event":"`+kind+`"`) || !strings.Contains(line, has) {
			t.Errorf("it hears %s, want %s with %s", line, kind, has)
		}
	}
	expect("build.started", "")
	progress(2)
	expect("task.progress", `"percent":2`)
	for range 3 * maxPassing { // while it reads nothing
		progress(3)
	}
	progress(4)
	passing := 0
	for line := ""; !strings.Contains(line, `"percent":4`); passing++ {
		line = <-heard
	}
	if passing > 2*maxPassing+1 {
		t.Errorf("%d lines waited", passing)
	}
	j.add(event.BuildFinished{Build: "b"})
	expect("build.finished", "")
	j.close(nil)
	if err := <-done; err != nil {
		t.Error(err)
	}
	lines := strings.Split(strings.TrimSpace(string(j.lines)), "\n")
	if len(lines) != 2 || slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "task.") }) {
		t.Errorf("kept: %v", lines)
	}
}

func TestWhoFollowsABuildThatGoesOnElsewhereIsNotToldItsEnd(t *testing.T) {
	b := &Builder{runs: map[*run]struct{}{}}
	for keep, want := range map[bool]error{true: nil, false: errElsewhere} {
		r := &run{}
		r.told.Store(newJournal(func(event.Event) {}))
		b.enter(r)
		done := make(chan error, 1)
		go func() { done <- r.told.Load().follow(t.Context(), func([]byte) error { return nil }) }()
		b.leave(r, keep)
		if err := <-done; !errors.Is(err, want) {
			t.Errorf("a build that is kept (%v): %v, want %v", keep, err, want)
		}
	}
}
